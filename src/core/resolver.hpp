// Host names to addresses, without making anybody wait.
#ifndef HOLDFAST_CORE_RESOLVER_HPP
#define HOLDFAST_CORE_RESOLVER_HPP

#include <core/fork.hpp>
#include <core/link.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace holdfast {
inline namespace v0 {
namespace core {

struct socket_address {
    sockaddr_storage bytes{};
    socklen_t size = 0;
};

/** Looks names up, each on a thread of its own, and remembers them for a while. Addresses in numbers need neither.

    Not on the executor: that may be a user's which does not run, or runs the very call that needs the address.

    Thread safety: safe.
*/
class HOLDFAST_API resolver {
public:
    enum class asks { on_threads, on_caller };
    /// @param how `on_caller` makes its asker wait after all: for calling threads that have nothing else to do
    explicit resolver(asks how = asks::on_threads) : how_(how) {}
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;

    /// One question, for as long as its asker keeps it.
    class HOLDFAST_API lookup {
    public:
        lookup() = default;
        lookup(const lookup&) = delete;
        lookup& operator=(const lookup&) = delete;

        /// False while there is no answer. With an answer: the addresses, or a text that says why there are none.
        bool take(std::vector<socket_address>& found, std::string& failed);
        /// Nobody is notified any more.
        void abandon();

    private:
        friend class resolver;

        void settle(std::vector<socket_address> found, std::string failed);

        const unsigned generation_ = fork_generation();
        std::mutex mutex_;
        notifier* asker_ = nullptr;
        bool done_ = false;
        std::vector<socket_address> found_;
        std::string failed_;
    };

    /// @param asker is notified with `signal_progress` when the answer is there, unless it is there at once
    std::shared_ptr<lookup> ask(const std::string& host, std::uint16_t port, notifier* asker);
    /// The addresses did not work: ask for them again next time.
    void forget(const std::string& host, std::uint16_t port);

private:
    struct known {
        std::vector<socket_address> found;
        boottime::time_point until{};
    };
    using place = std::pair<std::string, std::uint16_t>;
    struct memory {
        std::mutex mutex;
        std::map<place, known> names;
        /// Those who want what is being looked up.
        std::map<place, std::vector<std::shared_ptr<lookup>>> asked;
    };

    static std::vector<socket_address> look_up(const place& what, std::string& failed);
    static void answer(memory& to, const place& what);

    const asks how_;
    /// Shared with the threads, which may outlive us.
    const std::shared_ptr<memory> memory_ = std::make_shared<memory>();
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
