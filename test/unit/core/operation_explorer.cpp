#include "operation_explorer.hpp"

#include <core/key_table.hpp>

#include <algorithm>

namespace holdfast::explorer {

using core::action;
using core::action_kind;
using core::event_kind;
using core::verb;
using core::verdict;

namespace {

constexpr std::chrono::milliseconds reply_grace{100};
constexpr std::chrono::milliseconds cancel_grace{40};
constexpr std::chrono::milliseconds lifetime{600};
constexpr std::chrono::milliseconds step_time{1};
constexpr int most_steps = 200;

core::backend_traits traits_of(core::family family) {
    core::backend_traits made;
    made.family = family;
    made.reply_grace = reply_grace;
    made.cancel_grace = cancel_grace;
    return made;
}

bool takes(verb what) {
    return what == verb::try_acquire || what == verb::wait || what == verb::convert;
}

const char* name_of(action_kind kind) {
    switch (kind) {
        case action_kind::await_turn: return "await_turn";
        case action_kind::need_link: return "need_link";
        case action_kind::send: return "send";
        case action_kind::await_reply: return "await_reply";
        case action_kind::cancel_sent: return "cancel_sent";
        case action_kind::drop_link: return "drop_link";
        case action_kind::arm: return "arm";
        case action_kind::await_wake: return "await_wake";
        case action_kind::complete: return "complete";
    }
    return "?";
}

const char* name_of(verb what) {
    switch (what) {
        case verb::try_acquire: return "try_acquire";
        case verb::wait: return "wait";
        case verb::release: return "release";
        case verb::convert: return "convert";
        case verb::revert: return "revert";
        case verb::probe: return "probe";
        case verb::renew: return "renew";
        case verb::withdraw: return "withdraw";
        case verb::count: return "count";
    }
    return "?";
}

}  // namespace

core::backend_traits session_traits() {
    auto made = traits_of(core::family::session);
    made.waits_on_server = true;
    return made;
}

core::backend_traits lease_traits() {
    auto made = traits_of(core::family::lease);
    made.announces = true;
    made.lease_margin = std::chrono::milliseconds(50);
    made.renewal_cadence = lifetime / 3;
    return made;
}

core::backend_traits kernel_traits() {
    auto made = traits_of(core::family::kernel);
    made.announces = true;
    return made;
}

run::run(const setup& what, chooser& choose) : what_(what), chooser_(choose) {
    if (what.begins_held) {
        held_ = true;
        link_ = !lease();
        if (lease()) lease_until_ = now_ + lifetime;
    }
    if (what.limit) last_moment_ = now_ + *what.limit + reply_grace + cancel_grace + most_steps * step_time;
}

void run::execute(core::operation& op) {
    for (int step = 0; violation_.empty(); ++step) {
        if (step > most_steps) return fail("does not end");
        const core::event given = happened_;
        happened_ = {};
        const action next = op.resume(given, core::moment(now_));
        trace_ += std::string("  -> ") + name_of(next.kind);
        if (next.kind == action_kind::send) trace_ += std::string(" ") + name_of(next.cmd.what);
        trace_ += '\n';
        if (next.kind == action_kind::complete) {
            check_end(op.result());
            return;
        }
        now_ += step_time;
        carry_out(next);
    }
}

void run::carry_out(const action& next) {
    options_.clear();
    switch (next.kind) {
        case action_kind::await_turn: take_turn(next); break;
        case action_kind::need_link: connect(next); break;
        case action_kind::send:
            begin(next);
            await(next);
            break;
        case action_kind::cancel_sent:
        case action_kind::await_reply:
            if (!pending_) fail("awaits a reply to nothing");
            await(next);
            break;
        case action_kind::drop_link:
            if (pending_ && what_.traits.family == core::family::session && pending_->what != verb::withdraw) {
                unanswered_ = true;
            }
            offer("dropped, nothing arrives", [this] { drop_link(false); });
            if (pending_) offer("dropped, but the request arrives", [this] { drop_link(true); });
            break;
        case action_kind::arm: offer("armed", [this] { happened_.kind = event_kind::armed; }); break;
        case action_kind::await_wake:
            offer("woken", [this] { happened_.kind = event_kind::woken; });
            offer_time(next);
            break;
        case action_kind::complete: break;
    }
    if (violation_.empty()) choose();
}

void run::choose() {
    if (options_.empty()) return fail("nothing can happen any more");
    const option chosen = options_[chooser_.pick(options_.size(), options_.size())];
    chosen.effect();
    trace_ += std::string(chosen.name) + '\n';
}

void run::take_turn(const action& next) {
    offer("turn", [this] { happened_.kind = event_kind::turn; });
    if (next.only_try) offer("turn refused", [this] { happened_.kind = event_kind::turn_refused; });
    offer_time(next);
}

void run::connect(const action&) {
    // The driver destroys the old link first.
    if (link_) drop_link(false);
    if (pending_) fail("a new link while a command is out");
    offer("link ready", [this] {
        link_ = true;
        happened_.kind = event_kind::link_ready;
    });
    offer("link failed", [this] {
        reply_ = {};
        happened_.kind = event_kind::link_failed;
        happened_.answer = &reply_;
    });
}

void run::begin(const action& next) {
    check_command(next);
    pending_ = next.cmd;
    sent_at_ = now_;
    if (!takes(next.cmd.what) && last_moment_ != core::never) last_moment_ += reply_grace;
    if (next.cmd.staying && what_.traits.announces) mark_ = true;
}

void run::check_command(const action& next) {
    const verb what = next.cmd.what;
    if (!link_) return fail(std::string("sends without a link: ") + name_of(what));
    if (pending_) return fail("sends while a command is out");
    if (takes(what) && cancelled_) fail("asks again after it was cancelled");
    if (takes(what) && what != verb::convert && held_now()) fail("asks for what it holds");
    if (what == verb::convert && (!held_ || converted_)) fail("converts what it does not hold, or has converted");
    if (what == verb::wait && !what_.traits.waits_on_server) fail("waits where waiting is no command");
    if (what == verb::wait && !what_.limit && next.until != core::never) fail("an infinite wait has an end");
    if (next.cmd.staying && what_.limit && now_ >= began_ + *what_.limit + step_time) {
        fail("announces itself when its time is over");
    }
}

void run::await(const action& next) {
    offer_answers();
    offer_losses();
    offer_time(next);
}

void run::offer_time(const action& next) {
    if (next.until != core::never) {
        offer("time", [this, until = next.until] {
            now_ = std::max(now_, until);
            happened_.kind = event_kind::time;
        });
    }
    if (cancelled_ || releasing()) return;
    offer("CANCELLED", [this] {
        cancelled_ = true;
        happened_.kind = event_kind::cancelled;
        const auto bound = now_ + cancel_grace + reply_grace + most_steps * step_time;
        // The probe that may be out already may use its time up, and so may what is sent from now on.
        last_moment_ = std::max(now_, std::min(last_moment_, bound)) + reply_grace + cancel_grace;
    });
}

void run::offer_answers() {
    if (!pending_) return;
    switch (const verb what = pending_->what) {
        case verb::try_acquire:
        case verb::wait:
        case verb::convert:
            offer_grant();
            offer("refused", [this, what] {
                const bool waited = what == verb::wait || (what == verb::convert && pending_->limit.count() != 0);
                answer(waited ? verdict::timed_out : verdict::refused);
            });
            offer("failed", [this] { answer(verdict::failed, errc::protocol); });
            if (what == verb::wait) offer("deadlock", [this] { answer(verdict::deadlock, errc::deadlock); });
            offer_doubt();
            return;
        case verb::probe:
            offer("probe told the truth", [this] {
                const bool yes = upgrading() ? converted_ : held_now();
                answer(yes ? verdict::granted : verdict::not_held);
                if (lease()) reply_.lifetime = lease_until_ - now_;
            });
            offer("probe failed", [this] { answer(verdict::failed, errc::protocol); });
            return;
        case verb::release:
        case verb::revert:
            offer("given back", [this] {
                const bool had = held_now();
                apply();
                answer(had ? verdict::released : verdict::not_held);
            });
            offer("giving back failed", [this] { answer(verdict::failed, errc::protocol); });
            offer("giving back in doubt", [this] { answer(verdict::doubt, errc::protocol); });
            return;
        case verb::withdraw:
            offer("withdrawn", [this] {
                apply();
                answer(verdict::released);
            });
            offer("withdrawing failed", [this] { answer(verdict::failed, errc::protocol); });
            return;
        case verb::renew:
        case verb::count:
            offer_grant();
            offer("not held", [this] { answer(verdict::not_held); });
            offer("failed", [this] { answer(verdict::failed, errc::protocol); });
            return;
    }
}

void run::offer_grant() {
    offer("granted", [this] {
        apply();
        answer(verdict::granted);
        reply_.lifetime = lifetime;
    });
    if (!lease()) return;
    offer("granted at once, but the answer comes when the lease is over", [this] {
        apply(false);
        now_ = std::max(now_, sent_at_ + lifetime);
        if (last_moment_ != core::never) last_moment_ = std::max(last_moment_, now_ + reply_grace) + lifetime;
        answer(verdict::granted);
        reply_.lifetime = lifetime;
    });
}

void run::offer_doubt() {
    offer("doubt, and granted", [this] {
        apply();
        answer(verdict::doubt, errc::deadlock);
    });
    offer("doubt, and not granted", [this] { answer(verdict::doubt, errc::deadlock); });
}

void run::offer_losses() {
    if (!pending_ || what_.traits.family == core::family::kernel) return;
    offer("link lost before the request arrived", [this] {
        drop_link(false);
        answer(verdict::link_lost);
    });
    offer("link lost after the request was carried out", [this] {
        drop_link(true);
        answer(verdict::link_lost);
    });
}

void run::answer(verdict result, errc code) {
    pending_.reset();
    reply_ = {};
    reply_.result = result;
    reply_.code = code;
    happened_.kind = event_kind::replied;
    happened_.answer = &reply_;
    happened_.sent_at = sent_at_;
}

/// The server carries the pending command out.
void run::apply(bool counted_from_now) {
    switch (pending_->what) {
        case verb::try_acquire:
        case verb::wait:
            held_ = true;
            mark_ = false;
            if (lease()) lease_until_ = (counted_from_now ? now_ : sent_at_) + lifetime;
            break;
        case verb::convert: converted_ = true; break;
        case verb::revert: converted_ = false; break;
        case verb::release: held_ = converted_ = false; break;
        case verb::withdraw: mark_ = false; break;
        case verb::renew:
            if (held_now()) lease_until_ = now_ + lifetime;
            break;
        case verb::probe:
        case verb::count: break;
    }
}

void run::drop_link(bool arrives) {
    if (pending_ && arrives) apply();
    pending_.reset();
    link_ = false;
    // What a session or a descriptor holds ends with it.
    if (!lease()) held_ = converted_ = mark_ = false;
    happened_.kind = event_kind::dropped;
}

void run::check_end(const core::outcome& how) {
    trace_ += std::string("succeeded=") + (how.succeeded ? "yes" : "no") +
              " code=" + make_error_code(how.code).message() + " state=" + std::to_string(static_cast<int>(how.state)) +
              '\n';
    if (pending_) fail("ends while a command is out, on a link that goes back to the pool");
    if (how.succeeded) {
        check_success(how);
    } else {
        check_failure(how);
    }
    check_time(how);
}

void run::check_success(const core::outcome& how) {
    if (cancelled_) fail("succeeds after it was cancelled");
    if (what_.ask == verb::count || what_.ask == verb::renew) return;
    if (releasing()) {
        if (held_now()) fail("a release that succeeded left the lock held");
        return;
    }
    if (!held_now()) fail("succeeds without the lock");
    if (upgrading() && !converted_) fail("succeeds without the upgrade");
    if (lease() && how.valid_until > lease_until_) fail("believes in its lease for longer than the server");
    if (lease() && how.valid_until <= now_) fail("succeeds with a lease that is over");
    if (!lease() && !link_) fail("succeeds without the link that keeps the lock");
}

void run::check_failure(const core::outcome& how) {
    if (cancelled_ && how.code == errc::timed_out) fail("was cancelled, and says that its time is over");
    if (!cancelled_ && how.code == errc::cancelled) fail("says that it was cancelled, and was not");
    if (how.code == errc::timed_out && how.state == held_state::unknown) fail("'timed out' hides a doubt");
    if (how.code == errc::timed_out && !what_.limit) fail("an infinite wait timed out");
    if (what_.ask == verb::count || what_.ask == verb::renew) return;
    if (releasing()) {
        const bool known = how.state == held_state::lost || how.state == held_state::released;
        if (held_now() && known) fail("the lock is still held, and the release knows nothing of it");
        if (!lease() && held_ && link_) fail("a link that still holds goes back to the pool");
        return;
    }
    if (upgrading()) {
        if (converted_) fail("a failed upgrade left the upgrade behind");
        if (how.code != errc::lost && !held_) fail("the upgrade lost the lock and does not say so");
        return;
    }
    if (held_now() && !(lease() && how.state == held_state::unknown)) fail("fails, and leaves the lock held");
    // Until a server that did not answer knows that the link has ended, what it was asked for may be held.
    if (unanswered_ && how.state != held_state::unknown) fail("knows what nobody can know");
    if (mark_ && link_ && how.code != errc::deadlock) trace_ += "a mark is left\n";
}

void run::check_time(const core::outcome&) {
    if (last_moment_ != core::never && now_ > last_moment_) fail("ends too late");
}

void run::fail(const std::string& why) {
    if (violation_.empty()) violation_ = why;
}

result explore(const setup& what, std::size_t depth,
               const std::function<std::unique_ptr<core::operation>(const setup&, const core::claim&)>& make) {
    auto target = std::make_shared<const core::resource>(std::make_shared<core::key_table>()->use("name"),
                                                         core::primitive_kind::lock, "name");
    const core::claim who{target, core::access::exclusive, core::owner_id("owner")};
    result found;
    every_choice choices(depth);
    do {
        const auto op = make(what, who);
        run one(what, choices);
        one.execute(*op);
        ++found.runs;
        if (!one.violation().empty()) {
            found.violation = what.name + ": " + one.violation() + "\n" + one.trace();
            return found;
        }
    } while (choices.advance());
    return found;
}

}  // namespace holdfast::explorer
