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
constexpr int alone_for = 16;

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
            alone_ = std::max(0, alone_ - 1);
            break;
        case result::failed: next_ = now + cadence_ / 4; break;
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
    /// @param all at least one; unchanged if this throws
    renewing(std::shared_ptr<provider_state> provider, std::vector<due>& all)
        : async_runner(std::move(provider), operation_, all.front().lease->who(), nullptr),
          shares_(shares_of(all)),
          sent_at_(boottime::now()),
          // Not beyond the first one's end, so that the end is seen in time however long the server is silent.
          operation_(
              who_, shared_provider_->traits(), verb::renew,
              std::min<std::chrono::nanoseconds>(shared_provider_->traits().renewal_cadence, first_end(all) - sent_at_),
              shares_.size() > 1 ? std::span<renewal_share>(shares_) : std::span<renewal_share>()) {
        items_.reserve(all.size());
        for (due& each : all) items_.push_back(std::move(each.which));
    }

    /// Not even asked: as if it had failed.
    void give_up() noexcept {
        for (std::size_t at = 0; at < items_.size(); ++at) settle_one(at, renewal::result::failed, never);
        items_.clear();
    }

private:
    // Copies of the claims, so that an answer that comes after a handle's end still finds what it belongs to.
    static std::vector<renewal_share> shares_of(const std::vector<due>& all) {
        std::vector<renewal_share> made;
        made.reserve(all.size());
        for (const due& each : all) made.push_back({each.lease->who()});
        return made;
    }
    static boottime::time_point first_end(const std::vector<due>& all) noexcept {
        auto first = never;
        for (const due& each : all) first = std::min(first, each.which.mapped().plan.valid_until());
        return first;
    }

    void finish(detail::delivery) override {
        settle(false);
        const outcome& how = operation_.result();
        const bool together = shares_.size() > 1;
        const bool one_by_one = how.succeeded && together;
        for (std::size_t at = 0; at < items_.size(); ++at) {
            auto result = together && !how.succeeded ? renewal::result::failed_together : renewal::result::failed;
            if (one_by_one ? shares_[at].result == verdict::granted : how.succeeded) {
                result = renewal::result::renewed;
            } else if (one_by_one ? shares_[at].result == verdict::not_held : how.code == errc::not_held) {
                result = renewal::result::not_held;
            }
            settle_one(at, result, how.valid_until);
        }
        items_.clear();
    }

    void settle_one(std::size_t at, renewal::result result, boottime::time_point until) noexcept {
        entry& one = items_[at].mapped();
        one.plan.ended(result, sent_at_, boottime::now(), until);
        const auto lease = one.lease.lock();
        if (lease == nullptr) return;
        if (result == renewal::result::renewed && !lease->was_lost()) {
            lease->extend(until);
            if (auto* watcher = shared_provider_->observer()) watcher->renewed(lease->who().target->name);
        }
        shared_provider_->renewals().put_back(std::move(items_[at]));
    }

    std::vector<renewal_share> shares_;
    std::vector<item> items_;
    const boottime::time_point sent_at_;
    query_operation operation_;
};

renewal_queue::~renewal_queue() {
    if (owner_.forked() && timer_ != nullptr) (void)new std::shared_ptr<boottime_timer>(timer_);
}

void renewal_queue::add(const std::shared_ptr<hold>& lease, boottime::time_point granted_at) {
    const auto& traits = owner_.traits();
    queue made;
    made.emplace(granted_at, entry{lease, renewal(traits.renewal_cadence, granted_at, lease->valid_until())});
    insert(made.extract(made.begin()));
}

void renewal_queue::insert(item which) {
    const auto lease = which.mapped().lease.lock();
    const std::lock_guard guard(mutex_);
    // Whoever releases says so before it removes; so it is either not put here any more, or removed.
    if (lease == nullptr || lease->is_ending() || lease->was_lost()) return;
    const auto when = which.mapped().plan.next_look();
    which.key() = when;
    lease->renewal_place().at_ = due_.insert(std::move(which));
    if (when < timer_at_) schedule();
}

