#include <core/hold.hpp>
#include <core/release_operation.hpp>
#include <core/runner.hpp>
#include <lease/renewal.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

// Renewals due within one tick go out together; it is far below every cadence.
constexpr std::chrono::milliseconds tick_length{10};

// How often a lease is renewed alone after it failed with others: the reason may be there to stay, or be over.
constexpr signed char alone_for = 16;

}  // namespace

renewal::step renewal::look(boottime::time_point now, boottime::duration ahead) noexcept {
    if (over_ || !is_due(now, ahead)) return step::wait;
    if (now >= valid_until_) {
        over_ = true;
        return step::lost;
    }
    running_ = true;
    return step::renew;
}

bool renewal::is_due(boottime::time_point now, boottime::duration ahead) const noexcept {
    return now >= valid_until_ || (!running_ && now >= next_ - ahead);
}

boottime::time_point renewal::next_look() const noexcept {
    if (over_) return boottime::time_point::max();
    return running_ ? valid_until_ : std::min(next_, valid_until_);
}

void renewal::ended(result how, boottime::duration cadence, boottime::time_point sent_at, boottime::time_point now,
                    boottime::time_point until) noexcept {
    running_ = false;
    switch (how) {
        case result::renewed:
            valid_until_ = std::max(valid_until_, until);
            next_ = sent_at + cadence;
            if (alone_ > 0) --alone_;
            break;
        case result::failed: next_ = now + cadence / 4; break;
        case result::failed_together:
            next_ = now;
            alone_ = alone_for;
            break;
        // Any past time; not the earliest of all, from which no other can be subtracted.
        case result::not_held: valid_until_ = boottime::time_point(); break;
    }
}

/// One command that renews some leases of one kind, on its way.
class renewal_queue::renewing final : public async_runner {
public:
    /// @param all at least one
    renewing(std::shared_ptr<provider_state> provider, const std::vector<due>& all)
        : async_runner(std::move(provider), operation_, all.front()->who(), nullptr),
          shares_(shares_of(all)),
          sent_at_(boottime::now()),
          // Not beyond the first one's end, so that the end is seen in time however long the server is silent.
          operation_(
              who_, shared_provider_->traits(), verb::renew,
              std::min<std::chrono::nanoseconds>(shared_provider_->traits().renewal_cadence, first_end(all) - sent_at_),
              shares_.size() > 1 ? std::span<renewal_share>(shares_) : std::span<renewal_share>()) {
        leases_.reserve(all.size());
        for (const due& each : all) leases_.push_back(each);
    }

private:
    // Copies of the claims, so that an answer that comes after a handle's end still finds what it belongs to.
    static std::vector<renewal_share> shares_of(const std::vector<due>& all) {
        std::vector<renewal_share> made;
        made.reserve(all.size());
        for (const due& each : all) made.push_back({each->who()});
        return made;
    }
    static boottime::time_point first_end(const std::vector<due>& all) noexcept {
        auto first = never;
        for (const due& each : all) first = std::min(first, each->plan.valid_until());
        return first;
    }

    void finish(detail::delivery) override {
        settle(false);
        const outcome& how = operation_.result();
        const bool together = shares_.size() > 1;
        const bool one_by_one = how.succeeded && together;
        for (std::size_t at = 0; at < leases_.size(); ++at) {
            auto result = together && !how.succeeded ? renewal::result::failed_together : renewal::result::failed;
            if (one_by_one ? shares_[at].result == verdict::granted : how.succeeded) {
                result = renewal::result::renewed;
            } else if (one_by_one ? shares_[at].result == verdict::not_held : how.code == errc::not_held) {
                result = renewal::result::not_held;
            }
            settle_one(at, result, how.valid_until);
        }
    }

    void settle_one(std::size_t at, renewal::result result, boottime::time_point until) noexcept {
        const due lease = leases_[at].lock();
        if (lease == nullptr) return;
        const auto cadence = shared_provider_->traits().renewal_cadence;
        lease->plan.ended(result, cadence, sent_at_, boottime::now(), until);
        if (result == renewal::result::renewed && !lease->was_lost()) {
            lease->extend(until);
            if (auto* watcher = shared_provider_->observer()) watcher->renewed(lease->who().target->name());
        }
        shared_provider_->renewals().put_back(*lease);
    }

