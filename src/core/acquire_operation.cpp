#include <core/acquire_operation.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

boottime::time_point later(boottime::time_point from, std::chrono::nanoseconds by) noexcept {
    // What is less than nothing must not be taken off `never`: that has no room above it.
    if (by <= std::chrono::nanoseconds::zero()) return from + by;
    return from > never - by ? never : from + by;
}

}  // namespace

acquire_operation::acquire_operation(const claim& who, const backend_traits& traits, timeout limit, verb ask) noexcept
    : who_(who), traits_(traits), limit_(limit), ask_(ask) {}

action acquire_operation::resume(const event& happened, const moment& now) {
    switch (state_) {
        case state::idle: {
            if (!limit_.is_infinite()) deadline_ = later(now(), limit_.duration());
            if (upgrading()) return ask(now);
            state_ = state::queued;
            // Whoever asks before us has its answer soon, or stands in line: then a try is refused. So a try may wait
            // for its turn without breaking its promise not to wait for the lock.
            action next{action_kind::await_turn, {}, deadline_};
            next.only_try = limit_.is_zero();
            if (next.only_try) next.until = later(deadline_, traits_.reply_grace);
            return next;
        }

        case state::queued:
            if (happened.kind == event_kind::turn) {
                state_ = state::linking;
                return {action_kind::need_link};
            }
            return finish(happened.kind == event_kind::cancelled ? errc::cancelled : errc::timed_out);

        case state::linking:
            if (happened.kind == event_kind::link_failed) return finish(happened.answer->code, happened.answer);
            return ask(now);

        case state::asking:
        case state::standing:
            if (happened.kind == event_kind::replied) return on_answer(happened, now);
            if (happened.kind == event_kind::cancelled) return cancel(errc::cancelled, now);
            // The server owes us an answer that it should have given by now. In a wait, its own timer may only be slow.
            return cancel(state_ == state::standing ? errc::timed_out : errc::unavailable, now);

        case state::arming:
            armed_ = true;
            // It may have become free before we listened.
            return ask(now);

        case state::waiting:
            if (happened.kind == event_kind::cancelled) return give_up(errc::cancelled, nullptr, now);
            // Also when the time is over: the last try is made at the deadline.
            return ask(now);

        case state::cancelling:
            if (happened.kind == event_kind::replied) return on_answer(happened, now);
            if (happened.kind == event_kind::cancelled) {
                reason_ = errc::cancelled;
                return {action_kind::await_reply, {}, later(now(), traits_.cancel_grace)};
            }
            return drop();

        case state::probing: return on_probed(happened, now);
        case state::giving_back: return on_given_back(happened, now);

        case state::withdrawing:
            if (happened.kind == event_kind::cancelled) {
                reason_ = errc::cancelled;
                return {action_kind::await_reply, {}, overdue(now)};
            }
            if (happened.kind == event_kind::replied && happened.answer->result != verdict::link_lost) {
                return finish(reason_);
            }
            // Its answer is still out, so nobody else may have this link. There is nothing to give back.
            withdrawn_ = true;
            return drop();

        case state::dropping: return after_drop(now);

        case state::rescuing:
            if (happened.kind == event_kind::link_ready) {
                state_ = state::giving_back;
                return send(verb::release, overdue(now));
            }
            // What the lost link may have been granted ends with its lease; until then nobody can tell.
            result_.state = held_state::unknown;
            return finish(reason_, happened.answer);

        case state::done: break;
    }
    return {action_kind::complete};
}

action acquire_operation::ask(const moment& now) {
    state_ = state::asking;
    const boottime::time_point until = limit_.is_infinite() || traits_.answers_at_once
                                           ? overdue(now)
                                           : later(std::max(now(), deadline_), traits_.reply_grace);
    action next = send(ask_, until);
    // The grace is for answers that are on their way, not for servers that are not there.
    if (!limit_.is_infinite()) next.cmd.reconnect_until = deadline_;
    next.cmd.staying = armed_ && time_left(now);
    next.waiting = armed_;
    if (next.cmd.staying && traits_.announces) announced_ = true;
    return next;
}

