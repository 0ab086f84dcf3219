#include <holdfast/clock.hpp>

#if defined(_WIN32)
#include <windows.h>
#else
#include <time.h>
#endif

namespace holdfast {
inline namespace v0 {

boottime::time_point boottime::now() noexcept {
#if defined(_WIN32)
    // Documented to go on while the machine sleeps, and finer than the interrupt time.
    static const long long per_second = [] {
        LARGE_INTEGER frequency;
        ::QueryPerformanceFrequency(&frequency);
        return frequency.QuadPart;
    }();
    LARGE_INTEGER ticks;
    ::QueryPerformanceCounter(&ticks);
    const long long seconds = ticks.QuadPart / per_second;
    constexpr long long nanoseconds = 1'000'000'000;
    return time_point(std::chrono::seconds(seconds) +
                      std::chrono::nanoseconds(ticks.QuadPart % per_second * nanoseconds / per_second));
#else
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
#endif
}

}  // namespace v0
}  // namespace holdfast
