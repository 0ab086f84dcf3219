#include <core/moment.hpp>
#include <session/session_connection.hpp>
#include <session/session_link.hpp>

#include <algorithm>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// When a caller sees after what the executor would have done by then, if it ran.
constexpr std::chrono::milliseconds help_after = std::chrono::seconds(1);
constexpr std::chrono::milliseconds help_cancelled_after = std::chrono::milliseconds(10);
/// How long a connection may take, however short the caller's timeout is.
constexpr std::chrono::milliseconds least_time_to_connect = std::chrono::seconds(1);

session_verb verb_of(verb what) {
    switch (what) {
        case verb::try_acquire: return session_verb::try_acquire;
        case verb::wait: return session_verb::wait;
        case verb::release: return session_verb::release;
        case verb::probe: return session_verb::probe;
        case verb::convert:
        case verb::revert:
        case verb::renew:
        case verb::withdraw:
        case verb::count: break;
    }
    throw error(errc::unsupported, "not a command of this backend");
}

}  // namespace

session_link::~session_link() {
    if (owner_->generation_ != fork_generation()) return;
    if (!asks_ && keeps_ == keeping::nothing) return;
    const multiplexer::entry inside(*owner_);
    const auto place = asks_ && asked_->at != nullptr ? asked_->at : place_;
    try {
        leave();
    } catch (const std::exception&) {
        if (place != nullptr) owner_->give_up(place);
    }
}

/// The mutex is held.
void session_link::leave() {
    if (asks_) {
        if (asked_->done) {
            // Whoever gave it up did not know yet that it was answered: the lock may be granted, or gone.
            take_answer();
        } else {
            owner_->detach(asked_);
            // What is out makes sure by itself.
            if (asked_->what == session_verb::release || asked_->what == session_verb::probe) return;
        }
    }
    if (keeps_ == keeping::nothing || place_->over) return;
    claim who;
    who.target = std::move(target_);
    who.mode = mode_;
    owner_->make_sure(who, place_, keeps_ == keeping::lock ? session_verb::release : session_verb::probe);
}

progress session_link::start(const command& cmd, notifier& on_progress) {
    if (asked_ == nullptr) asked_ = std::make_shared<session_request>();
    session_request& asked = *asked_;
    const multiplexer::entry inside(*owner_, asked_.get());
    if (asked.who.target != cmd.who->target || asked.who.mode != cmd.who->mode) asked.who = *cmd.who;
    asked.what = verb_of(cmd.what);
    asked.owner = &on_progress;
    asks_ = true;
    asked.on_caller = cmd.on_caller;
    asked.done = asked.waits = asked.cancelled = asked.forced = asked.displaced = false;
    if (cmd.what != verb::wait) asked.why_unasked.clear();
    const moment now;
    // A try has no time of its own; but it need not wait much longer for a connection than its caller would.
    asked.deadline = cmd.what == verb::try_acquire && cmd.reconnect_until > now()
                         ? std::max(cmd.reconnect_until, now() + least_time_to_connect)
                         : never;
    if (cmd.what == verb::wait && cmd.limit.count() >= 0) asked.deadline = now() + cmd.limit;
    owner_->begin(asked_, place_);
    return look();
}

progress session_link::advance() {
    const multiplexer::entry inside(*owner_, asked_.get());
    if (!asked_->done && asked_->at != nullptr && asked_->at->leader == asked_.get()) {
        // Its own reference: the request leaves the connection when that ends.
        const auto at = asked_->at;
        owner_->drive(at);
    }
    if (!asked_->done && asked_->on_caller && boottime::now() >= help_at_) owner_->help();
    if (!asked_->done && asked_->cancelled && boottime::now() >= cancel_again_at_) cancel();
    if (!asked_->done && boottime::now() >= asked_->deadline && (asked_->waits || connects()) &&
        owner_->unqueue(asked_)) {
        // That somebody else has it would be a guess where nobody could be asked.
        const bool unasked = !asked_->waits || !asked_->why_unasked.empty();
        owner_->finish(*asked_, unasked ? verdict::failed : verdict::timed_out);
        if (!asked_->waits) asked_->answer.text = "no connection to the server in time";
        if (!asked_->why_unasked.empty()) asked_->answer.text = std::move(asked_->why_unasked);
    }
    return look();
}

