#include <backends/redis/course.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds shortest_detour{5};
constexpr milliseconds longest_detour{250};
/// Somebody else asks who has what.
constexpr milliseconds turn_pause{2};
/// Two nodes that do not agree send their clients to and fro.
constexpr int most_redirections = 4;

request question(std::initializer_list<std::string_view> words, boottime::time_point until) {
    request made;
    made.first = format(words);
    made.only_once = made.routed = true;
    made.reconnect_until = until;
    return made;
}

}  // namespace

void inquiry::begin(std::shared_ptr<void> turn, const server* but, boottime::time_point now) {
    turn_ = std::move(turn);
    but_ = but;
    all_ = whom_.whom_to_ask(but);
    at_ = 0;
    why_ = {};
    answered_ = slow_ = refused_ = may_pass_ = false;
    ask(now);
}

void inquiry::ask(boottime::time_point now) {
    until_ = now + whom_.keep_turn(turn_, now);
    slots_ = question({"CLUSTER", "SLOTS"}, until_);
    nodes_ = question({"CLUSTER", "NODES"}, until_);
    over_.send(at(), slots_);
    over_.send(at(), nodes_);
}

inquiry::status inquiry::drive(boottime::time_point now) {
    if (!is_busy()) return status::idle;
    for (;;) {
        failure why{errc::unavailable, 0, at()->text() + " does not answer in time", true};
        if (over_.is_ended(at(), slots_) && over_.is_ended(at(), nodes_)) {
            if (slots_.answer == nullptr) {
                why = slots_.why;
            } else if (whom_.learn(*slots_.answer, nodes_.answer.get(), *at(), now)) {
                whom_.answered(*at());
                whom_.somebody_answered();
                whom_.asked(but_, now);
                turn_.reset();
                return status::found;
            } else if (is_array(*slots_.answer) && size_of(*slots_.answer) == 0) {
                why.text = at()->text() + " knows of no node that has slots";
            } else {
                why = {errc::protocol, 0, at()->text() + " answers CLUSTER SLOTS with what makes no sense", false};
            }
        } else if (now < until_) {
            return status::asking;
        } else {
            slow_ = true;
        }
        over_.leave(at(), slots_);
        over_.leave(at(), nodes_);
        const bool answered = slots_.refusal != nullptr || slots_.answer != nullptr;
        answered_ = answered_ || answered;
        if (answered) {
            whom_.somebody_answered();
        } else {
            whom_.failed(*at(), now);
        }
        refused_ = refused_ || (answered && !why.transient);
        may_pass_ = may_pass_ || (why.transient && !whom_.is_silent_for_long(*at(), now));
        // What will not pass by itself is the better reason.
        if (why_.text.empty() || !why.transient) why_ = std::move(why);
        if (++at_ == all_.size()) {
            // Who lets nobody in may have got the address of a node that is gone, and others may know more.
            if (!refused_) why_.transient = why_.transient || may_pass_;
            if (!answered_) whom_.nobody_answered(slow_, now);
            whom_.asked(but_, now);
            turn_.reset();
            return status::failed;
        }
        ask(now);
    }
}

void inquiry::forget() noexcept {
    if (!is_busy()) return;
    over_.leave(at(), slots_);
    over_.leave(at(), nodes_);
    turn_.reset();
}

void course::begin(request& one, unsigned slot, boottime::time_point now) {
    one.routed = true;
    one_ = &one;
    slot_ = slot;
    stage_ = stage::routing;
    source_.reset();
    inquired_ = false;
    failed_at_ = nullptr;
    redirections_ = failures_ = 0;
    asking_ = false;
    go_on(now);
}

bool course::go_on(boottime::time_point now) {
    again_at_ = core::never;
    for (;;) {
        switch (stage_) {
            case stage::done: return true;
            case stage::routing: route(now); break;
            case stage::inquiring: {
                const auto found = inquiry_.drive(now);
                if (found == inquiry::status::asking) {
                    again_at_ = inquiry_.until();
                    return false;
                }
                inquired_ = true;
                stage_ = stage::routing;
                if (found != inquiry::status::failed || through_.owner_of(slot_) != nullptr) break;
                one_->why = inquiry_.why();
                one_->why.text = "no node of the cluster says who has which slot: " + one_->why.text;
                if (one_->why.transient) {
                    retry_later(now);
                } else {
                    finish();
                }
                break;
            }
            case stage::pausing:
                if (now < resume_at_) {
                    again_at_ = resume_at_;
                    return false;
                }
                stage_ = stage::routing;
                break;
            case stage::out:
                if (!look(now)) return false;
                break;
        }
    }
}

void course::route(boottime::time_point now) {
    if (!asking_) {
        const node owner = through_.owner_of(slot_);
        if (!inquired_ && (owner == nullptr || through_.is_doubted())) {
            if (auto turn = through_.take_turn(now)) {
                inquiry_.begin(std::move(turn), failed_at_, now);
                stage_ = stage::inquiring;
                return;
            }
            if (owner == nullptr || owner.get() == failed_at_) {
                if (one_->why.text.empty())
                    one_->why.text = "another call asks the nodes of the cluster who has which slot";
                resume_at_ = now + turn_pause;
                stage_ = stage::pausing;
                return;
            }
        }
        if (owner == nullptr) {
            one_->why = {errc::unavailable, 0, "no node of the cluster has slot " + std::to_string(slot_), true};
            through_.doubt();
            retry_later(now);
            return;
        }
        at_ = owner;
    }
    one_->asking = asking_;
    one_->done = false;
    one_->refusal.reset();
    out_since_ = now;
    look_at_ = now + patience;
    stage_ = stage::out;
    over_.send(at_, *one_);
}

