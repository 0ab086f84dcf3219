// A timer on the clock that leases are counted on.
#ifndef HOLDFAST_CORE_BOOTTIME_TIMER_HPP
#define HOLDFAST_CORE_BOOTTIME_TIMER_HPP

#include <holdfast/clock.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Runs a function on an executor at a time; also in time where the machine was suspended until after it.

    Asio's own timers stand still in a suspend: what was to be done ten seconds later is done that long after the end of
    it. A lease has run out meanwhile, and its holder is to hear of that at once.

    While a time is set the executor has work; it is not taken back, only set anew.

    Thread safety: `set` and `fired` under one mutex, the owner's.
*/
class boottime_timer {
public:
    /** Where the system has no such timer left, one of Asio's, which does stand still.

        @param work runs on the executor without the mutex; calls @ref fired before it looks at anything; keeps its
                    owner alive, or does nothing, by itself
    */
    static std::shared_ptr<boottime_timer> make(const boost::asio::any_io_executor& executor,
                                                std::function<void()> work);

    boottime_timer() = default;
    boottime_timer(const boottime_timer&) = delete;
    boottime_timer& operator=(const boottime_timer&) = delete;
    virtual ~boottime_timer() = default;

    /// Instead of the time that was set before. One that is past is now.
    virtual void set(boottime::time_point when) = 0;
    /// From here on a time that is set makes the work run again.
    virtual void fired() noexcept = 0;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
