#include <core/at_once.hpp>
#include <core/hot.hpp>
#include <core/parker.hpp>
#include <core/release_operation.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

class deaf_notifier final : public notifier {
    void notify(unsigned) noexcept override {}
} nobody;

/// Whoever has it is the only one.
bool excludes_all(const claim& who) noexcept {
    return who.mode != access::shared && who.target->max_count == 1;
}

}  // namespace

// Who waits for the lock alone is seen to stand from the beginning: either it is had at once, and then a try that is
// refused meanwhile is refused rightly, or it is not. Of what several may have, nobody must be refused before it is
// sure.
HOLDFAST_HOT lone_place::lone_place(const claim& who) : key_(*who.target->key) {
    place_.mode = who.mode;
    alone_ = key_.enter_alone(place_, excludes_all(who));
}

HOLDFAST_HOT lone_place::~lone_place() {
    // Also where the machine has had it: then it is in no queue.
    if (alone_) key_.leave(place_);
}

HOLDFAST_HOT taking take_at_once(provider_state& provider, const claim& who, timeout limit, const std::stop_token& stop,
                                 lone_place& place, std::unique_ptr<link>& keeper) noexcept {
    if (!place) return taking::beyond;
    try {
        keeper = provider.take_link(who, false, waiter::caller_undisturbed);
        const bool ended_by_stop = stop.stop_possible();
        if (excludes_all(who) && !ended_by_stop) return keeper->take(who, limit, nullptr);
        // Being ready to be ended costs more than a lock; most are free.
        const taking tried = keeper->take(who, timeout::zero(), nullptr);
        if (tried != taking::refused || limit.is_zero()) return tried;
        place.stand();
        if (!ended_by_stop) return keeper->take(who, limit, nullptr);
        parker self;
        const std::stop_callback ended(stop, [&self] { self.rouse(); });
        return keeper->take(who, limit, &self);
    } catch (...) {
        // The machine meets it too, and knows how to tell.
        keeper.reset();
        return taking::beyond;
    }
}

HOLDFAST_HOT bool give_back_at_once(provider_state& provider, const claim& who, std::unique_ptr<link> keeper,
                                    outcome& how) {
    command give_back;
    give_back.what = verb::release;
    give_back.who = &who;
    reply lost;
    lost.result = verdict::link_lost;
    const reply* answer = &lost;
    if (keeper != nullptr) {
        try {
            keeper->start(give_back, nobody);
            answer = &keeper->last_reply();
        } catch (const std::exception& failed) {
            // In no state to be used again.
            lost.text = failed.what();
            keeper.reset();
        }
    }
    if (answer->result == verdict::released) {
        provider.put_link(who, std::move(keeper));
        return true;
    }
    release_operation machine(who, provider.traits(), provider.release_timeout());
    const moment now;
    machine.resume({event_kind::start, nullptr, {}}, now);
    const action next = machine.resume({event_kind::replied, answer, {}}, now);
    if (next.kind == action_kind::complete) {
        provider.put_link(who, std::move(keeper));
    } else {
        // Its end gives the lock back after all.
        keeper.reset();
        machine.resume({event_kind::dropped, nullptr, {}}, now);
    }
    how = std::move(machine.result());
    return how.succeeded;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