/// False while there is nothing to be done but to wait.
bool course::look(boottime::time_point now) {
    // Two connections may have something to tell, and a calling thread polls one of them.
    constexpr milliseconds between_looks{10};
    if (inquiry_.is_busy()) {
        if (inquiry_.drive(now) == inquiry::status::asking) {
            again_at_ = std::min(inquiry_.until(), now + between_looks);
            return false;
        }
        look_at_ = now + patience;
        inquired_ = true;
        if (!is_believed()) {
            disbelieve();
            return true;
        }
    }
    const bool done = over_.is_ended(at_, *one_);
    const bool late = done ? one_->answer != nullptr && now - one_->sent_at > patience : now >= look_at_;
    if (late) {
        if (!through_.has_asked_others(*at_, now - patience)) {
            if (auto turn = through_.take_turn(now)) {
                inquiry_.begin(std::move(turn), at_.get(), now);
                return true;
            }
            again_at_ = now + between_looks;
            return false;
        }
        look_at_ = now + patience;
        if (!is_believed()) {
            disbelieve();
            return true;
        }
    }
    if (!done) {
        again_at_ = look_at_;
        return false;
    }
    settle(now);
    return true;
}

void course::settle(boottime::time_point now) {
    if (one_->answer != nullptr) {
        if (!is_believed()) {
            disbelieve();
            return;
        }
        through_.answered(*at_);
        stage_ = stage::done;
        return;
    }
    inquired_ = false;
    failed_at_ = nullptr;
    std::string_view text;
    if (one_->refusal != nullptr) {
        text = text_of(*one_->refusal);
        if (const auto to = redirection_from(text)) {
            redirected(*to, now);
            return;
        }
    } else {
        through_.failed(*at_, now);
        failed_at_ = at_.get();
    }
    // A slot whose keys are here and there will be in one place soon.
    if (!text.starts_with("TRYAGAIN")) through_.doubt();
    source_.reset();
    asking_ = false;
    if (one_->why.transient || is_perhaps_another(now)) {
        retry_later(now);
    } else {
        finish();
    }
}

/// Who lets nobody in may have got the address of a node that is gone, and others know by and by where its slots are.
bool course::is_perhaps_another(boottime::time_point now) const {
    if (one_->refusal != nullptr || !through_.has_others(*at_)) return false;
    return failures_ == 0 || !through_.is_silent_for_long(*at_, now);
}

/// By what is known now.
bool course::is_believed() const {
    const node owner = through_.owner_of(slot_);
    return owner == at_ || (asking_ && owner == source_);
}

/// As if it had been lost with its connection.
void course::disbelieve() {
    const bool sent = over_.leave(at_, *one_);
    if (sent || one_->answer != nullptr) {
        ++one_->losses;
        one_->sent = true;
    }
    one_->answer.reset();
    source_.reset();
    asking_ = false;
    stage_ = stage::routing;
}

void course::redirected(const redirection& to, boottime::time_point now) {
    one_->why = {errc::unavailable, 0,
                 at_->text() + ": the nodes of the cluster do not agree who has slot " + std::to_string(slot_) + ": " +
                     std::string(text_of(*one_->refusal)),
                 true};
    const bool astray = to.slot != slot_;
    if (to.asking && !astray) {
        if (!asking_) source_ = at_;
        asking_ = true;
        at_ = through_.at(to.where, *at_);
    } else {
        if (!astray) through_.moved(to, *at_, now);
        source_.reset();
        asking_ = false;
    }
    if (astray || ++redirections_ > most_redirections) {
        redirections_ = 0;
        source_.reset();
        asking_ = false;
        retry_later(now);
    } else {
        stage_ = stage::routing;
    }
}

/// The first time at once: a connection may have died of age, or the owner may be another one now.
void course::retry_later(boottime::time_point now) {
    stage_ = stage::routing;
    inquired_ = false;
    if (failures_++ == 0) return;
    thread_local std::minstd_rand random(std::random_device{}());
    const auto longest =
        std::min<boottime::duration>(shortest_detour * (1LL << std::min(failures_, 10)), longest_detour);
    // Clients that lost one node together do not come back together.
    resume_at_ = now + std::chrono::nanoseconds(
                           std::uniform_int_distribution<long long>(longest.count() / 2, longest.count())(random));
    if (resume_at_ < one_->reconnect_until) {
        stage_ = stage::pausing;
    } else {
        finish();
    }
}

void course::finish() {
    one_->answer.reset();
    one_->done = true;
    stage_ = stage::done;
}

void course::give_up_unsent() {
    if (stage_ == stage::done || (stage_ == stage::out && over_.was_sent(at_, *one_))) return;
    if (stage_ == stage::out) over_.leave(at_, *one_);
    inquiry_.forget();
    one_->why = {errc::cancelled, 0, one_->sent ? "given up after an answer was lost" : "given up before it was sent",
                 true};
    finish();
}

void course::forget() noexcept {
    inquiry_.forget();
    if (std::exchange(stage_, stage::done) != stage::out) return;
    over_.leave(at_, *one_);
    // Nobody waits for longer; whoever comes next is to know.
    if (!one_->done) {
        through_.failed(*at_, out_since_);
        through_.doubt();
    }
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
