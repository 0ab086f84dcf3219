// Holdfast: the clock that leases and deadlines are counted on.
#ifndef HOLDFAST_CLOCK_HPP
#define HOLDFAST_CLOCK_HPP

#include <holdfast/config.hpp>

#include <chrono>

namespace holdfast {
inline namespace v0 {

/** @brief A clock that never goes back and goes on counting while the machine is suspended.

    A lease runs out on its server whether or not this machine sleeps, so time is measured with CLOCK_BOOTTIME (Linux)
    or the interrupt time (Windows). A virtual machine that is paused by its host may stop even this clock; only a
    fencing token helps there.

    @par Thread safety
    Safe.
*/
struct boottime {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<boottime>;
    static constexpr bool is_steady = true;

    HOLDFAST_API static time_point now() noexcept;
};

}  // namespace v0
}  // namespace holdfast

#endif
