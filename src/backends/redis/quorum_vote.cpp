#include <backends/redis/quorum_vote.hpp>

#include <algorithm>
#include <random>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// After a vote that nobody won: short, and at random, so that the same ones do not meet again. Twice as long each
/// time: what looks like that may be a holder that not all servers know of.
constexpr std::chrono::milliseconds shortest_revote{5};
constexpr std::chrono::milliseconds longest_revote{50};
constexpr int most_doublings = 2;
/// A lock that a bare majority has does not outlive the loss of one of them. So those that are still being connected to
/// are given as long as the others took, and no less than this.
constexpr boottime::duration shortest_spread = std::chrono::milliseconds(5);
/// How long it is awaited that what was granted in vain is given back: by who has granted it, and by who may have.
constexpr std::chrono::milliseconds longest_undo{500};
constexpr std::chrono::milliseconds shortest_undo{20};

}  // namespace

using core::verb;
using core::verdict;

quorum_vote::quorum_vote(const strategy& commands, std::size_t servers, leftovers& rest)
    : commands_(commands), rest_(rest), legs_(servers), used_(servers), tally_(servers) {}

core::progress quorum_vote::begin_vote(const core::command& cmd, core::notifier& on_progress,
                                       boottime::time_point now) {
    if (!strategy::asks(cmd)) {
        set_reply(verdict::released);
        return {true, core::never};
    }
    began_ = now;
    give_up_at_ = began_ + (commands_.settings().expiry - commands_.settings().min_validity);
    what_ = cmd.what;
    who_ = cmd.who;
    if (who_->owner != voter_) splits_ = 0;
    voter_ = who_->owner;
    // A semaphore is kept by one server, the first.
    command_ = cmd;
    used_ = cmd.who->mode == core::access::ticket ? 1 : legs_.size();
    tally_ = tally(used_);
    refused_until_ = spread_until_ = core::never;
    fault_ = {};
    undoing_ = cancelled_ = owed_ = false;
    on_progress_ = &on_progress;
    begin(on_progress);
    for (std::size_t at = 0; at < used_; ++at) ask(at, cmd, on_progress);
    drive(began_);
    return look(began_);
}

core::progress quorum_vote::go_on(boottime::time_point now) {
    drive(now);
    return look(now);
}

void quorum_vote::cancel(boottime::time_point now) {
    // Whatever has not been answered is taken back; so there is no need to wait for it.
    if (what_ == verb::try_acquire && !undoing_) {
        cancelled_ = true;
        give_up_at_ = now;
    }
}

boottime::duration quorum_vote::pick(boottime::duration shortest, boottime::duration longest) const {
    thread_local std::minstd_rand random(std::random_device{}());
    return boottime::duration(std::uniform_int_distribution<boottime::rep>(shortest.count(), longest.count())(random));
}

void quorum_vote::ask(std::size_t at, const core::command& cmd, core::notifier& on_progress) {
    leg& one = legs_[at];
    if (one.asked == nullptr) {
        one.asked = std::make_shared<request>();
    } else {
        *one.asked = request{};
    }
    one.out = true;
    one.granted = false;
    one.deferred = cmd.what == verb::try_acquire && one.undo != nullptr && one.undone == cmd.who->owner;
    if (one.deferred) {
        set_asker(at, *one.undo, &on_progress);
        return;
    }
    one.undo = nullptr;
    if (one.undone != cmd.who->owner) one.rest = nullptr;
    if (cmd.what == verb::try_acquire && owes(at)) {
        one.out = false;
        if (fault_.text.empty()) fault_.text = "a server that did not answer has not been reached since";
        tally_.add(tally::answer::fault);
        return;
    }
    submit_command(at, cmd, on_progress);
}

/// Whether something of the same owner may still be taken back there.
bool quorum_vote::owes(std::size_t at) {
    leg& one = legs_[at];
    if (one.rest != nullptr && rest_.is_settled(at, *one.rest)) one.rest = nullptr;
    return one.rest != nullptr;
}

void quorum_vote::submit_command(std::size_t at, const core::command& cmd, core::notifier& on_progress) {
    request& one = *legs_[at].asked;
    commands_.fill(one, cmd);
    one.reconnect_until = {};
    one.one_of_many = true;
    // A majority may have answered before one of them says that it does not know the script any more.
    one.with_source = strategy::takes_away(cmd.what);
    submit(at, one, on_progress);
}

