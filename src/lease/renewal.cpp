#include <core/hold.hpp>
#include <core/release_operation.hpp>
#include <core/runner.hpp>
#include <lease/renewal.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

// Renewals due within one tick go out together; it is far below every cadence.
constexpr std::chrono::milliseconds tick_length{10};

// How long the timer runs on when there is nothing to renew any more.
constexpr std::chrono::milliseconds idle_timer{50};

}  // namespace

renewal::step renewal::look(boottime::time_point now) noexcept {
    if (over_) return step::wait;
    if (now >= valid_until_) {
        over_ = true;
        return step::lost;
    }
    if (running_ || now < next_) return step::wait;
    running_ = true;
    return step::renew;
}

boottime::time_point renewal::next_look() const noexcept {
    if (over_) return boottime::time_point::max();
    return running_ ? valid_until_ : std::min(next_, valid_until_);
}

void renewal::ended(result how, boottime::time_point sent_at, boottime::time_point now,
                    boottime::time_point until) noexcept {
    running_ = false;
    switch (how) {
        case result::renewed:
            valid_until_ = std::max(valid_until_, until);
            next_ = sent_at + cadence_;
            break;
        case result::failed: next_ = now + cadence_ / 4; break;
        // Any past time; not the earliest of all, from which no other can be subtracted.
        case result::not_held: valid_until_ = boottime::time_point(); break;
    }
}

class renewal_queue::timer : public boost::asio::steady_timer {
public:
    explicit timer(const boost::asio::any_io_executor& executor) : boost::asio::steady_timer(executor) {}
};

/// One renewal on its way.
class renewal_queue::renewing final : public async_runner {
public:
    renewing(std::shared_ptr<provider_state> provider, std::shared_ptr<entry> item, const std::shared_ptr<hold>& lease)
        // A copy of the claim, so that an answer that comes after the handle's end still finds what it belongs to.
        : async_runner(std::move(provider), operation_, lease->who(), nullptr),
          item_(std::move(item)),
          sent_at_(boottime::now()),
          // Not beyond the lease's end, so that the end is seen in time however long the server is silent.
          operation_(who_, shared_provider_->traits(), verb::renew,
                     std::min<std::chrono::nanoseconds>(shared_provider_->traits().renewal_cadence,
                                                        item_->plan.valid_until() - sent_at_)) {}

private:
    void finish() override {
        settle(false);
        const outcome& how = operation_.result();
        const auto now = boottime::now();
        auto result = renewal::result::failed;
        if (how.succeeded) {
            result = renewal::result::renewed;
        } else if (how.code == errc::not_held) {
            result = renewal::result::not_held;
        }
        item_->plan.ended(result, sent_at_, now, how.valid_until);
        if (const auto lease = item_->lease.lock()) {
            if (how.succeeded && !lease->was_lost()) {
                lease->extend(how.valid_until);
                if (auto* watcher = shared_provider_->observer()) watcher->renewed(who_.target->name);
            }
            shared_provider_->renewals().put(item_);
        }
    }

    const std::shared_ptr<entry> item_;
    const boottime::time_point sent_at_;
    query_operation operation_;
};

renewal_queue::~renewal_queue() {
    if (owner_.forked() && timer_ != nullptr) (void)new std::shared_ptr<timer>(timer_);
}

void renewal_queue::add(const std::shared_ptr<hold>& lease, boottime::time_point granted_at) {
    const auto& traits = owner_.traits();
    put(std::make_shared<entry>(
        entry{lease, lease.get(), renewal(traits.renewal_cadence, granted_at, lease->valid_until())}));
}

void renewal_queue::put(std::shared_ptr<entry> item) {
    const std::lock_guard guard(mutex_);
    // Whoever releases says so before it removes; so it is either not put here any more, or removed.
    const auto lease = item->lease.lock();
    if (lease == nullptr || lease->is_ending() || lease->was_lost()) return;
    const auto when = item->plan.next_look();
    const hold* const name = item->name;
    places_[name] = due_.emplace(when, std::move(item));
    if (when < timer_at_) schedule();
}

void renewal_queue::remove(const hold& lease) noexcept {
    std::shared_ptr<entry> removed;
    const std::lock_guard guard(mutex_);
    const auto found = places_.find(&lease);
    if (found == places_.end()) return;
    removed = std::move(found->second->second);
    due_.erase(found->second);
    places_.erase(found);
    // A user's executor has work as long as a timer runs. Not ended at once, which the next lease would have to undo.
    const auto soon = boottime::now() + idle_timer;
    if (!due_.empty() || timer_at_ <= soon) return;
    timer_at_ = soon;
    try {
        set_timer();
    } catch (const std::exception&) {
        // Then it goes off when it was to.
    }
}

/// Sets the timer for the entry that is due first. The mutex is held.
void renewal_queue::schedule() {
    if (due_.empty()) return;
    timer_at_ = due_.begin()->first;
    set_timer();
}

void renewal_queue::set_timer() {
    if (timer_ == nullptr) timer_ = std::make_shared<timer>(owner_.executor());
    timer_->expires_after(std::max<boottime::duration>(timer_at_ - boottime::now(), boottime::duration::zero()));
    timer_->async_wait([this, provider = owner_.weak_from_this(), timer = timer_](const error_code& code) {
        if (code) return;
        // The provider may be gone; this queue is its member.
        if (const auto alive = provider.lock()) tick();
    });
}

void renewal_queue::tick() {
    std::vector<std::shared_ptr<entry>> now_due;
    const auto now = boottime::now();
    {
        const std::lock_guard guard(mutex_);
        const auto end = due_.upper_bound(now + tick_length);
        for (auto each = due_.begin(); each != end; ++each) {
            places_.erase(each->second->name);
            now_due.push_back(std::move(each->second));
        }
        due_.erase(due_.begin(), end);
        timer_at_ = boottime::time_point::max();
        schedule();
    }
    for (auto& item : now_due) {
        try {
            attend(item, now);
        } catch (const std::exception&) {
            // No memory, or no thread: the others must still be renewed, and this one's end be noticed.
            item->plan.ended(renewal::result::failed, now, now, item->plan.valid_until());
            put(std::move(item));
        }
    }
}

void renewal_queue::attend(const std::shared_ptr<entry>& item, boottime::time_point now) {
    const auto lease = item->lease.lock();
    // Release forbids renewal before it talks to the server.
    if (lease == nullptr || lease->is_ending() || lease->was_lost()) return;
    switch (item->plan.look(now + tick_length)) {
        case renewal::step::lost: lease->mark_lost(); break;
        case renewal::step::wait: put(item); break;
        case renewal::step::renew: std::make_shared<renewing>(owner_.shared_from_this(), item, lease)->start(); break;
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
