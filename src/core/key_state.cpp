#include <core/hot.hpp>
#include <core/key_state.hpp>

#include <array>
#include <functional>
#include <mutex>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// On a cache line of its own, so that threads with different names do not wait for each other.
struct alignas(64) hand_over_count {
    std::atomic<unsigned> value{0};
};
std::array<hand_over_count, 64> hand_over_counts;

}  // namespace

key_state::key_state(std::string mapped)
    : mapped_(std::move(mapped)),
      handed_over_(hand_over_counts[std::hash<std::string>()(mapped_) % hand_over_counts.size()].value) {}

key_state::~key_state() {
    delete spare_.load(std::memory_order_acquire);
}

key_state::admission key_state::enter(ticket& who, notifier& owner) {
    const std::lock_guard guard(mutex_);
    if (who.only_try) {
        for (const ticket* other = first_; other != nullptr; other = other->next) {
            if (other->waiting) return admission::refused;
        }
    }
    who.owner = &owner;
    who.queued = true;
    who.previous = last_;
    who.next = nullptr;
    if (first_ == nullptr) {
        first_ = last_ = &who;
        who.has_turn = true;
        return admission::turn;
    }
    last_->next = &who;
    last_ = &who;
    grant_turns(&who);
    return who.has_turn ? admission::turn : admission::queued;
}

HOLDFAST_HOT bool key_state::enter_alone(ticket& who, bool standing) {
    const std::lock_guard guard(mutex_);
    if (first_ != nullptr) return false;
    first_ = last_ = &who;
    who.queued = who.has_turn = true;
    who.waiting = standing;
    return true;
}

void key_state::bequeath(ticket& from, ticket& heir, notifier& owner) {
    const std::lock_guard guard(mutex_);
    heir = from;
    heir.owner = &owner;
    (heir.previous == nullptr ? first_ : heir.previous->next) = &heir;
    (heir.next == nullptr ? last_ : heir.next->previous) = &heir;
    from = ticket();
}

HOLDFAST_HOT void key_state::stand(ticket& who) {
    const std::lock_guard guard(mutex_);
    if (!who.queued || who.waiting) return;
    who.waiting = true;
    for (ticket* other = first_; other != nullptr;) {
        ticket* const following = other->next;
        if (other->only_try && !other->has_turn) {
            unlink(*other);
            other->owner->notify(signal_turn_refused);
        }
        other = following;
    }
}

HOLDFAST_HOT void key_state::leave(ticket& who) {
    const std::lock_guard guard(mutex_);
    if (!who.queued) return;
    unlink(who);
    if (first_ != nullptr) grant_turns();
}

HOLDFAST_HOT std::unique_ptr<link> key_state::take_spare() noexcept {
    return std::unique_ptr<link>(spare_.exchange(nullptr, std::memory_order_acq_rel));
}

HOLDFAST_HOT void key_state::put_spare(std::unique_ptr<link> spare) noexcept {
    const std::unique_ptr<link> surplus(spare_.exchange(spare.release(), std::memory_order_acq_rel));
}

void key_state::grant_turns(const ticket* entering) {
    bool asking = false;
    bool only_readers = true;
    for (ticket* other = first_; other != nullptr; other = other->next) {
        const bool reader = other->mode == access::shared;
        if (other->has_turn) {
            asking = true;
            // A reader that stands waiting does so for the readers behind it too.
            only_readers = only_readers && reader && !other->waiting;
            continue;
        }
        if (asking && !(only_readers && reader)) return;
        other->has_turn = true;
        asking = true;
        only_readers = reader;
        // Whoever enters is still here to hear of its turn.
        if (other != entering) other->owner->notify(signal_turn);
    }
}

void key_state::unlink(ticket& who) {
    (who.previous == nullptr ? first_ : who.previous->next) = who.next;
    (who.next == nullptr ? last_ : who.next->previous) = who.previous;
    who.next = who.previous = nullptr;
    who.queued = who.has_turn = who.waiting = false;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