void renewal_queue::put_back(item which) noexcept {
    try {
        insert(std::move(which));
    } catch (const std::exception&) {
        // It is in the queue, and has no timer: the next one that is put there sets it.
    }
}

void renewal_queue::remove(hold& lease) noexcept {
    item removed;
    const std::lock_guard guard(mutex_);
    auto& at = lease.renewal_place().at_;
    if (!at) return;
    removed = due_.extract(*at);
    at.reset();
    // A user's executor has work as long as a timer runs. Not ended at once, which the next lease would have to undo.
    const auto soon = boottime::now() + idle_timer;
    if (!due_.empty() || timer_at_ <= soon) return;
    timer_at_ = soon;
    try {
        set_timer();
    } catch (const std::exception&) {
        // Nobody is left to be renewed, and the next one sets it.
        timer_at_ = boottime::time_point::max();
    }
}

/// Sets the timer for the entry that is due first. The mutex is held.
void renewal_queue::schedule() {
    if (due_.empty()) return;
    timer_at_ = due_.begin()->first;
    try {
        set_timer();
    } catch (...) {
        timer_at_ = boottime::time_point::max();
        throw;
    }
}

void renewal_queue::set_timer() {
    if (timer_ == nullptr) {
        timer_ = boottime_timer::make(owner_.executor(), [this, provider = owner_.weak_from_this()] {
            // The provider may be gone; this queue is its member.
            if (const auto alive = provider.lock()) tick();
        });
    }
    timer_->set(timer_at_);
}

void renewal_queue::tick() {
    {
        const std::lock_guard guard(mutex_);
        timer_->fired();
    }
    const auto until = boottime::now() + tick_length;
    batches together;
    while (auto next = take_due(until)) attend(std::move(*next), until, together);
    for (auto& each : together) {
        if (!each.second.empty()) renew(std::move(each.second));
    }
    const std::lock_guard guard(mutex_);
    timer_at_ = boottime::time_point::max();
    schedule();
}

std::optional<renewal_queue::due> renewal_queue::take_due(boottime::time_point until) {
    const std::lock_guard guard(mutex_);
    if (due_.empty() || due_.begin()->first > until) return std::nullopt;
    due next{due_.extract(due_.begin()), nullptr};
    next.lease = next.which.mapped().lease.lock();
    if (next.lease != nullptr) next.lease->renewal_place().at_.reset();
    return next;
}

void renewal_queue::attend(due next, boottime::time_point until, batches& together) noexcept {
    const hold* const lease = next.lease.get();
    // Release forbids renewal before it talks to the server.
    if (lease == nullptr || lease->is_ending() || lease->was_lost()) return;
    switch (next.which.mapped().plan.look(until)) {
        case renewal::step::lost: next.lease->mark_lost(); return;
        case renewal::step::wait: put_back(std::move(next.which)); return;
        case renewal::step::renew: break;
    }
    try {
        if (next.which.mapped().plan.is_alone()) {
            std::vector<due> only;
            only.push_back(std::move(next));
            renew(std::move(only));
            return;
        }
        auto& batch = together[{lease->who().target->kind, lease->who().mode}];
        batch.push_back(std::move(next));
        if (batch.size() >= owner_.backend().renewals_at_once(lease->who())) renew(std::exchange(batch, {}));
    } catch (const std::exception&) {
        fail(next);
    }
}

void renewal_queue::renew(std::vector<due> all) noexcept {
    std::shared_ptr<renewing> sent;
    try {
        sent = std::make_shared<renewing>(owner_.shared_from_this(), all);
        sent->start();
    } catch (const std::exception&) {
        // No memory, or no thread.
        if (sent != nullptr) {
            sent->give_up();
        } else {
            for (due& each : all) fail(each);
        }
    }
}

/// It could not even be asked for; the others must still be renewed, and this one's end be noticed.
void renewal_queue::fail(due& which) noexcept {
    auto& plan = which.which.mapped().plan;
    const auto now = boottime::now();
    plan.ended(renewal::result::failed, now, now, plan.valid_until());
    put_back(std::move(which.which));
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
