#include <core/key_state.hpp>
#include <core/runner.hpp>
#include <session/multiplexer.hpp>

#include <boost/asio/post.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// How much one statement may carry.
constexpr std::size_t largest_batch = 512;
/// When a cancel that has had no effect is sent again.
constexpr std::chrono::milliseconds cancel_again = std::chrono::milliseconds(50);
/// When a descriptor that could not be had is asked for again.
constexpr std::chrono::milliseconds arm_again = std::chrono::milliseconds(100);
/// How long no further connection is tried for waiting after one could not be had.
constexpr std::chrono::milliseconds no_place_for = std::chrono::seconds(5);
/// When a caller sees after what the executor would have done by then, if it ran.
constexpr std::chrono::milliseconds help_after = std::chrono::seconds(1);
constexpr std::chrono::milliseconds help_cancelled_after = std::chrono::milliseconds(10);
/// When it is looked again whether an interruption is over.
constexpr std::chrono::milliseconds interruption_look = std::chrono::milliseconds(5);
constexpr int most_failures = 4;
/// When that which could not be given back is tried again: after so long, then four times and nine times that.
constexpr std::chrono::milliseconds give_back_again = std::chrono::milliseconds(10);
/// How long a connection may take, however short the caller's timeout is.
constexpr std::chrono::milliseconds least_time_to_connect = std::chrono::seconds(1);
/// How many connections that nobody uses are kept open, besides the first.
constexpr std::size_t most_spare = 8;

/// Commands of one kind may share a batch; zero may not.
int batch_kind(session_verb what) noexcept {
    if (what == session_verb::try_acquire || what == session_verb::release) return 1;
    return what == session_verb::probe ? 2 : 0;
}

}  // namespace

/// The reactor's own descriptor of a connection's socket: the driver may close its one at any time.
struct reactor_end {
    reactor_end(const boost::asio::any_io_executor& executor, int source) : descriptor(executor) {
        const int made = own.open_with([source] { return ::fcntl(source, F_DUPFD_CLOEXEC, 0); });
        error_code failed;
        if (made >= 0) descriptor.assign(made, failed);
    }
    reactor_end(const reactor_end&) = delete;
    reactor_end& operator=(const reactor_end&) = delete;
    ~reactor_end() {
        if (descriptor.is_open()) descriptor.release();
    }

    forked_descriptor own;
    boost::asio::posix::stream_descriptor descriptor;
    bool reading = false;
    bool writing = false;
};

/// What a connection has to do with a name.
struct name_use {
    access mode = access::exclusive;
    /// Handles that it holds the name for; more than one only of shared holds, see `may_go`.
    int holds = 0;
    int queued = 0;
    int flying = 0;
    int releases = 0;
    /// The connection may hold it or not, and is being asked: nobody may rely on that hold.
    bool unsure = false;

    bool none() const noexcept { return holds == 0 && queued == 0 && flying == 0 && releases == 0; }
};

class session_connection {
public:
    bool idle() const noexcept { return pending.empty() && flying.empty(); }
    /// Holds nothing, and nothing is asked of it.
    bool spare() const noexcept { return names.empty() && idle() && !stands && !awaits_cancels(); }
    /// Stands waiting, and the operation that wanted it has gone.
    bool waits_for_nobody() const noexcept { return stands && !flying.empty() && flying.front()->owner == nullptr; }
    /// Something is still out that ends what this session waits for, and could hit what comes next.
    bool awaits_cancels() const noexcept { return cancels_out > 0 || interrupted; }
    /// What could not be had for want of a descriptor.
    bool lacks_reactor() const noexcept { return reactor_leads && reactor == nullptr; }
    bool lacks_monitor() const noexcept {
        return !watchers.empty() && !monitored && line->status() != session_wire::state::connecting;
    }
    /// While it connects and the executor leads.
    boottime::time_point wakes_at() const noexcept { return std::min(connect_by, line->due()); }
    std::size_t load() const noexcept { return pending.size() + flying.size(); }

    std::uint64_t id = 0;
    std::unique_ptr<session_wire> line;
    std::deque<std::shared_ptr<session_request>> pending;
    session_wire::batch flying;
    std::unordered_map<const key_state*, name_use> names;

    const session_request* leader = nullptr;
    bool reactor_leads = false;
    bool pump_posted = false;
    /// More than one went at a time last; where one is alone, waiting for others costs a turn of the executor's.
    bool gathers = false;
    std::shared_ptr<reactor_end> reactor;

    bool stands = false;
    /// Cancels of its wait that are not answered: until then it gets no other command, which they could hit.
    int cancels_out = 0;
    boottime::time_point cancelled_at = boottime::time_point::min();
    /// Its wait is being ended past all connections; until that is over it gets no other command either.
    bool interrupted = false;
    bool over = false;
    boottime::time_point connect_by = never;
    boottime::time_point used_at{};
    bool pinged = false;

    bool monitored = false;
    std::vector<std::pair<std::uint64_t, std::function<void()>>> watchers;
};

/// An epoll set of its own for the ends of connections, nested in the reactor: being in it costs a connection nothing.
struct multiplexer::end_watch {
    explicit end_watch(const boost::asio::any_io_executor& executor) : descriptor(executor) {
        const int made = own.open_with([] { return ::epoll_create1(EPOLL_CLOEXEC); });
        error_code failed;
        if (made >= 0) descriptor.assign(made, failed);
    }
    end_watch(const end_watch&) = delete;
    end_watch& operator=(const end_watch&) = delete;
    ~end_watch() {
        if (descriptor.is_open()) descriptor.release();
    }

