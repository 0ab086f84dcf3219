// Where a calling thread sleeps while its operation waits.
#ifndef HOLDFAST_CORE_PARKER_HPP
#define HOLDFAST_CORE_PARKER_HPP

#include <holdfast/clock.hpp>

#include <atomic>
#include <cstdint>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Something else than a parker that a thread sleeps in.
class other_sleep {
public:
    /// Ends the sleep, from any thread, or keeps the next one from beginning. Called once at most.
    virtual void end() noexcept = 0;

protected:
    ~other_sleep() = default;
};

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

    /** From here to `end_other` a rouse ends @p where, in which the owner is about to sleep.

        @return false when there was a rouse already, which is forgotten then; nothing has begun
    */
    bool begin_other(other_sleep& where) noexcept;
    /// Waits for a rouse that is on its way. @return whether @p where was ended by one
    bool end_other() noexcept;

    /// Forgets a rouse that came while awake. @return whether there was one
    bool calm() noexcept { return state_.exchange(idle, std::memory_order_acq_rel) == roused; }

private:
    // Once for each system, in parker_sleep.cpp.

    /// The calling thread's event, made when missing; -1 when there is none to be had.
    static std::intptr_t own_event() noexcept;
    /// Ends a sleep at @p event.
    static void ring(std::intptr_t event) noexcept;
    /// What `sleep` has seen.
    struct awakening {
        /// It has taken the ring.
        bool rung = false;
        bool descriptor_ready = false;
    };
    /// Sleeps at @p event; where there is none, for a short while.
    static awakening sleep(std::intptr_t event, boottime::time_point until, int descriptor, short events) noexcept;
    /// Waits for a ring that has come or is on its way, and takes it.
    static void take_ring(std::intptr_t event) noexcept;

    enum : unsigned { idle, asleep, elsewhere, rousing, roused };

    std::atomic<unsigned> state_{idle};
    /// Of the owner's thread, whatever the system has for that; -1: it has none.
    std::atomic<std::intptr_t> event_{-1};
    std::atomic<other_sleep*> other_{nullptr};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