/// True when it has been asked by now.
bool quorum_vote::ask_deferred(std::size_t at) {
    leg& one = legs_[at];
    if (!one.deferred) return true;
    if (!is_done(at, *one.undo)) return false;
    one.deferred = false;
    const bool answered = one.undo->answer != nullptr;
    if (!answered || owes(at)) {
        // It may still be carried out, over this connection or the leftovers' own, and would take the new vote
        // away: this server has none for this owner, for now.
        one.out = false;
        const bool for_now = answered && !rest_.is_unsettleable(at, *one.rest);
        if (!for_now && fault_.text.empty())
            fault_.text = "what a server may have granted may be taken back at any time";
        owed_ = owed_ || for_now;
        tally_.add(for_now ? tally::answer::no : tally::answer::fault);
        return false;
    }
    one.undo = nullptr;
    submit_command(at, command_, *on_progress_);
    return true;
}

core::progress quorum_vote::look(boottime::time_point now) {
    bool more = false;
    for (std::size_t at = 0; at < used_; ++at) {
        leg& one = legs_[at];
        if (!one.out) continue;
        const bool was_deferred = one.deferred;
        if (!ask_deferred(at)) continue;
        more = more || was_deferred;
        if (!is_done(at, *one.asked)) continue;
        one.out = false;
        count(one, now);
    }
    if (more) drive(now);
    if (!undoing_ && !decide(now)) {
        // Once it is won, nothing is given up.
        const bool spreads = spread_until_ != core::never;
        return {false, std::min(spreads ? spread_until_ : give_up_at_, again_at())};
    }
    if (undoing_) {
        const auto until = undo_until(now);
        if (now < until) return {false, std::min(until, again_at())};
    }
    for (std::size_t at = 0; at < used_; ++at) leave(at, now);
    forget_rest();
    end();
    return {true, core::never};
}

/// An answer that still comes is swallowed; but what was not sent, or is lost on its way, will not be sent at any later
/// time, when the link is used again.
void quorum_vote::forget_rest() noexcept {
    for (std::size_t at = 0; at < legs_.size(); ++at) {
        leg& one = legs_[at];
        if (one.out && !one.deferred) forget(at, *one.asked);
        one.out = false;
    }
}

/// The command is done; what the server has not confirmed by now is not this link's to wait for.
void quorum_vote::leave(std::size_t at, boottime::time_point now) {
    leg& one = legs_[at];
    if (one.undo != nullptr) set_asker(at, *one.undo, nullptr);
    bool open = false;
    if (undoing_ && one.undo != nullptr && one.rest == nullptr) {
        open = !is_done(at, *one.undo) || one.undo->answer == nullptr;
    } else if (strategy::takes_away(what_)) {
        open = one.out ? !hears_later() || !is_out(at, *one.asked) : one.asked->answer == nullptr;
        if (open && one.out) forget(at, *one.asked);
        if (one.out && !open) {
            // A majority is enough for the caller; the others are to hear of it all the same.
            keep(at, std::move(one.asked), now + commands_.settings().expiry);
        }
        one.out = false;
    }
    if (!open) return;
    const bool again = one.undo != nullptr && is_sent(at, *one.undo);
    const script* which = nullptr;
    std::string text = commands_.undo(*who_, which);
    one.rest = rest_.take_back(at, who_->owner, std::move(text), *which, now + commands_.settings().expiry, now);
    one.undone = who_->owner;
    if (one.rest != nullptr && !again) one.undo = nullptr;
}

/// Until when to await answers of undos; a past time when there are none.
boottime::time_point quorum_vote::undo_until(boottime::time_point now) {
    auto until = boottime::time_point::min();
    for (std::size_t at = 0; at < used_; ++at) {
        leg& one = legs_[at];
        if (one.undo == nullptr || now >= one.undo_until) continue;
        if (is_done(at, *one.undo)) {
            one.undo_until = {};
        } else {
            until = std::max(until, one.undo_until);
        }
    }
    return until;
}

void quorum_vote::count(leg& one, boottime::time_point now) {
    core::reply said = commands_.judge(what_, who_->mode, *one.asked, began_, now, false);
    switch (said.result) {
        case verdict::granted:
        case verdict::released:
            one.granted = true;
            count_ = said.count;
            tally_.add(tally::answer::yes);
            break;
        case verdict::refused:
        case verdict::not_held:
            refused_until_ = std::min(refused_until_, said.retry_at);
            tally_.add(tally::answer::no);
            break;
        case verdict::timed_out:
        case verdict::deadlock:
        case verdict::doubt:
        case verdict::failed:
        case verdict::link_lost:
            if (fault_.text.empty()) fault_ = std::move(said);
            tally_.add(tally::answer::fault);
            break;
    }
}

