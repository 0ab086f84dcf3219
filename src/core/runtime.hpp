// The library's own threads: one for I/O, and one for the callbacks of those who lost a lock.
#ifndef HOLDFAST_CORE_RUNTIME_HPP
#define HOLDFAST_CORE_RUNTIME_HPP

#include <boost/asio/any_io_executor.hpp>

#include <list>
#include <memory>
#include <stop_token>

namespace holdfast {
inline namespace v0 {
namespace core {

/** One I/O thread, started when first needed, shared by all who hold this object, and ended with the last of them.

    Thread safety: safe.
*/
class runtime {
public:
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
    virtual ~runtime() = default;

    /// The one of this process; in a forked child a new one, since threads do not survive a fork.
    static std::shared_ptr<runtime> shared();

    virtual boost::asio::any_io_executor executor() noexcept = 0;

    /// For operations that fail before they have a provider: one that lasts as long as the process.
    static boost::asio::any_io_executor lasting_executor();

    /// True on a thread of the library, which must not be made to wait.
    static bool on_library_thread() noexcept;

protected:
    runtime() = default;
};

class lost_thread;

/** A stop source for those who want to hear of a loss, and all that it takes to stop it on the thread named
    "holdfast-lost", which runs as long as there are any: a loss has to be told also where the system has nothing left.

    Thread safety: none, but for that of its tokens.
*/
class lost_announcement {
public:
    /// Throws `errc::unavailable` where there is no thread to be had.
    lost_announcement();
    lost_announcement(const lost_announcement&) = delete;
    lost_announcement& operator=(const lost_announcement&) = delete;
    /// Not in a forked child.
    ~lost_announcement();

    std::stop_token token() const noexcept { return token_; }
    /// Has it stopped, which does not wait for callbacks. More than once is as good as once.
    void stop() noexcept;

private:
    lost_thread& thread_;
    /// A node of that thread's queue, which is moved there.
    std::list<std::stop_source> source_;
    const std::stop_token token_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
