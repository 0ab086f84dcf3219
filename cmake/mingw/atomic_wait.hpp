// Included before everything else by toolchain-mingw.cmake.
//
// Where libstdc++ has no call of the system's to wait at an address, its std::atomic<>::wait of GCC 12 looks at the
// value and then begins to wait, without a lock from the one to the other: a wake-up in between is lost, and the wait
// lasts for ever. std::stop_callback, which waits in that way for a callback that is running, hung in its destructor
// once in some ten cancellations that were timed for it. Windows has such calls; here libstdc++ gets them.
#ifndef HOLDFAST_CMAKE_MINGW_ATOMIC_WAIT_HPP
#define HOLDFAST_CMAKE_MINGW_ATOMIC_WAIT_HPP

#if defined(__cplusplus) && __cplusplus >= 202002L
#include <bits/c++config.h>

#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAVE_PLATFORM_WAIT)
#include <chrono>
#include <cstdint>

extern "C" {
__declspec(dllimport) int __stdcall WaitOnAddress(volatile void*, void*, unsigned long long, unsigned long);
__declspec(dllimport) void __stdcall WakeByAddressSingle(void*);
__declspec(dllimport) void __stdcall WakeByAddressAll(void*);
}

#define _GLIBCXX_HAVE_PLATFORM_WAIT 1
#define _GLIBCXX_HAVE_PLATFORM_TIMED_WAIT 1

namespace std {
_GLIBCXX_BEGIN_NAMESPACE_VERSION
namespace __detail {

template <class T>
void __platform_wait(const T* address, std::uint64_t value) noexcept {
    static_assert(sizeof(T) == sizeof value);
    ::WaitOnAddress(const_cast<T*>(address), &value, sizeof value, 0xFFFFFFFF);
}

template <class T>
void __platform_notify(const T* address, bool all) noexcept {
    if (all) {
        ::WakeByAddressAll(const_cast<T*>(address));
    } else {
        ::WakeByAddressSingle(const_cast<T*>(address));
    }
}

/// False at @p until.
template <class Clock, class Duration>
bool __platform_wait_until(const std::uint64_t* address, std::uint64_t value,
                           const chrono::time_point<Clock, Duration>& until) noexcept {
    const auto left = chrono::ceil<chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    constexpr long long most = 60 * 60 * 1000;
    ::WaitOnAddress(const_cast<std::uint64_t*>(address), &value, sizeof value,
                    static_cast<unsigned long>(left < most ? left : most));
    // The caller looks at the value, and at the clock.
    return true;
}

}  // namespace __detail
_GLIBCXX_END_NAMESPACE_VERSION
}  // namespace std
#endif
#endif

#endif
