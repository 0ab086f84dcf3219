// Waits for kernel objects on the thread that calls.
#ifndef HOLDFAST_CORE_WINDOWS_CALLER_WAIT_HPP
#define HOLDFAST_CORE_WINDOWS_CALLER_WAIT_HPP

#include <core/parker.hpp>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/** A wait that a rouse of the thread's parker ends.

    Thread safety: one thread at a time.
*/
class HOLDFAST_API caller_wait final : private other_sleep {
public:
    caller_wait() = default;
    caller_wait(const caller_wait&) = delete;
    caller_wait& operator=(const caller_wait&) = delete;
    ~caller_wait();

    /** The object first: where both are set, it is taken, and to be given back by whoever does not want it any more.

        @return WAIT_OBJECT_0, WAIT_FAILED, or WAIT_TIMEOUT: roused, out of time, or without a reason
    */
    DWORD wait(HANDLE object, parker& self, boottime::time_point until) noexcept;

private:
    void end() noexcept override { ::SetEvent(stop_); }

    /// Stays set until it is reset.
    HANDLE stop_ = nullptr;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
