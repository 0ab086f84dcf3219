// Which command goes over which connection, and what its answer means.
#include <core/key_state.hpp>
#include <session/multiplexer.hpp>
#include <session/session_connection.hpp>
#include <session/session_link.hpp>

#include <poll.h>

#include <algorithm>
#include <exception>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// How much one statement may carry.
constexpr std::size_t largest_batch = 512;
/// How long no further connection is tried for waiting after one could not be had.
constexpr std::chrono::milliseconds no_place_for = std::chrono::seconds(5);
constexpr int most_failures = 4;
/// When that which could not be given back is tried again: after so long, then four times and nine times that.
constexpr std::chrono::milliseconds give_back_again = std::chrono::milliseconds(10);
/// How many connections that nobody uses are kept open, besides the first.
constexpr std::size_t most_spare = 8;

/// Commands of one kind may share a batch; zero may not.
int batch_kind(session_verb what) noexcept {
    if (what == session_verb::try_acquire || what == session_verb::release) return 1;
    return what == session_verb::probe ? 2 : 0;
}

}  // namespace

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
        const auto& names = connections_[i]->names;
        const auto found = names.find(asked.who.target->key.get());
        const bool excludes = found != names.end() && found->second.holds > 0 && found->second.releases == 0 &&
                              (asked.who.mode == access::exclusive || found->second.mode == access::exclusive);
        if (!excludes) {
            ++i;
            continue;
        }
        const connection_ptr each = connections_[i];
        if (!ended_unseen(each)) return true;
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

/// Puts into `flying` what @p where has to send next, as far as it may go now.
void multiplexer::gather(const connection_ptr& where) {
    session_wire::batch& batch = where->flying;
    batch.reserve(std::min(where->pending.size(), largest_batch));
    for (;;) {
        bool released_here = false;
        // Of those that were there now; who may not go yet is put behind them.
        std::size_t left = where->pending.size();
        while (left > 0) {
            const int kind = batch_kind(where->pending.front()->what);
            if (!batch.empty() &&
                (kind == 0 || kind != batch_kind(batch.front()->what) || batch.size() >= largest_batch)) {
                break;
            }
            request_ptr next = std::move(where->pending.front());
            where->pending.pop_front();
            --left;
            const bool named = kind == 1;
            if (named && !may_go(where, next)) {
                released_here = released_here || (next->done && next->what == session_verb::release);
                if (!next->done && !next->in_room && next->at == where) where->pending.push_back(std::move(next));
                continue;
            }
            const bool alone = batch_kind(next->what) == 0;
            if (alone && !batch.empty()) {
                // It has become a look for waiters.
                where->pending.push_front(std::move(next));
                ++left;
                break;
            }
            set_out(where, *next);
            batch.push_back(std::move(next));
            if (alone) break;
        }
        // Those who stay were first.
        const auto first_to_stay = where->pending.begin() + static_cast<std::ptrdiff_t>(left);
        std::rotate(where->pending.begin(), first_to_stay, where->pending.end());
        // Where nothing is out for which they could wait, one release here was enough.
        const bool again = batch.empty() && left == 0 && released_here && !where->pending.empty();
        if (!again) return;
    }
}

