// Times for the waits of Windows, which count milliseconds.
#ifndef HOLDFAST_CORE_WINDOWS_TIMEOUT_HPP
#define HOLDFAST_CORE_WINDOWS_TIMEOUT_HPP

#include <holdfast/clock.hpp>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Rounded up, or the rest of a millisecond would be spent looking. Never INFINITE but for `time_point::max()`: a time
/// that is further away than can be said ends early, and is waited for again.
inline DWORD milliseconds_until(boottime::time_point until) noexcept {
    if (until == boottime::time_point::max()) return INFINITE;
    const auto left = until - boottime::now();
    if (left <= boottime::duration::zero()) return 0;
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    constexpr long long most = 24LL * 60 * 60 * 1000;
    return static_cast<DWORD>(count < most ? count : most);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
