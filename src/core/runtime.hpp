// The library's own threads: one for I/O, and one for the callbacks of those who lost a lock.
#ifndef HOLDFAST_CORE_RUNTIME_HPP
#define HOLDFAST_CORE_RUNTIME_HPP

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

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

/// Runs @p callback on the thread named "holdfast-lost"; exceptions end there.
void run_on_lost_thread(std::function<void()> callback);

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
