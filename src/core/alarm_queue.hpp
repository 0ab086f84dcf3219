// When a provider's asynchronous work wants to be woken.
#ifndef HOLDFAST_CORE_ALARM_QUEUE_HPP
#define HOLDFAST_CORE_ALARM_QUEUE_HPP

#include <core/boottime_timer.hpp>

#include <holdfast/clock.hpp>

#include <boost/intrusive/set.hpp>

#include <memory>
#include <mutex>

namespace holdfast {
inline namespace v0 {
namespace core {

class provider_state;

/// Somebody who wants to be woken at a time. Taken out of its queue before it is destroyed.
class alarm : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                     boost::intrusive::optimize_size<true>> {
public:
    alarm() = default;
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;

protected:
    ~alarm() = default;

private:
    friend class alarm_queue;
    /// What keeps it while it rings; null where it is being destroyed. Called under the queue's mutex.
    virtual std::shared_ptr<void> alive() noexcept = 0;
    /// On the executor, not under the mutex. Has been taken out of the queue.
    virtual void ring() noexcept = 0;

    boottime::time_point at_ = boottime::time_point::max();
};

/** All alarms of one provider, with one timer on its executor.

    Most are taken out long before their time, when an answer has come; so the timer is set for the first one, and then
    left alone, until it fires in vain. Otherwise each operation would cost two system calls more. It is on the clock
    that a suspend does not stop: what timed out meanwhile is told as the machine wakes.

    Thread safety: safe, but for calls about one alarm.
*/
class alarm_queue {
public:
    explicit alarm_queue(provider_state& owner) noexcept : owner_(owner) {}
    alarm_queue(const alarm_queue&) = delete;
    alarm_queue& operator=(const alarm_queue&) = delete;
    ~alarm_queue();

    /// Instead of the time that was set before. Throws when the timer cannot be set; it is in the queue all the same.
    void set(alarm& which, boottime::time_point when);
    void take_out(alarm& which) noexcept;

private:
    struct sooner {
        bool operator()(const alarm& one, const alarm& other) const noexcept { return one.at_ < other.at_; }
    };

    void fire();
    std::shared_ptr<void> take_due(boottime::time_point until, alarm*& due) noexcept;
    void set_timer(boottime::time_point when);

    provider_state& owner_;
    std::mutex mutex_;
    boost::intrusive::multiset<alarm, boost::intrusive::compare<sooner>, boost::intrusive::constant_time_size<false>>
        alarms_;
    std::shared_ptr<boottime_timer> timer_;
    boottime::time_point timer_at_ = boottime::time_point::max();
    /// The timer is only to end soon.
    bool idle_ = false;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