void session_link::request_cancel() {
    const multiplexer::entry inside(*owner_);
    if (asked_ != nullptr && !asked_->done) cancel();
}

bool session_link::keeps(const claim&) const noexcept {
    const multiplexer::entry inside(*owner_);
    return !place_->over && !owner_->ended_unseen(place_);
}

std::shared_ptr<void> session_link::watch_loss(const claim&, std::function<void()> suspicion) {
    const multiplexer::entry inside(*owner_);
    if (place_->over) {
        suspicion();
        return nullptr;
    }
    const std::uint64_t id = ++owner_->last_id_;
    place_->watchers.emplace_back(id, std::move(suspicion));
    owner_->monitor(place_);
    return {place_.get(), [owner = owner_, place = place_, id](void*) {
                if (owner->generation_ != fork_generation()) return;
                const multiplexer::entry ending(*owner);
                std::erase_if(place->watchers, [id](const auto& each) { return each.first == id; });
            }};
}

bool session_link::connects() const {
    return asked_->at != nullptr && asked_->at->line->status() == session_wire::state::connecting;
}

void session_link::cancel() {
    cancel_again_at_ = boottime::now() + cancel_again;
    owner_->cancel(asked_);
}

/// The mutex is held. What comes after this look has to be told to us again.
progress session_link::look() {
    owner_->tidy();
    owner_->calling_ = nullptr;
    session_request& asked = *asked_;
    polled_ = -1;
    if (asked.done) {
        take_answer();
        return {true, never};
    }
    progress made{false, never};
    if ((asked.waits || connects()) && boottime::now() < asked.deadline) made.again_at = asked.deadline;
    if (asked.cancelled) made.again_at = std::min(made.again_at, cancel_again_at_);
    help_at_ = never;
    if (asked.on_caller && (asked.cancelled || asked.at == nullptr || asked.at->leader != asked_.get())) {
        // What we wait for may be the executor's to do.
        const bool cancelling = asked.cancelled || (asked.at != nullptr && asked.at->awaits_cancels());
        help_at_ = boottime::now() + (cancelling ? help_cancelled_after : help_after);
        made.again_at = std::min(made.again_at, help_at_);
    }
    if (asked.at != nullptr && asked.at->leader == asked_.get()) {
        polled_ = asked.at->line->descriptor();
        events_ = asked.at->line->events();
        made.again_at = std::min({made.again_at, asked.at->connect_by, asked.at->line->due()});
    }
    return made;
}

void session_link::take_answer() {
    session_request& asked = *asked_;
    reply_ = std::move(asked.answer);
    asked.owner = nullptr;
    asks_ = false;
    switch (reply_.result) {
        case verdict::granted:
            keeps_ = keeping::lock;
            place_ = asked.at;
            break;
        case verdict::doubt:
            keeps_ = keeping::perhaps;
            place_ = asked.at;
            break;
        case verdict::refused:
        case verdict::timed_out:
            // Where it was refused is a good place to stand.
            place_ = asked.at;
            keeps_ = keeping::nothing;
            break;
        case verdict::released:
        case verdict::not_held:
        case verdict::deadlock:
        case verdict::link_lost: keeps_ = keeping::nothing; break;
        case verdict::failed:
            if (keeps_ == keeping::lock) keeps_ = keeping::perhaps;
            break;
    }
    asked.at = nullptr;
    if (keeps_ == keeping::nothing) return;
    target_ = asked.who.target;
    mode_ = asked.who.mode;
    // Not needed until the release: what is held by the ten thousand has to be small.
    asked_.reset();
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