action acquire_operation::on_answer(const event& happened, const moment& now) {
    const reply& answer = *happened.answer;
    switch (answer.result) {
        case verdict::granted: return leaving_ && reason_ != errc::timed_out ? give_back(now) : accept(happened, now);
        case verdict::refused:
            if (leaving_) return give_up(reason_, nullptr, now);
            return on_refused(answer, now);
        case verdict::timed_out:
            if (leaving_ || !time_left(now)) return give_up(leaving_ ? reason_ : errc::timed_out, nullptr, now);
            // The server has a limit of its own, which is not ours: stand there again.
            state_ = state::asking;
            return on_refused(answer, now);
        case verdict::doubt:
            doubt_ = answer.code;
            remember(answer);
            state_ = state::probing;
            return send(verb::probe, overdue(now));
        case verdict::deadlock: return give_up(errc::deadlock, &answer, now);
        case verdict::link_lost: return on_link_lost(answer, now);
        case verdict::not_held:
            if (upgrading()) return finish(errc::lost, &answer);
            break;
        case verdict::released:
        case verdict::failed: break;
    }
    if (leaving_) return give_up(reason_, nullptr, now);
    return give_up(answer.code, &answer, now);
}

action acquire_operation::on_refused(const reply& answer, const moment& now) {
    if (limit_.is_zero() || !time_left(now) || state_ == state::standing) {
        return give_up(errc::timed_out, nullptr, now);
    }
    if (traits_.waits_on_server) {
        state_ = state::standing;
        const auto left = limit_.is_infinite() ? std::chrono::milliseconds(-1)
                                               : std::chrono::ceil<std::chrono::milliseconds>(deadline_ - now());
        action next = send(upgrading() ? verb::convert : verb::wait,
                           limit_.is_infinite() ? never : later(deadline_, traits_.reply_grace));
        next.cmd.limit = left;
        next.waiting = true;
        return next;
    }
    if (!armed_) {
        state_ = state::arming;
        action next{action_kind::arm, {}, deadline_};
        next.waiting = true;
        return next;
    }
    state_ = state::waiting;
    return {action_kind::await_wake, {}, std::min(deadline_, answer.retry_at)};
}

action acquire_operation::on_link_lost(const reply& answer, const moment& now) {
    if (traits_.family == family::lease) {
        // The request may have arrived although its answer did not.
        asks_again_ = !traits_.links_reconnect && !leaving_ && state_ == state::asking && !replaced_ &&
                      (time_left(now) || limit_.is_zero());
        remember(answer);
        return drop();
    }
    // A session's locks end with it, so nothing is left behind. An idle link may have died unnoticed long ago: that is
    // no reason to fail, once. A link that holds already (an upgrade) is not to be replaced: its lock is gone.
    if (upgrading()) return finish(errc::lost, &answer);
    if (leaving_) return finish(reason_);
    if (state_ == state::asking && !replaced_ && (time_left(now) || limit_.is_zero())) {
        replaced_ = true;
        // Watch and mark were the old link's.
        armed_ = announced_ = false;
        state_ = state::linking;
        action next{action_kind::need_link};
        next.fresh = true;
        return next;
    }
    return finish(errc::unavailable, &answer);
}

action acquire_operation::accept(const event& happened, const moment& now) {
    const reply& answer = *happened.answer;
    if (traits_.family == family::lease && !upgrading()) {
        // Counted from when we asked: the server cannot have begun to count before that.
        result_.valid_until = later(happened.sent_at, answer.lifetime - traits_.lease_margin);
        if (answer.lifetime <= traits_.lease_margin || now() >= result_.valid_until) {
            reason_ = errc::unavailable;
            result_.text = "the answer came when the lease it granted was already over";
            leaving_ = true;
            return give_back(now);
        }
    }
    result_.token = answer.token;
    result_.asked_at = happened.sent_at;
    state_ = state::done;
    return finish_well();
}

action acquire_operation::on_probed(const event& happened, const moment& now) {
    if (happened.kind == event_kind::cancelled) {
        leaving_ = true;
        reason_ = errc::cancelled;
        return {action_kind::await_reply, {}, overdue(now)};
    }
    if (happened.kind != event_kind::replied) return drop();
    const reply& answer = *happened.answer;
    if (answer.result == verdict::granted) {
        return leaving_ && reason_ != errc::timed_out ? give_back(now) : accept(happened, now);
    }
    if (answer.result == verdict::link_lost && traits_.family != family::lease) return on_link_lost(answer, now);
    // Not even the question is answered.
    if (answer.result != verdict::not_held && answer.result != verdict::refused) return drop();
    if (leaving_) return give_up(reason_, nullptr, now);
    if (doubt_ == errc::timed_out && time_left(now)) {
        state_ = state::asking;
        return on_refused(answer, now);
    }
    return give_up(doubt_, nullptr, now);
}

