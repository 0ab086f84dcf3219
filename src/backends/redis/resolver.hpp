// Host names to addresses, without making anybody wait.
#ifndef HOLDFAST_BACKENDS_REDIS_RESOLVER_HPP
#define HOLDFAST_BACKENDS_REDIS_RESOLVER_HPP

#include <core/fork.hpp>
#include <core/link.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sys/socket.h>

namespace holdfast {
inline namespace v0 {
namespace redis {

struct socket_address {
    sockaddr_storage bytes{};
    socklen_t size = 0;
};

/** Looks names up on the executor, and remembers them for a while. Addresses in numbers need neither.

    Thread safety: safe.
*/
class resolver {
public:
    explicit resolver(std::function<boost::asio::any_io_executor()> executor) : executor_(std::move(executor)) {}
    /// Makes its asker wait after all: for calling threads that have nothing else to do.
    resolver() = default;
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;

    /// One question, for as long as its asker keeps it.
    class lookup {
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

        const unsigned generation_ = core::fork_generation();
        std::mutex mutex_;
        core::notifier* asker_ = nullptr;
        bool done_ = false;
        std::vector<socket_address> found_;
        std::string failed_;
    };

    /// @param asker is notified with `signal_progress` when the answer is there, unless it is there at once
    std::shared_ptr<lookup> ask(const std::string& host, std::uint16_t port, core::notifier* asker);
    /// The addresses did not work: ask for them again next time.
    void forget(const std::string& host, std::uint16_t port);

private:
    struct known {
        std::vector<socket_address> found;
        boottime::time_point until{};
    };
    struct memory {
        std::mutex mutex;
        std::map<std::pair<std::string, std::uint16_t>, known> names;
    };

    const std::function<boost::asio::any_io_executor()> executor_;
    /// Shared with the handlers, which may outlive us.
    const std::shared_ptr<memory> memory_ = std::make_shared<memory>();
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