    std::vector<renewal_share> shares_;
    std::vector<std::weak_ptr<hold>> leases_;
    const boottime::time_point sent_at_;
    query_operation operation_;
};

renewal_queue::~renewal_queue() {
    if (!owner_.forked()) owner_.alarms().take_out(*this);
}

void renewal_queue::add(hold& lease, boottime::time_point granted_at) {
    lease.plan = renewal(owner_.traits().renewal_cadence, granted_at, lease.valid_until());
    insert(lease);
}

void renewal_queue::insert(hold& lease) {
    const std::lock_guard guard(mutex_);
    // Whoever releases says so before it removes; so it is either not put here any more, or removed.
    if (lease.is_ending() || lease.was_lost()) return;
    due_.insert(lease);
    lease.waits_for_renewal_ = true;
    if (lease.plan.next_look() < alarm_at_) schedule();
}

void renewal_queue::put_back(hold& lease) noexcept {
    try {
        insert(lease);
    } catch (const std::exception&) {
        // It is in the queue, and has no timer: the next one that is put there sets it.
    }
}

void renewal_queue::remove(hold& lease) noexcept {
    const std::lock_guard guard(mutex_);
    if (!std::exchange(lease.waits_for_renewal_, false)) return;
    due_.erase(due_.iterator_to(lease));
    if (!due_.empty()) return;
    alarm_at_ = never;
    owner_.alarms().take_out(*this);
}

/// Sets the alarm for the one that is due first. The mutex is held.
void renewal_queue::schedule() {
    if (due_.empty()) return;
    alarm_at_ = never;
    const auto first = due_.begin()->plan.next_look();
    owner_.alarms().set(*this, first);
    alarm_at_ = first;
}

std::shared_ptr<void> renewal_queue::alive() noexcept {
    return owner_.weak_from_this().lock();
}

void renewal_queue::ring() noexcept {
    const auto now = boottime::now();
    batches together;
    for (due next; take_due(now, next);) {
        if (next != nullptr) attend(std::move(next), now, together);
    }
    for (auto& each : together) {
        if (!each.second.empty()) renew(std::move(each.second));
    }
    const std::lock_guard guard(mutex_);
    alarm_at_ = never;
    try {
        schedule();
    } catch (const std::exception&) {
        // The next one that is put there, or any other alarm, sets the timer.
    }
}

/// @param next null for one that is being destroyed
bool renewal_queue::take_due(boottime::time_point now, due& next) {
    const std::lock_guard guard(mutex_);
    // Behind an end that is still to come there is nothing that could not wait for it.
    if (due_.empty() || !due_.begin()->plan.is_due(now, tick_length)) return false;
    // Its memory is there as long as the mutex is held: a hold leaves the queue before it is gone.
    hold& first = static_cast<hold&>(*due_.begin());
    due_.erase(due_.begin());
    first.waits_for_renewal_ = false;
    next = first.weak_from_this().lock();
    return true;
}

void renewal_queue::attend(due next, boottime::time_point now, batches& together) noexcept {
    // Release forbids renewal before it talks to the server.
    if (next->is_ending() || next->was_lost()) return;
    renewal& plan = next->plan;
    switch (plan.look(now, tick_length)) {
        case renewal::step::lost: next->mark_lost(); return;
        case renewal::step::wait: put_back(*next); return;
        case renewal::step::renew: break;
    }
    const due kept = next;
    try {
        if (plan.is_alone()) {
            renew({std::move(next)});
            return;
        }
        auto& batch = together[{kept->who().target->kind, kept->who().mode}];
        batch.push_back(std::move(next));
        if (batch.size() >= owner_.backend().renewals_at_once(kept->who())) renew(std::exchange(batch, {}));
    } catch (const std::exception&) {
        fail(*kept);
    }
}

void renewal_queue::renew(std::vector<due> all) noexcept {
    try {
        std::make_shared<renewing>(owner_.shared_from_this(), all)->start();
    } catch (const std::exception&) {
        // No memory to ask with.
        for (const due& each : all) fail(*each);
    }
}

/// It could not even be asked for; the others must still be renewed, and this one's end be noticed.
void renewal_queue::fail(hold& lease) noexcept {
    renewal& plan = lease.plan;
    const auto now = boottime::now();
    plan.ended(renewal::result::failed, owner_.traits().renewal_cadence, now, now, plan.valid_until());
    put_back(lease);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
