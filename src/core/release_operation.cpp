#include <core/release_operation.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

constexpr int most_lost_links = 3;

}  // namespace

action release_operation::resume(const event& happened, const moment& now) {
    switch (state_) {
        case state::idle:
            if (!traits_.answers_at_once) deadline_ = now() + limit_;
            if (traits_.family != family::lease) return ask();
            state_ = state::linking;
            return {action_kind::need_link, {}, deadline_};

        case state::linking:
            if (happened.kind == event_kind::link_ready) return ask();
            state_ = state::done;
            result_.state = held_state::unknown;
            return finish_with(in_doubt_ ? errc::in_doubt : errc::unavailable, happened.answer);

        case state::asking:
            if (happened.kind == event_kind::replied) return on_answer(*happened.answer, now);
            if (happened.kind == event_kind::cancelled) return {action_kind::await_reply, {}, deadline_};
            result_.code = errc::in_doubt;
            return drop();

        case state::dropping:
        case state::done: break;
    }
    state_ = state::done;
    result_.state = held_state::unknown;
    return finish_with(result_.code);
}

action release_operation::drop() {
    state_ = state::dropping;
    return {action_kind::drop_link};
}

action release_operation::ask() {
    state_ = state::asking;
    action next{action_kind::send, {}, deadline_};
    next.cmd.what = verb::release;
    next.cmd.who = &who_;
    next.cmd.reconnect_until = deadline_;
    return next;
}

action release_operation::on_answer(const reply& answer, const moment& now) {
    switch (answer.result) {
        case verdict::released:
        case verdict::granted: state_ = state::done; return finish_well();
        case verdict::not_held:
        case verdict::refused:
            state_ = state::done;
            // After a lost reply, "you do not have it" is what success looks like.
            if (in_doubt_) return finish_well();
            result_.state = held_state::lost;
            return finish_with(errc::lost, &answer);
        case verdict::link_lost:
            // An idle link may have died long ago; a server that closes one link after another is not to be hammered.
            if (traits_.family == family::lease && now() < deadline_ && ++lost_links_ < most_lost_links) {
                in_doubt_ = true;
                state_ = state::linking;
                action next{action_kind::need_link, {}, deadline_};
                next.fresh = true;
                return next;
            }
            state_ = state::done;
            // The session that kept the lock is over, and the lock with it.
            result_.state = traits_.family == family::lease ? held_state::unknown : held_state::lost;
            return finish_with(traits_.family == family::lease ? errc::in_doubt : errc::lost, &answer);
        case verdict::timed_out:
        case verdict::deadlock:
        case verdict::doubt:
        case verdict::failed: break;
    }
    result_.code = answer.result == verdict::doubt ? errc::in_doubt : answer.code;
    result_.native_code = answer.native_code;
    result_.text = answer.text;
    // A link that may still hold must not serve anybody else; its end gives the lock back after all.
    if (traits_.family != family::lease) return drop();
    state_ = state::done;
    result_.state = held_state::unknown;
    return finish_with(result_.code);
}

action query_operation::resume(const event& happened, const moment& now) {
    switch (happened.kind) {
        case event_kind::start:
            if (!traits_.answers_at_once) deadline_ = now() + limit_;
            return {action_kind::need_link, {}, deadline_};
        case event_kind::link_ready: {
            action next{action_kind::send, {}, deadline_};
            next.cmd.what = what_;
            next.cmd.who = &who_;
            next.cmd.together = together_;
            next.cmd.reconnect_until = deadline_;
            return next;
        }
        case event_kind::replied: {
            const reply& answer = *happened.answer;
            result_.count = answer.count;
            if (answer.result == verdict::granted) {
                result_.valid_until = happened.sent_at + answer.lifetime - traits_.lease_margin;
                return finish_well();
            }
            if (answer.result == verdict::not_held || answer.result == verdict::refused) {
                return finish_with(errc::not_held, &answer);
            }
            return finish_with(answer.result == verdict::link_lost ? errc::unavailable : answer.code, &answer);
        }
        case event_kind::cancelled:
            // Whoever cancels a question wants no answer; its link may still get one, so it is not used again.
            result_.code = errc::cancelled;
            return {action_kind::drop_link};
        case event_kind::time: result_.code = errc::unavailable; return {action_kind::drop_link};
        case event_kind::dropped: return finish_with(result_.code);
        default: return finish_with(errc::unavailable, happened.answer);
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
