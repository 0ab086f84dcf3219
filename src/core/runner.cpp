#include <core/descriptor_wait.hpp>
#include <core/parker.hpp>
#include <core/runner.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <optional>

namespace holdfast {
inline namespace v0 {
namespace core {

taking link::take(const claim&, timeout, parker*) {
    return taking::beyond;
}

std::shared_ptr<void> link::watch_loss(const claim&, std::function<void()>) {
    return nullptr;
}

void watch::wait_on_caller(parker& self, boottime::time_point until) {
    self.park(until);
}

std::vector<lock_entry> backend::list(const list_query&) {
    throw error(errc::unsupported, "the " + std::string(name()) + " backend cannot tell what locks there are");
}

std::vector<finding> backend::examine(const examination&) {
    throw error(errc::unsupported, "there is nothing to examine in the " + std::string(name()) + " backend");
}

std::unique_ptr<watch> backend::arm(const claim&, link&, notifier&, const backend_context&, waiter) {
    return std::make_unique<watch>();
}

std::size_t backend::renewals_at_once(const claim&) const noexcept {
    return 1;
}

std::unique_ptr<link> backend::make_shared_link(const claim&, const backend_context&) {
    return nullptr;
}

runner::runner(provider_state& provider, operation& op, const claim& who, std::unique_ptr<link> keeper) noexcept
    : provider_(provider), operation_(op), who_(who), link_(std::move(keeper)) {}

runner::~runner() {
    if (settled_) return;
    // An exception's way out: nobody knows what the link has come to, so nobody gets it.
    watch_.reset();
    leave_queue();
}

void runner::inherit(ticket* place) {
    if (place == nullptr) return;
    who_.target->key->bequeath(*place, ticket_, *this);
    entered_ = true;
}

void runner::leave_queue() noexcept {
    // A release never entered, and the queue has a mutex.
    if (std::exchange(entered_, false)) who_.target->key->leave(ticket_);
}

void runner::notify(unsigned bits) noexcept {
    bits_.fetch_or(bits, std::memory_order_acq_rel);
    rouse();
}

bool runner::take(unsigned bit) noexcept {
    const bool set = (pending_ & bit) != 0;
    pending_ &= ~bit;
    return set;
}

runner::status runner::step(wait& next) {
    // One for a round: what follows at once, without waiting, happens at one time. The look whether an action has to be
    // waited for belongs to the round that began it.
    moment now = time();
    for (bool first = true;; first = false) {
        event happened;
        if (!started_) {
            started_ = true;
        } else {
            pending_ |= bits_.exchange(0, std::memory_order_acq_rel);
            if (!await(happened, next, now)) return status::waiting;
            if (!first) now = time();
        }
        for (;;) {
            action next_action = operation_.resume(happened, now);
            if (next_action.kind == action_kind::complete) return status::complete;
            happened = event{};
            if (carry_out(next_action, happened, now)) continue;
            // Not all of it, which would cost as much as a mutex.
            current_ = next_action.kind;
            until_ = next_action.until;
            break;
        }
    }
}

/// True when the action has an outcome already.
bool runner::carry_out(action& next, event& happened, const moment& now) {
    if (next.waiting) {
        who_.target->key->stand(ticket_);
        if (!told_waiting_) {
            told_waiting_ = true;
            if (auto* watcher = provider_.observer()) watcher->waiting(who_.target->name());
        }
    }
    switch (next.kind) {
        case action_kind::await_turn:
            if (entered_) {
                happened.kind = event_kind::turn;
                return true;
            }
            ticket_.mode = who_.mode;
            ticket_.only_try = next.only_try;
            entered_ = true;
            switch (who_.target->key->enter(ticket_, *this)) {
                case key_state::admission::turn: happened.kind = event_kind::turn; return true;
                case key_state::admission::refused: happened.kind = event_kind::turn_refused; return true;
                case key_state::admission::queued: break;
            }
            return false;

        case action_kind::need_link:
            if (!next.fresh && link_ != nullptr) {
                // One that the caller has tried it with already.
                happened.kind = event_kind::link_ready;
                return true;
            }
            drop_link();
            get_link(next.fresh, happened);
            return true;

        case action_kind::send: return send(next.cmd, happened, now);

        case action_kind::cancel_sent:
            link_->request_cancel();
            // Lets the link say when it wants to look again: a cancel can get lost and has to be repeated then.
            pending_ |= signal_progress;
            return false;

        case action_kind::drop_link:
            drop_link();
            happened.kind = event_kind::dropped;
            return true;

        case action_kind::arm:
            try {
                watch_ =
                    provider_.backend().arm(who_, *link_, *this, provider_.context(), who_waits(next.until == never));
            } catch (const std::exception& failed) {
                // Without a watch the operation still ends, by its own times; it must not fail because of a comfort.
                if (auto* watcher = provider_.observer()) watcher->notice(who_.target->name(), failed.what());
                watch_ = std::make_unique<watch>();
            }
            happened.kind = event_kind::armed;
            return true;

        case action_kind::await_reply:
        case action_kind::await_wake:
        case action_kind::complete: break;
    }
    return false;
}

void runner::get_link(bool fresh, event& happened) {
    try {
        link_ = provider_.take_link(who_, fresh, who_waits(false));
        happened.kind = event_kind::link_ready;
        return;
    } catch (const error& failed) {
        failure_ = reply{};
        failure_.code = static_cast<errc>(failed.boost_code().value());
        failure_.native_code = failed.diag().native_code;
        failure_.text = failed.diag().message;
    } catch (const std::exception& failed) {
        // Whatever a driver throws: an operation that is not told of it would never end.
        failure_ = reply{};
        failure_.text = failed.what();
    }
    happened.kind = event_kind::link_failed;
    happened.answer = &failure_;
}

void runner::drop_link() noexcept {
    // What was armed with this link looks at it until it is gone itself.
    watch_.reset();
    if (link_ == nullptr) return;
    link_ends();
    link_.reset();
    asked_ = false;
}

bool runner::send(command& cmd, event& happened, const moment& now) {
    // Leases count from here, and nothing else does.
    if (provider_.traits().family == family::lease) sent_at_ = now();
    if (link_ == nullptr) {
        // Dropped by an operation before this one, an upgrade that failed.
        lose_link("there is no connection any more");
        happened = {event_kind::replied, &failure_, sent_at_};
        return true;
    }
    take(signal_progress);
    asked_ = true;
    cmd.on_caller = who_waits(false) != waiter::executor;
    try {
        progress_ = link_->start(cmd, *this);
    } catch (const std::exception& failed) {
        lose_link(failed.what());
        happened = {event_kind::replied, &failure_, sent_at_};
        return true;
    }
    if (!progress_.done) return false;
    asked_ = false;
    happened = {event_kind::replied, &link_->last_reply(), sent_at_};
    return true;
}

/// A link that throws is in no state to be used again: as good as lost.
void runner::lose_link(const char* why) noexcept {
    failure_ = reply{};
    failure_.result = verdict::link_lost;
    try {
        failure_.text = why;
    } catch (...) {
        // No memory for the text; the verdict is what counts.
    }
    drop_link();
}

/// Brings what the current action waits for, if it has happened; otherwise says in @p next what to sleep for.
bool runner::await(event& happened, wait& next, const moment& now) {
    next = wait{};
    next.until = until_;
    switch (current_) {
        case action_kind::await_turn:
            if (take(signal_turn)) {
                happened.kind = event_kind::turn;
                return true;
            }
            if (take(signal_turn_refused)) {
                happened.kind = event_kind::turn_refused;
                return true;
            }
            break;
        case action_kind::send:
        case action_kind::await_reply:
        case action_kind::cancel_sent:
            if (await_reply(happened, next, now)) return true;
            break;
        case action_kind::await_wake:
            if (take(signal_wake)) {
                happened.kind = event_kind::woken;
                return true;
            }
            next.news = watch_.get();
            break;
        case action_kind::need_link:
        case action_kind::drop_link:
        case action_kind::arm:
        case action_kind::complete: break;
    }
    if (take(signal_cancel)) {
        happened.kind = event_kind::cancelled;
        return true;
    }
    take(signal_time);
    if (until_ != never && now() >= until_) {
        happened.kind = event_kind::time;
        return true;
    }
    return false;
}

bool runner::await_reply(event& happened, wait& next, const moment& now) {
    if (take(signal_progress) || (progress_.again_at != never && now() >= progress_.again_at)) {
        try {
            progress_ = link_->advance();
        } catch (const std::exception& failed) {
            lose_link(failed.what());
            happened = {event_kind::replied, &failure_, sent_at_};
            return true;
        }
        if (progress_.done) {
            asked_ = false;
            happened = {event_kind::replied, &link_->last_reply(), sent_at_};
            return true;
        }
    }
    next.until = std::min(next.until, progress_.again_at);
    next.descriptor = link_->descriptor();
    next.answers = link_.get();
    next.events = link_->poll_events();
    return false;
}

void runner::break_off(const char* why, bool in_step) noexcept {
    outcome& how = operation_.result();
    how.succeeded = false;
    how.code = errc::unavailable;
    how.token.reset();
    how.valid_until = never;
    // What it may have been granted, nobody will learn. The end of a link gives that back; a lease ends with its time.
    how.state = asked_ || in_step ? held_state::unknown : held_state::released;
    try {
        how.text = why;
    } catch (...) {
        // No memory for the text; the code is what counts.
    }
    if (!asked_ && !in_step) withdraw();
    if (link_has_lock() && provider_.traits().family != family::lease) {
        if (link_ != nullptr && !asked_ && !in_step) return;
        how.code = errc::lost;
    }
    drop_link();
}

/// What was announced must not keep others away. An answer is not waited for.
void runner::withdraw() noexcept {
    if (link_ == nullptr || !provider_.traits().announces) return;
    command cmd;
    cmd.what = verb::withdraw;
    cmd.who = &who_;
    try {
        progress_ = link_->start(cmd, *this);
        asked_ = !progress_.done;
    } catch (const std::exception& failed) {
        lose_link(failed.what());
    }
}

void runner::settle(bool link_keeps_lock) noexcept {
    settled_ = true;
    watch_.reset();
    leave_queue();
    // A link that owes an answer would bring it to whoever uses it next, and by our notifier.
    if (asked_) drop_link();
    if (link_ != nullptr && !link_keeps_lock) {
        provider_.put_link(who_, std::move(link_));
    }
}

namespace {

class sync_runner final : public runner {
public:
    sync_runner(provider_state& provider, operation& op, const claim& who, std::unique_ptr<link> keeper, ticket* place)
        : runner(provider, op, who, std::move(keeper)) {
        inherit(place);
    }

    void run(bool interruptible, link_keeps what) {
        interruptible_ = interruptible;
        wait next;
        while (step(next) == status::waiting) {
            if (next.news != nullptr) {
                next.news->wait_on_caller(parker_, next.until);
            } else if (!interruptible_ && next.descriptor >= 0 && next.answers->await_answer(next.until)) {
                descriptor_ready();
            } else if (parker_.park(next.until, next.descriptor, next.events)) {
                descriptor_ready();
            }
        }
        settle(what == link_keeps::lock_always ||
               (what == link_keeps::lock_on_success && operation_.result().succeeded));
    }

private:
    void rouse() noexcept override { parker_.rouse(); }
    waiter who_waits(bool for_ever) const noexcept override {
        if (interruptible_) return waiter::caller;
        return for_ever ? waiter::caller_for_ever : waiter::caller_undisturbed;
    }

    parker parker_;
    bool interruptible_ = true;
};

}  // namespace

void run_sync(provider_state& provider, operation& op, const claim& who, std::stop_token stop,
              std::unique_ptr<link>& keeper, link_keeps what, ticket* place) {
    sync_runner driver(provider, op, who, std::move(keeper), place);
    const bool interruptible = stop.stop_possible();
    if (interruptible) {
        const std::stop_callback cancelled(std::move(stop), [&driver] { driver.notify(signal_cancel); });
        driver.run(true, what);
    } else {
        driver.run(false, what);
    }
    keeper = driver.take_link();
}

async_runner::async_runner(std::shared_ptr<provider_state> provider, operation& op, claim who,
                           std::unique_ptr<link> keeper)
    : own_claim{std::move(who)},
      runner(*provider, op, mine, std::move(keeper)),
      shared_provider_(std::move(provider)) {}

async_runner::~async_runner() {
    stop_waiting();
}

void async_runner::link_ends() noexcept {
    // Before its number can be another link's: the reactor would take that for the one it knows, and never look.
    if (descriptor_ != nullptr) descriptor_->stop();
}

void async_runner::start() {
    self_ = shared_from_this();
    run(detail::delivery::post);
}

void async_runner::rouse() noexcept {
    if (!parked_.exchange(false, std::memory_order_acq_rel)) return;
    if (!gathered_rousings::gather(*this)) post_run();
}

void async_runner::post_run() noexcept {
    boost::asio::post(provider_.executor(), [self = self_] { self->run(detail::delivery::dispatch); });
}

void async_runner::run(detail::delivery how_told) {
    const auto self = self_;
    if (!advance()) return;
    stop_waiting();
    // Before the handler, which may throw.
    self_.reset();
    finish(how_told);
}

/// True once the operation is over.
bool async_runner::advance() {
    bool steps = true;
    try {
        for (;;) {
            wait next;
            steps = true;
            if (step(next) == status::complete) return true;
            steps = false;
            arrange(next);
            // An exchange, because it sees what the last one to take the flag had written; a store would not.
            parked_.exchange(true, std::memory_order_acq_rel);
            // Notified since the last look: then either we go on, or the notifier has seen us parked and posted.
            if (!has_news() || !parked_.exchange(false, std::memory_order_acq_rel)) return false;
        }
    } catch (const std::exception& failed) {
        // No descriptor or no memory to wait with: what nobody can wake must not stand in anybody's way.
        break_off(failed.what(), steps);
        return true;
    }
}

void async_runner::arrange(const wait& next) {
    if (!work_) work_ = provider_.work();

    // Also where it is the same time: it may have rung.
    if (next.until != never) {
        // Noted first: where no timer can be set it is in the queue all the same.
        alarm_at_ = next.until;
        provider_.alarms().set(*this, next.until);
    } else if (std::exchange(alarm_at_, never) != never) {
        provider_.alarms().take_out(*this);
    }

    if (next.descriptor >= 0) {
        if (descriptor_ == nullptr) descriptor_ = make_descriptor_wait(provider_.executor());
        descriptor_->look_at(next.descriptor, next.events, self_);
    } else if (descriptor_ != nullptr) {
        descriptor_->stop();
    }
}

void async_runner::stop_waiting() noexcept {
    if (std::exchange(alarm_at_, never) != never && !provider_.forked()) provider_.alarms().take_out(*this);
    if (descriptor_ != nullptr) descriptor_->stop();
    descriptor_.reset();
    work_ = nullptr;
}

namespace {

/// Of the calling thread.
thread_local gathered_rousings* gathering = nullptr;

}  // namespace

gathered_rousings::gathered_rousings(boost::asio::any_io_executor executor) noexcept
    : executor_(std::move(executor)), outer_(std::exchange(gathering, this)) {}

gathered_rousings::~gathered_rousings() {
    end();
    while (first_ != nullptr) std::exchange(first_, first_->next_gathered_)->post_run();
}

void gathered_rousings::end() noexcept {
    if (!std::exchange(ended_, true)) gathering = outer_;
}

bool gathered_rousings::gather(async_runner& roused) noexcept {
    gathered_rousings* const here = gathering;
    if (here == nullptr || here->executor_ != roused.provider_.executor()) return false;
    roused.next_gathered_ = nullptr;
    (here->first_ == nullptr ? here->first_ : here->last_->next_gathered_) = &roused;
    here->last_ = &roused;
    return true;
}

void gathered_rousings::run() {
    end();
    const auto how_told = first_ == last_ ? detail::delivery::dispatch : detail::delivery::post;
    while (first_ != nullptr) std::exchange(first_, first_->next_gathered_)->run(how_told);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
