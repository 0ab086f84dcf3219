// Where a calling thread sleeps while its operation waits.
#ifndef HOLDFAST_CORE_PARKER_HPP
#define HOLDFAST_CORE_PARKER_HPP

#include <holdfast/clock.hpp>

#include <atomic>

namespace holdfast {
inline namespace v0 {
namespace core {

/** One sleeping place, for the thread that made it.

    A descriptor and not a condition variable, so that one poll covers it together with a link or an event source.

    Thread safety: `rouse` from any thread, everything else from the owner.
*/
class HOLDFAST_API parker {
public:
    parker() noexcept = default;
    parker(const parker&) = delete;
    parker& operator=(const parker&) = delete;

    /// Ends the present wait, or the next one.
    void rouse() noexcept;

    /// Sleeps until roused, @p until, or @p descriptor (unless -1) has one of @p events. May return without a reason.
    /// @return true when the descriptor has an event
    bool park(boottime::time_point until, int descriptor = -1, short events = 0) noexcept;

    /// Forgets a rouse that came while awake. @return whether there was one
    bool calm() noexcept { return state_.exchange(idle, std::memory_order_acq_rel) == roused; }

private:
    enum : unsigned { idle, asleep, roused };

    std::atomic<unsigned> state_{idle};
    std::atomic<int> event_{-1};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