/// True when the reply is there.
bool quorum_vote::decide(boottime::time_point now) {
    const bool over = now >= give_up_at_;
    switch (what_) {
        case verb::try_acquire:
            if (tally_.won()) {
                if (spread_until_ == core::never) spread_until_ = end_of_spread(now);
                if (!cancelled_ && now < spread_until_ && some_unsent()) return false;
                grant(now);
                return true;
            }
            if (!tally_.cannot_win() && !over) return false;
            take_back(now);
            if (tally_.faulty() || !tally_.cannot_win()) {
                set_fault(over);
            } else {
                refuse(now);
            }
            return true;
        case verb::renew:
            if (tally_.won()) {
                grant(now);
            } else if (tally_.denied()) {
                set_reply(verdict::not_held);
            } else if (tally_.cannot_win() || over) {
                set_fault(over);
            } else {
                return false;
            }
            return true;
        case verb::release:
            // Where some did not answer it may be held still, whoever answers first.
            if (tally_.won() && awaits_others(now)) return false;
            if (tally_.won() || (tally_.complete() && tally_.yes() > 0 && !tally_.faulty())) {
                set_reply(verdict::released);
            } else if (tally_.denied()) {
                set_reply(verdict::not_held);
            } else if (tally_.faulty() || over) {
                set_fault(over);
            } else {
                return false;
            }
            return true;
        case verb::withdraw:
            // The leftovers see to what has not answered.
            if (!tally_.won() && !tally_.cannot_win() && !over) return false;
            if (tally_.won() && awaits_others(now)) return false;
            set_reply(verdict::released);
            return true;
        default:
            // Counts: of one server.
            if (!tally_.won() && !tally_.cannot_win() && !over) return false;
            if (tally_.won()) {
                set_reply(verdict::granted).count = count_;
            } else {
                set_fault(over);
            }
            return true;
    }
}

/// Whether to hear the others now: where they are not heard later, that is cheaper than to ask them again over another
/// connection.
bool quorum_vote::awaits_others(boottime::time_point now) {
    if (hears_later() || !some_out()) return false;
    const boottime::duration longest = shortest_undo;
    if (spread_until_ == core::never) spread_until_ = now + std::min(now - began_, longest);
    return now < spread_until_;
}

/// Some are to answer soon.
bool quorum_vote::some_out() const {
    for (std::size_t at = 0; at < used_; ++at) {
        if (legs_[at].out && is_out(at, *legs_[at].asked)) return true;
    }
    return false;
}

/// What is won must be told while enough is left of it.
boottime::time_point quorum_vote::end_of_spread(boottime::time_point now) const noexcept {
    return now + std::min(std::max(now - began_, shortest_spread), (give_up_at_ - now) / 2);
}

/// Some have not even been asked, since they are still being connected to.
bool quorum_vote::some_unsent() const {
    for (std::size_t at = 0; at < used_; ++at) {
        if (legs_[at].out && !legs_[at].deferred && !is_sent(at, *legs_[at].asked)) return true;
    }
    return false;
}

void quorum_vote::grant(boottime::time_point now) {
    auto sent = core::never;
    for (std::size_t at = 0; at < used_; ++at) {
        if (legs_[at].granted) sent = std::min(sent, legs_[at].asked->sent_at);
    }
    const auto& settings = commands_.settings();
    core::reply& made = set_reply(verdict::granted);
    made.lifetime = settings.expiry + (sent - began_);
    // Too little would be left: as good as nothing, and given back at once.
    if (what_ == verb::try_acquire && now - sent > settings.expiry - settings.min_validity) {
        made.lifetime = std::chrono::nanoseconds(0);
    }
}

void quorum_vote::refuse(boottime::time_point now) {
    core::reply& made = set_reply(verdict::refused);
    made.retry_at = refused_until_;
    if (tally_.yes() == 0 && !owed_) return;
    const auto factor = 1LL << std::min(splits_++, most_doublings);
    made.retry_at =
        std::min<boottime::time_point>(made.retry_at, now + pick(shortest_revote * factor, longest_revote * factor));
}

void quorum_vote::set_fault(bool over) {
    if (fault_.text.empty()) {
        fault_.code = errc::unavailable;
        fault_.text = over ? "no answer in time" : "no answer";
    }
    set_failure(fault_.code, fault_.native_code,
                "no majority of the " + std::to_string(used_) + " servers: " + fault_.text);
}

/// Nothing may stay of an acquire that failed: neither what was granted nor what may still be.
void quorum_vote::take_back(boottime::time_point now) {
    for (std::size_t at = 0; at < used_; ++at) {
        leg& one = legs_[at];
        const bool doubtful = one.out ? !one.deferred && forget(at, *one.asked)
                                      : one.asked->done && one.asked->answer == nullptr && one.asked->sent;
        one.out = false;
        if (!one.granted && !doubtful) continue;
        one.rest = nullptr;
        const script* which = nullptr;
        std::string text = commands_.undo(*who_, which);
        one.undo = submit_detached(at, std::move(text), *which, *on_progress_);
        one.undone = who_->owner;
        // Whoever did not answer before the others is hardly waited for, but when it had no time to answer.
        one.undo_until = now + (one.granted || cancelled_ ? longest_undo : shortest_undo);
    }
    undoing_ = true;
    drive(now);
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