/// Goes with the next batch.
void multiplexer::set_out(const connection_ptr& where, session_request& asked) const {
    // Whatever goes wrong from here on: the answer to the command before is not the one to this.
    asked.answer.clear();
    if (asked.what == session_verb::try_acquire) {
        name_use& name = where->names.find(asked.who.target->key.get())->second;
        --name.queued;
        ++name.flying;
    }
    if (asked.what != session_verb::wait) return;
    asked.limit = std::chrono::milliseconds(-1);
    if (asked.deadline != never) {
        asked.limit = std::max(std::chrono::ceil<std::chrono::milliseconds>(asked.deadline - boottime::now()),
                               std::chrono::milliseconds(1));
    }
    if (options_.max_server_wait.count() > 0 && (asked.limit.count() < 0 || asked.limit > options_.max_server_wait)) {
        asked.limit = options_.max_server_wait;
    }
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
        try {
            gather(where);
            if (!where->flying.empty()) where->line->submit(where->flying);
        } catch (const std::exception&) {
            // No memory; and half a batch, of which nobody would ever see the rest.
            give_up(where);
            throw;
        }
        if (!where->flying.empty()) {
            where->gathers = where->flying.size() > 1;
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
        session_wire::batch batch = std::exchange(where->flying, {});
        where->used_at = boottime::now();
        auto next = batch.begin();
        try {
            for (; next != batch.end(); ++next) answered(where, *next);
        } catch (const std::exception&) {
            // No memory to note what it holds; its end gives that back. Whoever has no answer yet hears of the end.
            batch.erase(batch.begin(), next);
            where->flying.swap(batch);
            give_up(where);
            throw;
        }
        // Its room is for the next one, unless that is out already.
        batch.clear();
        if (where->flying.capacity() == 0) where->flying.swap(batch);
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
    asked->why_unasked.clear();
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
                // The same where nothing is held: it was ended before it stood, or has been given back.
                if (asked->displaced && result == verdict::failed) asked->answer.result = verdict::timed_out;
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

/// For want of memory. Its end gives back whatever it holds.
void multiplexer::give_up(const connection_ptr& where) noexcept {
    if (where->over) return;
    try {
        reply why;
        try {
            why.text = "the connection had to be given up: no memory";
        } catch (const std::exception&) {
            // Not even for that.
        }
        where->line->end(std::move(why));
        ended(where);
    } catch (const std::exception&) {
        // Those whom it concerns have been told; the rest is for the next call.
        look_at_all_ = place_freed_ = true;
    }
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
    const bool full = where->line->server_was_full();
    const auto sent = std::exchange(where->flying, {});
    const auto unsent = std::exchange(where->pending, {});
    if (never_open && full) stand_again_at_ = boottime::now() + no_place_for;
    const auto tell = [&](const request_ptr& each, bool was_sent) {
        if (each->in_room) return;
        if (each->what == session_verb::cancel) cancel_answered(each->target, !never_open);
        if (each->owner == nullptr) return;
        const bool standing = each->what == session_verb::wait;
        const bool hopeless = never_open && connections_.empty();
        // Whoever is not let in for another reason than want of room would wait in vain.
        const bool may_stay = !never_open || (full && !hopeless);
        if (each->waits && may_stay && (!was_sent || !standing)) {
            // It holds nothing, and need not know.
            if (never_open) each->why_unasked = why.text;
            enter_room(each);
            return;
        }
        if (each->what == session_verb::try_acquire && !was_sent && never_open && may_stay && each->deadline != never &&
            boottime::now() < each->deadline) {
            // The server has no room for one more connection of ours, and all others stand there. Whoever has time
            // waits with those who need no connection.
            each->at = nullptr;
            each->why_unasked = why.text;
            finish(*each, verdict::refused);
            return;
        }
        each->answer = why;
        finish(*each);
    };
    const auto lose = [&](const request_ptr& each, bool was_sent) {
        try {
            tell(each, was_sent);
        } catch (const std::exception&) {
            // No memory to tell why, or to wait elsewhere.
            each->answer.clear();
            if (!each->in_room) finish(*each, verdict::link_lost);
        }
    };
    for (const request_ptr& each : sent) lose(each, true);
    for (const request_ptr& each : unsent) lose(each, false);
    for (const auto& each : where->watchers) each.second();
    if (never_open && full) displace();
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
        while (!released_.empty()) {
            std::vector<std::uint64_t> found;
            const auto [first, last] = room_names_.equal_range(released_.front());
            std::for_each(first, last, [&](const auto& each) { found.push_back(each.second); });
            for (const std::uint64_t number : found) {
                if (const auto at = room_.find(number); at != room_.end()) retry(request_ptr(at->second));
            }
            // Not before it is done, for which there may be no memory.
            released_.erase(released_.begin());
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
        if (timer_ != nullptr) timer_->cancel();
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

}  // namespace core
}  // namespace v0
}  // namespace holdfast
