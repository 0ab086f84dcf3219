#include <core/alarm_queue.hpp>
#include <core/provider_state.hpp>
#include <core/runner.hpp>

#include <boost/asio/post.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

// A user's executor has work as long as a timer runs, so that must end when nobody wants to be woken any more. Not at
// once, which the next one would have to undo.
constexpr std::chrono::milliseconds idle_timer{20};

}  // namespace

alarm_queue::~alarm_queue() {
    // The child's executor is not there.
    if (owner_.forked() && timer_ != nullptr) (void)new std::shared_ptr<boottime_timer>(timer_);
}

void alarm_queue::set(alarm& which, boottime::time_point when) {
    const std::lock_guard guard(mutex_);
    if (which.at_ != never) alarms_.erase(alarms_.iterator_to(which));
    which.at_ = when;
    if (when == never) return;
    alarms_.insert(which);
    // Not always the new one: the timer of an earlier one may have failed.
    const auto first = alarms_.begin()->at_;
    if (first < timer_at_) set_timer(first);
}

void alarm_queue::take_out(alarm& which) noexcept {
    const std::lock_guard guard(mutex_);
    if (std::exchange(which.at_, never) == never) return;
    alarms_.erase(alarms_.iterator_to(which));
    if (!alarms_.empty() || idle_ || timer_at_ == never) return;
    try {
        set_timer(boottime::now() + idle_timer);
        idle_ = true;
    } catch (const std::exception&) {
        // Nobody is left to be woken, and the next one sets it.
    }
}

void alarm_queue::set_timer(boottime::time_point when) {
    timer_at_ = never;
    idle_ = false;
    if (timer_ == nullptr) {
        // Behind what else is ready: where the process was stopped, or had no processor, an answer may have come in
        // time and must be seen first.
        timer_ = boottime_timer::make(owner_.executor(), [this, provider = owner_.weak_from_this()] {
            // The provider may be gone; this queue is its member.
            const auto alive = provider.lock();
            if (alive == nullptr) return;
            try {
                boost::asio::post(alive->executor(), [this, provider] {
                    if (const auto still = provider.lock()) fire();
                });
            } catch (const std::exception&) {
                // No memory: then not behind it.
                fire();
            }
        });
    }
    timer_->set(when);
    timer_at_ = when;
}

void alarm_queue::fire() {
    {
        const std::lock_guard guard(mutex_);
        timer_->fired();
    }
    gathered_rousings roused(owner_.executor());
    const auto now = boottime::now();
    alarm* due = nullptr;
    for (auto alive = take_due(now, due); due != nullptr; alive = take_due(now, due)) {
        if (alive != nullptr) due->ring();
    }
    {
        const std::lock_guard guard(mutex_);
        timer_at_ = never;
        idle_ = false;
        if (!alarms_.empty()) set_timer(alarms_.begin()->at_);
    }
    roused.run();
}

/// @param due null when none is
std::shared_ptr<void> alarm_queue::take_due(boottime::time_point until, alarm*& due) noexcept {
    const std::lock_guard guard(mutex_);
    due = nullptr;
    if (alarms_.empty() || alarms_.begin()->at_ > until) return nullptr;
    due = &*alarms_.begin();
    alarms_.erase(alarms_.begin());
    due->at_ = never;
    return due->alive();
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
