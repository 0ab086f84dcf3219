#include <backends/redis/channel.hpp>

#include <algorithm>
#include <random>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

constexpr std::chrono::milliseconds shortest_pause{5};
constexpr std::chrono::milliseconds longest_pause{1000};
/// Who waits for less is given as much to have a connection.
constexpr std::chrono::milliseconds shortest_opening{1000};
constexpr std::chrono::milliseconds shortest_between_probes{500};
constexpr std::chrono::milliseconds longest_between_probes{8000};
/// A probe has a connection of its own, which nobody polls.
constexpr std::chrono::milliseconds between_probe_looks{10};

/// Whether it is sent in its second form.
bool is_again(const request& one) noexcept {
    return one.losses > 0 && one.again != nullptr;
}

/// What it is a call of; null for a plain command.
const script* script_of(const request& one) noexcept {
    return is_again(one) ? one.again_script : one.first_script;
}

}  // namespace

boottime::time_point waits_to_open_until(const request& one, std::chrono::milliseconds connect_timeout,
                                         boottime::time_point now) noexcept {
    if (one.reconnect_until <= now) return now + connect_timeout;
    return std::max(one.reconnect_until, now + std::min(connect_timeout, shortest_opening));
}

void channel::submit(request& one, boottime::time_point now) {
    one.open_until = waits_to_open_until(one, server_.connect_timeout, now);
    if ((one.one_of_many || one.routed) && connection_ == nullptr && now < pause_until_ &&
        !last_failure_.text.empty()) {
        fail(one, last_failure_);
        return;
    }
    waiting_.push_back(&one);
}

void channel::forget_finished() noexcept {
    std::erase_if(detached_, [](const auto& each) { return each->done; });
}

std::shared_ptr<request> channel::make_detached(std::string text, const script& which) {
    forget_finished();
    auto made = std::make_shared<request>();
    made->first = std::move(text);
    made->first_script = &which;
    // Nobody may be there to hear that the server does not know the script.
    made->with_source = true;
    return made;
}

void channel::keep(std::shared_ptr<request> one, boottime::time_point until) {
    forget_finished();
    one->reconnect_until = one->open_until = until;
    one->one_of_many = false;
    one->asker = nullptr;
    detached_.push_back(std::move(one));
}

std::shared_ptr<request> channel::submit_lasting(std::string text, const script& which, boottime::time_point until,
                                                 boottime::time_point now) {
    auto made = make_detached(std::move(text), which);
    submit(*made, now);
    keep(made, until);
    return made;
}

std::shared_ptr<request> channel::submit_detached(std::string text, const script& which, core::notifier* asker,
                                                  boottime::time_point now) {
    auto made = make_detached(std::move(text), which);
    made->only_once = true;
    made->asker = asker;
    if (connected()) {
        submit(*made, now);
        detached_.push_back(made);
    } else {
        fail(*made, last_failure_);
    }
    return made;
}

void channel::forget(const request& one) noexcept {
    // Nowhere any more; and to look for it among a thousand others takes time.
    if (one.done) return;
    std::erase(waiting_, &one);
    for (sending& each : sent_) {
        if (each.one == &one) each.one = nullptr;
    }
}

void channel::give_up(request& one, errc why) {
    if (one.done) return;
    forget(one);
    one.done = true;
    one.answer = nullptr;
    one.why = {why, 0, one.sent ? "given up while its answer was out" : "given up before it was sent", true};
}

void channel::drive(boottime::time_point now, bool read) {
    while (go_on(now, read)) {
    }
}

/// One round; true when another one can do more.
bool channel::go_on(boottime::time_point now, bool read) {
    if (connection_ == nullptr) {
        expire(now);
        if (waiting_.empty() || now < pause_until_) return false;
        proven_ = false;
        connection_ = std::make_unique<connection>(server_, names_, on_name_found_, [this] { connection_ends(); });
    }
    // A connection that was idle may have been told something, or have ended, while nobody looked.
    const bool was_idle = sent_.empty();
    const auto found = connection_->drive(now, read || was_idle);
    hear(now);
    if (found == connection::status::ready && connection_->now_is() == connection::status::ready &&
        now >= pause_until_ && !waiting_.empty()) {
        send_waiting(now);
        connection_->drive(now, false);
        // What is no Redis may have spoken before it was asked.
        hear(now);
    }
    doubt(now);
    if (connection_->now_is() == connection::status::failed) {
        lost(now);
        return true;
    }
    if (connection_->now_is() == connection::status::opening) expire(now);
    return false;
}

