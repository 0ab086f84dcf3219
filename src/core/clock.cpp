#include <holdfast/clock.hpp>

#if defined(_WIN32)
#include <windows.h>

#include <realtimeapiset.h>
#else
#include <time.h>
#endif

namespace holdfast {
inline namespace v0 {

boottime::time_point boottime::now() noexcept {
#if defined(_WIN32)
    ULONGLONG ticks = 0;  // of 100 ns
    QueryInterruptTimePrecise(&ticks);
    return time_point(duration(static_cast<rep>(ticks) * 100));
#else
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
#endif
}

}  // namespace v0
}  // namespace holdfast