    forked_descriptor own;
    boost::asio::posix::stream_descriptor descriptor;
};

/// One call from outside: takes the mutex, and leaves nothing half done.
class multiplexer::entry {
public:
    explicit entry(multiplexer& owner, const session_request* calling = nullptr) : owner_(owner), guard_(owner.mutex_) {
        owner_.calling_ = calling;
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() {
        // Whoever called has had its look: what comes now, it has to be told.
        owner_.calling_ = nullptr;
        owner_.tidy();
    }

private:
    multiplexer& owner_;
    const std::lock_guard<std::mutex> guard_;
};

/// One lock's way to its connection.
class session_link final : public link {
public:
    explicit session_link(std::shared_ptr<multiplexer> owner) : owner_(std::move(owner)) {}

    ~session_link() override {
        if (owner_->generation_ != fork_generation()) return;
        const multiplexer::entry inside(*owner_);
        if (asked_ != nullptr && asked_->owner != nullptr) {
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

    progress start(const command& cmd, notifier& on_progress) override {
        if (asked_ == nullptr) asked_ = std::make_shared<session_request>();
        session_request& asked = *asked_;
        const multiplexer::entry inside(*owner_, asked_.get());
        if (asked.who.target != cmd.who->target || asked.who.mode != cmd.who->mode) asked.who = *cmd.who;
        asked.what = verb_of(cmd.what);
        asked.owner = &on_progress;
        asked.on_caller = cmd.on_caller;
        asked.done = asked.waits = asked.cancelled = asked.forced = asked.displaced = false;
        if (cmd.what != verb::wait) asked.no_room.clear();
        const auto now = boottime::now();
        // A try has no time of its own; but it need not wait much longer for a connection than its caller would.
        asked.deadline = cmd.what == verb::try_acquire && cmd.reconnect_until > now
                             ? std::max(cmd.reconnect_until, now + least_time_to_connect)
                             : never;
        if (cmd.what == verb::wait && cmd.limit.count() >= 0) asked.deadline = now + cmd.limit;
        owner_->begin(asked_, place_);
        return look();
    }

    progress advance() override {
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
            const bool unasked = !asked_->waits || !asked_->no_room.empty();
            owner_->finish(*asked_, unasked ? verdict::failed : verdict::timed_out);
            if (!asked_->waits) asked_->answer.text = "no connection to the server in time";
            if (!asked_->no_room.empty()) asked_->answer.text = std::move(asked_->no_room);
        }
        return look();
    }

    void request_cancel() override {
        const multiplexer::entry inside(*owner_);
        if (asked_ != nullptr && !asked_->done) cancel();
    }

    int descriptor() const noexcept override { return polled_; }
    short poll_events() const noexcept override { return events_; }
    bool reusable() const noexcept override { return false; }

    bool keeps(const claim&) const noexcept override {
        const multiplexer::entry inside(*owner_);
        return !place_->over && !owner_->ended_unseen(place_);
    }

    std::shared_ptr<void> watch_loss(const claim&, std::function<void()> suspicion) override {
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

private:
    enum class keeping : unsigned char { nothing, lock, perhaps };

    static session_verb verb_of(verb what) {
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

    bool connects() const {
        return asked_->at != nullptr && asked_->at->line->status() == session_wire::state::connecting;
    }

    void cancel() {
        cancel_again_at_ = boottime::now() + cancel_again;
        owner_->cancel(asked_);
    }

    /// The mutex is held. What comes after this look has to be told to us again.
    progress look() {
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

    void take_answer() {
        session_request& asked = *asked_;
        reply_ = std::move(asked.answer);
        asked.owner = nullptr;
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

    const std::shared_ptr<multiplexer> owner_;
    std::shared_ptr<session_request> asked_;
    /// What `place_` holds for us. Not a claim, which has an owner's id as well.
    std::shared_ptr<const resource> target_;
    std::shared_ptr<session_connection> place_;
    access mode_ = access::exclusive;
    keeping keeps_ = keeping::nothing;
    short events_ = 0;
    int polled_ = -1;
    boottime::time_point cancel_again_at_ = never;
    boottime::time_point help_at_ = never;
};

multiplexer::multiplexer(connector connect, const multiplexer_options& options)
    : connect_(std::move(connect)), options_(options) {}

multiplexer::~multiplexer() {
    // What is still out names its connection, and would keep it, and its session, for ever.
    for (const connection_ptr& each : connections_) {
        for (const request_ptr& asked : each->pending) asked->at = nullptr;
        for (const request_ptr& asked : each->flying) asked->at = nullptr;
    }
    if (generation_ == fork_generation()) return;
    // The parent's reactor may have been locked when we were forked: neither it nor the server hears of us.
    for (const connection_ptr& each : connections_) {
        each->line->abandon();
        if (each->reactor != nullptr) (void)new std::shared_ptr<reactor_end>(each->reactor);
    }
    (void)timer_.release();
    (void)ends_.release();
}

std::unique_ptr<link> multiplexer::make_link(const backend_context& context) {
    {
        const std::lock_guard guard(mutex_);
        if (!get_executor_) get_executor_ = context.executor;
    }
    return std::make_unique<session_link>(shared_from_this());
}

multiplexer::counts multiplexer::count() const {
    const std::lock_guard guard(mutex_);
    return {static_cast<int>(connections_.size()), standing_, static_cast<int>(room_.size())};
}

void multiplexer::begin(const request_ptr& asked, const connection_ptr& on) {
    switch (asked->what) {
        case session_verb::try_acquire: begin_try(asked); return;
        case session_verb::wait: begin_wait(asked, on); return;
        default: break;
    }
    if (on == nullptr || on->over) {
        if (on != nullptr) asked->answer = on->line->ending();
        finish(*asked, verdict::link_lost);
        return;
    }
    enqueue(on, asked);
}

void multiplexer::begin_try(const request_ptr& asked) {
    if (refused_here(*asked)) {
        asked->at = nullptr;
        finish(*asked, verdict::refused);
        return;
    }
    connection_ptr where = choose(*asked);
    if (where == nullptr) {
        where = least_busy(nullptr);
        asked->forced = true;
    }
    enqueue(where, asked);
}

void multiplexer::begin_wait(const request_ptr& asked, const connection_ptr& on) {
    asked->waits = true;
    if (const connection_ptr where = place_to_stand(on)) {
        stand(where, asked);
    } else {
        enter_room(asked);
    }
}

/// True when this process holds the name in a way that excludes @p asked: then the server need not be asked.
bool multiplexer::refused_here(const session_request& asked) {
    // By index: looking may end connections.
    for (std::size_t i = 0; i < connections_.size();) {
        const connection_ptr each = connections_[i];
        const auto found = each->names.find(asked.who.target->key.get());
        const bool excludes = found != each->names.end() && found->second.holds > 0 && found->second.releases == 0 &&
                              (asked.who.mode == access::exclusive || found->second.mode == access::exclusive);
        if (excludes && !ended_unseen(each)) return true;
        if (i < connections_.size() && connections_[i] == each) ++i;
    }
    return false;
}

/// A connection that has nothing to do with the name; null when there is none and no more may be opened.
multiplexer::connection_ptr multiplexer::choose(const session_request& asked) {
    connection_ptr best;
    for (const connection_ptr& each : connections_) {
        if (each->stands || (!options_.multiplexing && !each->spare())) continue;
        if (each->names.contains(asked.who.target->key.get())) continue;
        // Spare ones are kept for those who have to stand.
        if (best == nullptr || (!each->names.empty() && each->load() < best->load())) best = each;
    }
    if (best != nullptr) return best;
    if (options_.multiplexing && static_cast<int>(connections_.size()) >= options_.max_connections) return nullptr;
    return open();
}

multiplexer::connection_ptr multiplexer::least_busy(const session_connection* but) const {
    connection_ptr best;
    for (const connection_ptr& each : connections_) {
        if (each->stands || each.get() == but) continue;
        if (best == nullptr || each->load() < best->load()) best = each;
    }
    return best;
}

multiplexer::connection_ptr multiplexer::open() {
    auto made = std::make_shared<session_connection>();
    made->id = ++last_id_;
    made->used_at = boottime::now();
    made->connect_by = made->used_at + options_.connect_timeout;
    made->line = connect_();
    connections_.push_back(made);
    return made;
}

multiplexer::connection_ptr multiplexer::place_to_stand(const connection_ptr& preferred) {
    const bool limited = options_.multiplexing;
    if (limited && (standing_ >= options_.max_waiting_connections || standing_ + 1 >= options_.max_connections)) {
        return nullptr;
    }
    // Where the server has no room for more, one of ours stays for tries and releases.
    const bool crowded = boottime::now() < stand_again_at_;
    const auto free =
        std::count_if(connections_.begin(), connections_.end(), [](const auto& each) { return !each->stands; });
    if (!limited || !crowded || free > 1) {
        if (preferred != nullptr && !preferred->over && preferred->spare()) return preferred;
        // From the back: the first one is what tries go to.
        const auto found =
            std::find_if(connections_.rbegin(), connections_.rend(), [](const auto& each) { return each->spare(); });
        if (found != connections_.rend()) return *found;
    }
    if (crowded || (limited && static_cast<int>(connections_.size()) >= options_.max_connections)) return nullptr;
    return open();
}

void multiplexer::stand(const connection_ptr& where, const request_ptr& asked) {
    where->stands = true;
    ++standing_;
    asked->what = session_verb::wait;
    enqueue(where, asked);
}

void multiplexer::enter_room(const request_ptr& asked) {
    asked->in_room = true;
    asked->at = nullptr;
    const std::uint64_t number = ++last_in_room_;
    asked->target = static_cast<std::int64_t>(number);
    room_.emplace(number, asked);
    room_names_.emplace(asked->who.target->key.get(), number);
    if (room_due_ == never) {
        room_due_ = boottime::now() + options_.retry_cadence;
        schedule(room_due_);
    }
}

void multiplexer::leave_room(const request_ptr& asked) {
    const auto number = static_cast<std::uint64_t>(asked->target);
    asked->in_room = false;
    const auto [first, last] = room_names_.equal_range(asked->who.target->key.get());
    const auto found = std::find_if(first, last, [number](const auto& each) { return each.second == number; });
    if (found != last) room_names_.erase(found);
    room_.erase(number);
    if (!room_.empty()) return;
    room_due_ = never;
    timer_may_end_ = tick_at_ != never;
}

/// One more try for somebody in the room, unless it is sure to fail.
void multiplexer::retry(const request_ptr& asked) {
    if (refused_here(*asked)) return;
    leave_room(asked);
    asked->what = session_verb::try_acquire;
    connection_ptr where = choose(*asked);
    asked->forced = where == nullptr;
    enqueue(where == nullptr ? least_busy(nullptr) : where, asked);
}

void multiplexer::retry_room() {
    std::vector<request_ptr> all;
    all.reserve(room_.size());
    for (const auto& each : room_) all.push_back(each.second);
    for (const request_ptr& each : all) {
        if (const connection_ptr where = place_to_stand(nullptr)) {
            leave_room(each);
            stand(where, each);
        } else {
            retry(each);
        }
    }
}

void multiplexer::retry_failed(boottime::time_point now) {
    // Taken out first: what is enqueued may fail at once, and come again.
    std::vector<retrial> due;
    std::erase_if(retrials_, [&](const retrial& each) {
        if (each.where->over) return true;
        if (each.at > now) return false;
        due.push_back(each);
        return true;
    });
    for (const retrial& each : due) {
        if (!each.where->over) enqueue(each.where, each.asked);
    }
}

void multiplexer::enqueue(const connection_ptr& where, const request_ptr& asked) {
    asked->at = where;
    if (asked->what == session_verb::try_acquire) {
        ++where->names.try_emplace(asked->who.target->key.get(), name_use{asked->who.mode}).first->second.queued;
    } else if (asked->what == session_verb::release) {
        ++where->names.try_emplace(asked->who.target->key.get(), name_use{asked->who.mode}).first->second.releases;
    }
    where->pending.push_back(asked);
    if (asked->on_caller || asked->owner == nullptr || !where->flying.empty() || !where->gathers ||
        where->line->status() != session_wire::state::ready) {
        pump(where);
    } else {
        // What else the executor has to start now shall go along.
        post_pump(where);
    }
}

/// Takes back what has not been sent. False when it is out.
bool multiplexer::unqueue(const request_ptr& asked) {
    if (asked->in_room) {
        leave_room(asked);
        return true;
    }
    const connection_ptr where = asked->at;
    if (where == nullptr) return false;
    const auto found = std::find(where->pending.begin(), where->pending.end(), asked);
    if (found == where->pending.end()) return false;
    where->pending.erase(found);
    if (asked->what == session_verb::try_acquire || asked->what == session_verb::look_for_waiters) {
        const auto use = where->names.find(asked->who.target->key.get());
        --use->second.queued;
        if (use->second.none()) where->names.erase(use);
    } else if (asked->what == session_verb::wait) {
        where->stands = false;
        --standing_;
        place_freed_ = true;
    }
    if (where->leader == asked.get()) where->leader = nullptr;
    appoint(where);
    return true;
}

/// False: it has to stay, or has its answer already.
bool multiplexer::may_go(const connection_ptr& where, const request_ptr& asked) {
    const auto use = where->names.find(asked->who.target->key.get());
    name_use& name = use->second;
    if (asked->what == session_verb::release) {
        if (name.holds <= 1) return true;
        // One hold at the server serves several readers here; the last one gives it back.
        --name.holds;
        --name.releases;
        if (where->leader == asked.get()) where->leader = nullptr;
        if (!room_.empty()) released_.push_back(asked->who.target->key.get());
        finish(*asked, verdict::released);
        return false;
    }
    if (!asked->forced || (name.holds == 0 && name.flying == 0 && name.releases == 0)) return true;
    if (name.holds == 0 || name.releases > 0 || name.unsure) return false;
    if (name.mode == access::shared && asked->who.mode == access::shared) {
        // All connections hold it or are busy with it. A reader joins the hold, if the server has nobody in line.
        asked->what = session_verb::look_for_waiters;
        return true;
    }
    --name.queued;
    asked->answer = reply{};
    asked->answer.result = verdict::refused;
    answered(where, asked);
    return false;
}

void multiplexer::pump(const connection_ptr& where) {
    if (where->over) return;
    if (where->line->status() == session_wire::state::ended) {
        // It may have ended as it began: then nothing will ever come that could tell of it.
        ended(where);
        return;
    }
    if (where->line->status() == session_wire::state::ready && where->flying.empty() && !where->awaits_cancels() &&
        !where->pending.empty()) {
        std::deque<request_ptr> waiting;
        waiting.swap(where->pending);
        session_wire::batch batch;
        bool released_here = false;
        while (!waiting.empty()) {
            const request_ptr next = waiting.front();
            const int kind = batch_kind(next->what);
            if (!batch.empty() &&
                (kind == 0 || kind != batch_kind(batch.front()->what) || batch.size() >= largest_batch)) {
                break;
            }
            waiting.pop_front();
            const bool named = kind == 1;
            if (named && !may_go(where, next)) {
                released_here = released_here || (next->done && next->what == session_verb::release);
                if (!next->done && !next->in_room && next->at == where) where->pending.push_back(next);
                continue;
            }
            if (batch_kind(next->what) == 0 && !batch.empty()) {
                // It has become a look for waiters, which goes alone.
                waiting.push_front(next);
                break;
            }
            if (next->what == session_verb::try_acquire) {
                name_use& name = where->names.find(next->who.target->key.get())->second;
                --name.queued;
                ++name.flying;
            }
            if (next->what == session_verb::wait) {
                const auto now = boottime::now();
                next->limit = std::chrono::milliseconds(-1);
                if (next->deadline != never) {
                    next->limit = std::max(std::chrono::ceil<std::chrono::milliseconds>(next->deadline - now),
                                           std::chrono::milliseconds(1));
                }
                if (options_.max_server_wait.count() > 0 &&
                    (next->limit.count() < 0 || next->limit > options_.max_server_wait)) {
                    next->limit = options_.max_server_wait;
                }
            }
            batch.push_back(next);
            if (batch_kind(next->what) == 0) break;
        }
        // Those who stay were first. Where nothing is out for which they could wait, one release here was enough.
        const bool again = batch.empty() && waiting.empty() && released_here && !where->pending.empty();
        where->pending.insert(where->pending.end(), waiting.begin(), waiting.end());
        if (again) {
            pump(where);
            return;
        }
        if (!batch.empty()) {
            where->flying = std::move(batch);
            where->gathers = where->flying.size() > 1;
            where->line->submit(where->flying);
            where->used_at = boottime::now();
            if (where->line->status() == session_wire::state::ended) {
                ended(where);
                return;
            }
        }
    }
    appoint(where);
}

/// Somebody has to read the socket as long as anything is to come.
void multiplexer::appoint(const connection_ptr& where) {
    if (where->over) return;
    const auto state = where->line->status();
    if (state != session_wire::state::connecting && state != session_wire::state::busy) {
        where->leader = nullptr;
        where->reactor_leads = false;
        return;
    }
    if (where->leader != nullptr) return;
    const auto lead = [&](const request_ptr& each) {
        if (each->owner == nullptr || !each->on_caller) return false;
        where->leader = each.get();
        // Also in the executor's place: it may have other things to do, this very call among them.
        where->reactor_leads = false;
        if (each.get() != calling_) each->owner->notify(signal_progress);
        return true;
    };
    if (std::any_of(where->flying.begin(), where->flying.end(), lead)) return;
    if (std::any_of(where->pending.begin(), where->pending.end(), lead)) return;
    if (!where->reactor_leads) {
        where->reactor_leads = true;
        if (state == session_wire::state::connecting) schedule(where->wakes_at());
    }
    arm(where);
}

void multiplexer::drive(const connection_ptr& where) {
    if (where->over) return;
    const bool connecting = where->line->status() == session_wire::state::connecting;
    where->line->advance();
    if (connecting) {
        // The driver may go from one socket to the next.
        where->reactor.reset();
        where->monitored = false;
        if (where->line->status() == session_wire::state::connecting && boottime::now() >= where->connect_by) {
            reply why;
            why.code = errc::unavailable;
            why.text = "no connection within " + std::to_string(options_.connect_timeout.count()) + " ms";
            where->line->end(std::move(why));
        } else if (where->line->status() == session_wire::state::ready) {
            where->connect_by = never;
            timer_may_end_ = tick_at_ != never;
            if (!where->watchers.empty()) monitor(where);
        }
    }
    if (where->line->status() == session_wire::state::ended) {
        ended(where);
        return;
    }
    if (where->line->status() == session_wire::state::ready && !where->flying.empty()) {
        const session_wire::batch batch = std::exchange(where->flying, {});
        where->used_at = boottime::now();
        for (const request_ptr& each : batch) answered(where, each);
    }
    if (where->over) return;
    pump(where);
    if (where->spare()) place_freed_ = true;
}

/// A look at the socket, for an end that nobody has had a reason to read about.
bool multiplexer::ended_unseen(const connection_ptr& where) {
    pollfd polled{where->line->descriptor(), POLLRDHUP, 0};
    if (where->line->status() == session_wire::state::connecting || ::poll(&polled, 1, 0) <= 0) return false;
    // What the server said before it ended comes first.
    constexpr int most_reads = 100;
    for (int count = 0; count < most_reads && !where->over; ++count) drive(where);
    if (!where->over) {
        reply why;
        why.text = "the connection has ended";
        where->line->end(std::move(why));
        ended(where);
    }
    return true;
}

void multiplexer::answered(const connection_ptr& where, const request_ptr& asked) {
    asked->no_room.clear();
    const verdict result = asked->answer.result;
    if (where->leader == asked.get()) where->leader = nullptr;
    const key_state* const name = asked->who.target == nullptr ? nullptr : asked->who.target->key.get();
    auto use = where->names.find(name);
    const auto forget_unused = [&] {
        if (use != where->names.end() && use->second.none()) where->names.erase(use);
    };
    switch (asked->what) {
        case session_verb::look_for_waiters:
        case session_verb::try_acquire: {
            name_use& state = use->second;
            if (asked->what == session_verb::look_for_waiters) {
                --state.queued;
                // Released meanwhile: then there is no hold to join, and it was never asked for.
                if (result == verdict::granted && (state.holds == 0 || state.unsure)) {
                    asked->answer.result = verdict::refused;
                }
                asked->what = session_verb::try_acquire;
            } else if (state.flying > 0) {
                --state.flying;
            }
            if (asked->answer.result == verdict::granted || asked->answer.result == verdict::doubt) {
                state.mode = asked->who.mode;
                ++state.holds;
                state.unsure = asked->answer.result == verdict::doubt;
            }
            forget_unused();
            if (asked->answer.result == verdict::refused && asked->waits && asked->owner != nullptr) {
                if (!asked->cancelled && boottime::now() < asked->deadline) {
                    enter_room(asked);
                    return;
                }
            }
            break;
        }
        case session_verb::wait:
            where->stands = false;
            --standing_;
            if (result == verdict::granted || result == verdict::doubt) {
                use = where->names.try_emplace(name, name_use{asked->who.mode}).first;
                ++use->second.holds;
                use->second.unsure = result == verdict::doubt;
                // To its asker this is a wait that the server has ended early: it queues again.
                if (asked->displaced) asked->answer.code = errc::timed_out;
            } else {
                place_freed_ = true;
            }
            break;
        case session_verb::release:
            --use->second.releases;
            use->second.unsure = result != verdict::released && result != verdict::not_held;
            if (!use->second.unsure) {
                --use->second.holds;
                if (!room_.empty()) released_.push_back(name);
            }
            forget_unused();
            break;
        case session_verb::probe:
            if (use == where->names.end()) break;
            if (result == verdict::granted) use->second.unsure = false;
            if (result == verdict::not_held) {
                use->second.unsure = false;
                --use->second.holds;
                if (!room_.empty()) released_.push_back(name);
                forget_unused();
            }
            break;
        case session_verb::cancel: cancel_answered(asked->target, true); break;
        case session_verb::ping: where->pinged = false; break;
    }
    if (options_.keepalive.count() > 0 && !where->names.empty()) schedule(boottime::now() + options_.keepalive);
    if (asked->owner != nullptr) {
        finish(*asked);
    } else {
        unattended(where, asked);
    }
}

/// Nobody waits for this answer; what it left behind is ours to give back.
void multiplexer::unattended(const connection_ptr& where, const request_ptr& asked) {
    asked->done = true;
    const verdict result = asked->answer.result;
    switch (asked->what) {
        case session_verb::try_acquire:
        case session_verb::wait:
            if (result == verdict::granted) make_sure(asked->who, where, session_verb::release);
            if (result == verdict::doubt) make_sure(asked->who, where, session_verb::probe);
            return;
        case session_verb::probe:
        case session_verb::release:
            if (result == verdict::granted) {
                make_sure(asked->who, where, session_verb::release);
            } else if (result != verdict::not_held && result != verdict::released) {
                if (++asked->failures < most_failures) {
                    asked->done = false;
                    asked->what = session_verb::probe;
                    // A server that has no room now may have some in a moment.
                    const auto at = boottime::now() + give_back_again * asked->failures * asked->failures;
                    retrials_.push_back({at, where, asked});
                    schedule(at);
                } else {
                    // Its end is the only thing left that gives the lock back.
                    reply why = asked->answer;
                    where->line->end(std::move(why));
                    ended(where);
                }
            }
            return;
        case session_verb::look_for_waiters:
        case session_verb::cancel:
        case session_verb::ping: return;
    }
}

void multiplexer::finish(session_request& asked, verdict result) {
    if (result != verdict::link_lost) asked.answer = reply{};
    asked.answer.result = result;
    finish(asked);
}

void multiplexer::finish(session_request& asked) {
    asked.done = true;
    if (asked.owner != nullptr && &asked != calling_) asked.owner->notify(signal_progress);
}

void multiplexer::ended(connection_ptr where) {
    if (std::exchange(where->over, true)) return;
    std::erase(connections_, where);
    if (where->stands) {
        where->stands = false;
        --standing_;
    }
    where->leader = nullptr;
    where->reactor_leads = false;
    where->reactor.reset();
    where->names.clear();
    look_at_all_ = place_freed_ = true;
    timer_may_end_ = tick_at_ != never;

    const reply& why = where->line->ending();
    const bool never_open = why.result == verdict::failed;
    const bool no_room = where->line->lacked_room();
    const auto sent = std::exchange(where->flying, {});
    const auto unsent = std::exchange(where->pending, {});
    if (never_open && no_room) stand_again_at_ = boottime::now() + no_place_for;
    const auto lose = [&](const request_ptr& each, bool was_sent) {
        if (each->what == session_verb::cancel) cancel_answered(each->target, !never_open);
        if (each->owner == nullptr) return;
        const bool standing = each->what == session_verb::wait;
        const bool hopeless = never_open && connections_.empty();
        // Whoever is not let in for another reason than want of room would wait in vain.
        const bool may_stay = !never_open || (no_room && !hopeless);
        if (each->waits && may_stay && (!was_sent || !standing)) {
            // It holds nothing, and need not know.
            if (never_open) each->no_room = why.text;
            enter_room(each);
            return;
        }
        if (each->what == session_verb::try_acquire && !was_sent && never_open && may_stay && each->deadline != never &&
            boottime::now() < each->deadline) {
            // The server has no room for one more connection of ours, and all others stand there. Whoever has time
            // waits with those who need no connection.
            each->at = nullptr;
            each->no_room = why.text;
            finish(*each, verdict::refused);
            return;
        }
        each->answer = why;
        finish(*each);
    };
    for (const request_ptr& each : sent) lose(each, true);
    for (const request_ptr& each : unsent) lose(each, false);
    for (const auto& each : where->watchers) each.second();
    if (never_open && no_room) displace();
}

/** The server has no room for one more connection, and all of ours stand: then nobody else here could be asked for, be
    his lock free or not. The one that stood up last makes way, and waits without a connection from now on.
*/
void multiplexer::displace() {
    if (!options_.multiplexing || !options_.cancels_on_server) return;
    connection_ptr last;
    for (const connection_ptr& each : connections_) {
        if (!each->stands || each->interrupted) return;
        if (!each->flying.empty() && each->flying.front()->owner != nullptr) last = each;
    }
    if (last == nullptr) return;
    last->flying.front()->displaced = true;
    interrupt(last);
}

void multiplexer::interrupt(const connection_ptr& where) {
    if (std::exchange(where->interrupted, true)) return;
    where->line->interrupt();
    schedule(boottime::now() + interruption_look);
}

void multiplexer::cancel(const request_ptr& asked) {
    asked->cancelled = true;
    if (unqueue(asked)) {
        finish(*asked, verdict::refused);
    } else if (asked->what == session_verb::wait && asked->at != nullptr) {
        cancel_standing(asked->at);
    }
}

/// Over another connection, which takes a twentieth of the time of a cancel request of its own.
void multiplexer::cancel_standing(const connection_ptr& where) {
    if (!options_.cancels_on_server || where->cancels_out > 0 || where->interrupted) return;
    connection_ptr over = least_busy(where.get());
    if (over == nullptr) over = open();
    where->cancelled_at = boottime::now();
    ++where->cancels_out;
    auto made = std::make_shared<session_request>();
    made->what = session_verb::cancel;
    made->target = where->line->session();
    enqueue(over, made);
}

/// From now on nothing can hit what that session does next.
/// @param had_a_way there was a connection to send it over
void multiplexer::cancel_answered(std::int64_t session, bool had_a_way) {
    const auto found = std::find_if(connections_.begin(), connections_.end(), [session](const auto& each) {
        return each->cancels_out > 0 && each->line->session() == session;
    });
    if (found == connections_.end()) return;
    // Its own reference: the vector may change.
    const connection_ptr where = *found;
    --where->cancels_out;
    if (!had_a_way && where->stands && !where->flying.empty()) {
        interrupt(where);
        return;
    }
    pump(where);
    if (!where->over && where->spare()) place_freed_ = true;
}

/// The owner of @p asked goes; the command may be anywhere.
void multiplexer::detach(const request_ptr& asked) {
    const bool releasing = asked->what == session_verb::release || asked->what == session_verb::probe;
    asked->owner = nullptr;
    if (!releasing && unqueue(asked)) return;
    const connection_ptr where = asked->at;
    if (where == nullptr) return;
    if (where->leader == asked.get()) where->leader = nullptr;
    appoint(where);
    if (asked->what == session_verb::wait) {
        cancel_standing(where);
        if (options_.cancels_on_server) schedule(boottime::now() + cancel_again);
    }
}

/// Gives back what may be held for nobody.
void multiplexer::make_sure(const claim& who, const connection_ptr& on, session_verb what) {
    if (on->over) return;
    auto made = std::make_shared<session_request>();
    made->what = what;
    made->who = who;
    enqueue(on, made);
}

/// What a call has left to do: all of it may end or free connections, and so leave more.
void multiplexer::tidy() {
    while (look_at_all_ || place_freed_ || !released_.empty()) {
        if (std::exchange(look_at_all_, false)) {
            // Where one has ended, others may have: a server that was restarted.
            const auto all = connections_;
            for (const connection_ptr& each : all) {
                if (!each->over && each->idle()) ended_unseen(each);
            }
        }
        for (const key_state* const name : std::exchange(released_, {})) {
            std::vector<std::uint64_t> found;
            const auto [first, last] = room_names_.equal_range(name);
            std::for_each(first, last, [&](const auto& each) { found.push_back(each.second); });
            for (const std::uint64_t number : found) {
                if (const auto at = room_.find(number); at != room_.end()) retry(request_ptr(at->second));
            }
        }
        if (std::exchange(place_freed_, false)) {
            while (!room_.empty()) {
                const connection_ptr where = place_to_stand(nullptr);
                if (where == nullptr) break;
                const request_ptr first = room_.begin()->second;
                leave_room(first);
                stand(where, first);
            }
            close_spare();
        }
    }
    if (std::exchange(timer_may_end_, false) && next_tick() == never) {
        tick_at_ = never;
        timer_->cancel();
    }
}

/// Closes what is spare for long, or too much. Not by a timer, which would keep a user's executor from coming to an
/// end.
void multiplexer::close_spare() {
    if (connections_.size() < 2) return;
    const auto now = boottime::now();
    const auto all = connections_;
    std::size_t kept = 0;
    for (const connection_ptr& each : all) {
        if (!each->spare() || each->line->status() != session_wire::state::ready || each == all.front()) continue;
        if (++kept <= most_spare && now < each->used_at + options_.idle_timeout) continue;
        reply why;
        why.text = "closed, since nobody needed it";
        each->line->end(std::move(why));
        ended(each);
    }
}

const boost::asio::any_io_executor& multiplexer::executor() {
    if (!executor_) executor_ = get_executor_();
    return *executor_;
}

/// In a handler of the executor: whom the work rouses runs when the mutex is free again.
template <class Work>
void multiplexer::take_turn(Work work) {
    gathered_rousings roused(*executor_);
    {
        const entry inside(*this);
        work();
    }
    roused.run();
}

bool multiplexer::have_reactor(const connection_ptr& where) {
    if (where->reactor == nullptr) {
        auto made = std::make_shared<reactor_end>(executor(), where->line->descriptor());
        if (!made->descriptor.is_open()) return false;
        where->reactor = std::move(made);
    }
    return true;
}

/// The executor reads @p where.
void multiplexer::arm(const connection_ptr& where) {
    if (!have_reactor(where)) {
        // No descriptor is to be had; the locks on this connection are not to suffer for that.
        schedule(boottime::now() + arm_again);
        return;
    }
    const short events = where->line->events();
    if ((events & POLLIN) != 0 && !where->reactor->reading) await(where, false);
    if ((events & POLLOUT) != 0 && !where->reactor->writing) await(where, true);
}

void multiplexer::await(const connection_ptr& where, bool writing) {
    using boost::asio::posix::stream_descriptor;
    const auto& end = where->reactor;
    (writing ? end->writing : end->reading) = true;
    end->descriptor.async_wait(
        writing ? stream_descriptor::wait_write : stream_descriptor::wait_read,
        [weak = weak_from_this(), at = std::weak_ptr(where), source = std::weak_ptr(end), writing](error_code code) {
            const auto self = weak.lock();
            const auto found = at.lock();
            if (self == nullptr || found == nullptr || code == boost::asio::error::operation_aborted) return;
            self->take_turn([&] {
                const auto from = source.lock();
                if (from == nullptr || found->reactor != from) return;
                (writing ? from->writing : from->reading) = false;
                if (found->reactor_leads) self->drive(found);
            });
        });
}

void multiplexer::post_pump(const connection_ptr& where) {
    if (std::exchange(where->pump_posted, true)) return;
    boost::asio::post(executor(), [weak = weak_from_this(), where] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->take_turn([&] {
            where->pump_posted = false;
            self->pump(where);
        });
    });
}

void multiplexer::schedule(boottime::time_point at) {
    if (at >= tick_at_) return;
    tick_at_ = at;
    if (timer_ == nullptr) timer_ = std::make_unique<boost::asio::steady_timer>(executor());
    timer_->expires_after(std::max<boottime::duration>(at - boottime::now(), std::chrono::milliseconds(0)));
    timer_->async_wait([weak = weak_from_this()](error_code code) {
        if (code) return;
        const auto self = weak.lock();
        if (self != nullptr) self->take_turn([&] { self->tick(); });
    });
}

void multiplexer::tick() {
    tick_at_ = never;
    const auto now = boottime::now();
    if (room_due_ <= now) {
        room_due_ = now + options_.retry_cadence;
        retry_room();
        if (room_.empty()) room_due_ = never;
    }
    retry_failed(now);
    const auto all = connections_;
    for (const connection_ptr& each : all) {
        if (each->over) continue;
        if (each->lacks_reactor()) arm(each);
        if (each->lacks_monitor()) monitor(each);
        if (each->interrupted && !each->line->interrupting()) {
            each->interrupted = false;
            pump(each);
            if (!each->over && each->spare()) place_freed_ = true;
            if (each->over) continue;
        }
        if (each->line->status() == session_wire::state::connecting) {
            if (each->reactor_leads && now >= each->wakes_at()) drive(each);
        } else if (options_.cancels_on_server && each->waits_for_nobody()) {
            // A cancel can get lost.
            if (now >= each->cancelled_at + cancel_again) cancel_standing(each);
        } else if (options_.keepalive.count() > 0 && !each->names.empty() && each->idle() && !each->pinged &&
                   now >= each->used_at + options_.keepalive) {
            each->pinged = true;
            auto made = std::make_shared<session_request>();
            made->what = session_verb::ping;
            enqueue(each, made);
        }
    }
    if (const auto next = next_tick(); next != never) schedule(next);
}

/// A caller does the executor's part: that may not run, or only once this call is over.
void multiplexer::help() {
    const auto all = connections_;
    for (const connection_ptr& each : all) {
        if (!each->over && each->reactor_leads) drive(each);
    }
    if (boottime::now() >= tick_at_) tick();
}

boottime::time_point multiplexer::next_tick() const {
    auto next = room_due_;
    const auto now = boottime::now();
    for (const retrial& each : retrials_) next = std::min(next, each.at);
    for (const connection_ptr& each : connections_) {
        if (each->lacks_reactor() || each->lacks_monitor()) next = std::min(next, now + arm_again);
        if (each->interrupted) next = std::min(next, now + interruption_look);
        if (each->line->status() == session_wire::state::connecting) {
            if (each->reactor_leads) next = std::min(next, each->wakes_at());
        } else if (options_.cancels_on_server && each->waits_for_nobody()) {
            next = std::min(next, now + cancel_again);
        } else if (options_.keepalive.count() > 0 && !each->names.empty()) {
            next = std::min(next, std::max(now, each->used_at) + options_.keepalive);
        }
    }
    return next;
}

/// From now on the end of @p where is seen without anybody's asking.
void multiplexer::monitor(const connection_ptr& where) {
    if (where->monitored || where->over || where->line->status() == session_wire::state::connecting) return;
    if (ends_ == nullptr) {
        auto made = std::make_unique<end_watch>(executor());
        if (made->descriptor.is_open()) {
            ends_ = std::move(made);
            await_ends();
        }
    }
    if (ends_ != nullptr && have_reactor(where)) {
        epoll_event wanted{};
        wanted.events = EPOLLRDHUP;
        wanted.data.u64 = where->id;
        where->monitored = ::epoll_ctl(ends_->own.get(), EPOLL_CTL_ADD, where->reactor->own.get(), &wanted) == 0;
    }
    // Whoever wants to know of the end must not be left without.
    if (!where->monitored) schedule(boottime::now() + arm_again);
}

void multiplexer::look_for_ends() {
    std::array<epoll_event, 64> seen{};
    const int count = ::epoll_wait(ends_->own.get(), seen.data(), static_cast<int>(seen.size()), 0);
    for (int i = 0; i < count; ++i) {
        const std::uint64_t id = seen.at(static_cast<std::size_t>(i)).data.u64;
        const auto found =
            std::find_if(connections_.begin(), connections_.end(), [id](const auto& each) { return each->id == id; });
        if (found != connections_.end()) ended_unseen(connection_ptr(*found));
    }
    await_ends();
}

void multiplexer::await_ends() {
    ends_->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                 [weak = weak_from_this()](error_code code) {
                                     const auto self = weak.lock();
                                     if (self == nullptr || code == boost::asio::error::operation_aborted) return;
                                     self->take_turn([&] { self->look_for_ends(); });
                                 });
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