/// A connection that is silent for long may be dead, and no error ever tells.
void channel::doubt(boottime::time_point now) {
    if (sent_.empty() || now < silent_since_ + server_.longest_silence ||
        connection_->now_is() != connection::status::ready) {
        believe();
        return;
    }
    if (probe_ == nullptr) {
        if (doubt_at_ == core::never) {
            between_probes_ = shortest_between_probes;
        } else if (now < doubt_at_) {
            return;
        }
        connection_->doubt();
        probe_ = std::make_unique<probe>(server_, names_, on_name_found_);
    }
    switch (probe_->drive(now, server_.longest_silence)) {
        case probe::status::asking: doubt_at_ = now + between_probe_looks; break;
        case probe::status::failed:
            // The server itself, then; a stopped one is not to be given connections for as long as that lasts.
            probe_.reset();
            doubt_at_ = now + between_probes_;
            between_probes_ = std::min<boottime::duration>(between_probes_ * 2, longest_between_probes);
            break;
        case probe::status::answered:
            believe();
            connection_->give_up("it answers on a new connection, and was silent on this one");
            break;
    }
}

void channel::believe() noexcept {
    probe_.reset();
    doubt_at_ = core::never;
}

bool channel::knows(const script& which) const noexcept {
    return std::find(known_.begin(), known_.end(), &which) != known_.end();
}

/// Also from what is forgotten: who asks many goes on when a majority has answered, before it is told by a slower one
/// that it does not know the script; and would be told so each time.
void channel::learn(const script& which, const redisReply& answer) {
    if (is_error(answer) && text_of(answer).starts_with("NOSCRIPT")) {
        std::erase(known_, &which);
    } else if (!is_error(answer) && !knows(which)) {
        known_.push_back(&which);
    }
}

void channel::send(const request& one, const std::string& text) {
    const script* const which = script_of(one);
    if (which != nullptr && (one.with_source || (one.one_of_many && !knows(*which)))) {
        connection_->send(which->with_source(text));
    } else {
        connection_->send(text);
    }
}

void channel::send_waiting(boottime::time_point now) {
    if (sent_.empty()) silent_since_ = now;
    for (request* one : waiting_) {
        if (one->asking) {
            static const std::string asking = format({"ASKING"});
            connection_->send(asking);
            sent_.emplace_back();
        }
        if (is_again(*one)) {
            send(*one, one->again(one->first));
        } else {
            send(*one, one->first);
        }
        one->sent = true;
        one->sent_at = now;
        one->repeated = one->losses > 0;
        sent_.push_back({one, one->one_of_many ? script_of(*one) : nullptr});
    }
    waiting_.clear();
}

/// Answers that are read together with one too many are not believed: nobody knows which of them it is.
void channel::hear(boottime::time_point now) {
    while (heard_.size() < sent_.size()) {
        reply_value answer = connection_->receive();
        if (answer == nullptr) break;
        proven_ = true;
        silent_since_ = now;
        heard_.push_back(std::move(answer));
    }
    const bool believed = connection_->why().code != errc::protocol &&
                          (heard_.size() < sent_.size() || connection_->expect_silence(!proven_));
    if (believed) {
        for (reply_value& answer : heard_) {
            if (!is_error(*answer)) failures_ = 0;
            const sending next = sent_.front();
            sent_.pop_front();
            if (next.which != nullptr) learn(*next.which, *answer);
            if (next.one != nullptr) heard(*next.one, std::move(answer), now);
        }
    }
    heard_.clear();
}

