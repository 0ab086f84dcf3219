#include <core/windows/caller_wait.hpp>
#include <core/windows/timeout.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace core {

caller_wait::~caller_wait() {
    if (stop_ != nullptr) ::CloseHandle(stop_);
}

DWORD caller_wait::wait(HANDLE object, parker& self, boottime::time_point until) noexcept {
    if (stop_ == nullptr) stop_ = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
    if (stop_ == nullptr) {
        // Nobody can end the wait: look again often, which is slow but true.
        constexpr std::chrono::milliseconds longest_slice{4};
        if (self.calm()) return WAIT_TIMEOUT;
        return ::WaitForSingleObject(object, milliseconds_until(std::min(until, boottime::now() + longest_slice)));
    }
    if (!self.begin_other(*this)) return WAIT_TIMEOUT;
    const HANDLE both[] = {object, stop_};
    const DWORD ended = ::WaitForMultipleObjects(2, both, FALSE, milliseconds_until(until));
    if (self.end_other()) ::ResetEvent(stop_);
    return ended == WAIT_OBJECT_0 || ended == WAIT_FAILED ? ended : WAIT_TIMEOUT;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