action acquire_operation::on_given_back(const event& happened, const moment& now) {
    if (happened.kind == event_kind::cancelled) {
        asks_again_ = false;
        reason_ = errc::cancelled;
        return {action_kind::await_reply, {}, overdue(now)};
    }
    if (happened.kind != event_kind::replied) return drop();
    switch (happened.answer->result) {
        case verdict::released:
        case verdict::granted:
        case verdict::not_held:
        case verdict::refused:
            if (!asks_again_) return give_up(reason_, nullptr, now);
            asks_again_ = leaving_ = rescued_ = false;
            replaced_ = true;
            return ask(now);
        case verdict::timed_out:
        case verdict::deadlock:
        case verdict::doubt:
        case verdict::failed:
            // A link that may still hold must not serve anybody else. A lease has no such link, and ends by itself.
            if (traits_.family != family::lease) return drop();
            result_.state = held_state::unknown;
            return give_up(reason_, nullptr, now);
        case verdict::link_lost:
            if (traits_.family != family::lease) return on_link_lost(*happened.answer, now);
            break;
    }
    return drop();
}

action acquire_operation::cancel(errc reason, const moment& now) {
    leaving_ = true;
    reason_ = reason;
    state_ = state::cancelling;
    return {action_kind::cancel_sent, {}, later(now(), traits_.cancel_grace)};
}

action acquire_operation::give_back(const moment& now) {
    state_ = state::giving_back;
    // Whoever has it does not stand waiting for it.
    announced_ = false;
    return send(upgrading() ? verb::revert : verb::release, overdue(now));
}

action acquire_operation::give_up(errc reason, const reply* cause, const moment& now) {
    if (!announced_) return finish(reason, cause);
    if (cause != nullptr) remember(*cause);
    reason_ = reason;
    announced_ = false;
    state_ = state::withdrawing;
    return send(verb::withdraw, overdue(now));
}

action acquire_operation::drop() {
    if (!leaving_) {
        leaving_ = true;
        // Not withdrawing, which has its reason already.
        if (state_ != state::withdrawing) reason_ = errc::unavailable;
    }
    // The watch was armed with this link, and goes with it.
    armed_ = false;
    state_ = state::dropping;
    return {action_kind::drop_link};
}

action acquire_operation::after_drop(const moment& now) {
    if (traits_.family != family::lease) {
        // A server that does not answer may have granted it. It learns of the link's end, or of what the link asks it
        // to give back, when it can; until then nobody can tell.
        if (!withdrawn_) result_.state = held_state::unknown;
        return finish(upgrading() ? errc::lost : reason_);
    }
    if (withdrawn_) return finish(reason_);
    if (!rescued_) {
        rescued_ = true;
        state_ = state::rescuing;
        action next{action_kind::need_link, {}, overdue(now)};
        next.fresh = true;
        return next;
    }
    result_.state = held_state::unknown;
    return finish(reason_);
}

void acquire_operation::remember(const reply& cause) {
    result_.native_code = cause.native_code;
    result_.text = cause.text;
}

action acquire_operation::finish(errc code, const reply* cause) {
    state_ = state::done;
    result_.valid_until = never;
    // Neither "somebody else has it" nor "you do not have it" is known.
    const bool is_known = result_.state != held_state::unknown;
    if (!is_known && (code == errc::timed_out || code == errc::unavailable)) code = errc::in_doubt;
    return finish_with(code, cause);
}

action acquire_operation::send(verb what, boottime::time_point until) {
    action next{action_kind::send, {}, until};
    next.cmd.what = what;
    next.cmd.who = &who_;
    next.cmd.reconnect_until = until;
    next.cmd.upgraded = what == verb::probe && upgrading();
    return next;
}

boottime::time_point acquire_operation::overdue(const moment& now) const noexcept {
    return traits_.answers_at_once ? never : later(now(), traits_.reply_grace);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