void channel::heard(request& one, reply_value answer, boottime::time_point now) {
    if (is_error(*answer)) {
        const std::string_view text = text_of(*answer);
        // Whatever the error was, this sending changed nothing; an earlier one that was lost may have.
        one.sent = one.losses > 0;
        if (text.starts_with("NOSCRIPT") && !one.with_source && script_of(one) != nullptr) {
            one.with_source = true;
            waiting_.push_front(&one);
            return;
        }
        failure why = connection_->failure_from(text);
        why.text = server_.text() + ": " + why.text;
        if (one.routed) {
            one.refusal = std::move(answer);
            fail(one, why);
            return;
        }
        const std::string_view cause = cause_of(text);
        if (server_.sentinels != nullptr && (cause.starts_with("READONLY") || cause.starts_with("MASTERDOWN"))) {
            connection_->give_up("it is no master any more");
        }
        if (why.transient && now + shortest_pause < one.reconnect_until) {
            pause_until_ = now + next_pause();
            waiting_.push_front(&one);
            return;
        }
        fail(one, why);
        return;
    }
    one.answer = std::move(answer);
    finish(one);
}

void channel::lost(boottime::time_point now) {
    failure why = connection_->why();
    const bool stranger = !proven_ && !connection_->was_welcome() && (why.code == errc::protocol || !why.transient);
    const bool talkative = connection_->was_talkative();
    if (stranger) why.transient = false;
    last_failure_ = why;
    believe();
    connection_ends();
    connection_.reset();
    // A connection that was once good may have died of age: the first new one is made at once.
    pause_until_ = proven_ && !talkative ? now : now + next_pause();
    for (auto each = sent_.rbegin(); each != sent_.rend(); ++each) {
        request* const one = each->one;
        if (one == nullptr) continue;
        // What has never spoken the protocol, or let us in, has not carried out anything.
        if (stranger && one->losses == 0) one->sent = false;
        ++one->losses;
        waiting_.push_front(one);
    }
    sent_.clear();
    // It may have been started anew.
    known_.clear();
    std::deque<request*> kept;
    for (request* one : waiting_) {
        const bool once_more = proven_ && one->losses <= 1;
        if (one->routed || (one->only_once && one->losses > 0)) {
            fail(*one, why);
        } else if (why.transient && (once_more || (!one->one_of_many && pause_until_ < one->reconnect_until))) {
            kept.push_back(one);
        } else {
            fail(*one, why);
        }
    }
    waiting_.swap(kept);
    proven_ = false;
}

/// Ends what has waited for a connection for as long as it may.
void channel::expire(boottime::time_point now) {
    const auto end = std::stable_partition(waiting_.begin(), waiting_.end(),
                                           [now](const request* one) { return now < one->open_until; });
    const std::deque<request*> over(end, waiting_.end());
    waiting_.erase(end, waiting_.end());
    for (request* one : over) {
        const std::string last = failures_ > 0 && !last_failure_.text.empty() ? ": " + last_failure_.text : "";
        fail(*one, {errc::unavailable, 0, "no connection to " + server_.text() + " in time" + last, true});
    }
}

boottime::time_point channel::again_at() const noexcept {
    auto next = doubt_at_;
    if (waiting_.empty()) return next;
    if (connection_ == nullptr || connection_->now_is() == connection::status::ready) {
        next = std::min(next, pause_until_);
    } else {
        next = std::min(next, connection_->opening_until());
    }
    for (const request* one : waiting_) next = std::min(next, one->open_until);
    return next;
}

void channel::finish(request& one) noexcept {
    one.done = true;
    if (one.asker != nullptr) one.asker->notify(core::signal_progress);
}

void channel::fail(request& one, const failure& why) {
    one.answer = nullptr;
    one.why = why;
    finish(one);
}

boottime::duration channel::next_pause() noexcept {
    thread_local std::minstd_rand random(std::random_device{}());
    const auto longest = std::min<boottime::duration>(shortest_pause * (1LL << std::min(failures_, 10)), longest_pause);
    ++failures_;
    // Clients that lost one server together do not come back together.
    return std::chrono::nanoseconds(
        std::uniform_int_distribution<long long>(longest.count() / 2, longest.count())(random));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
