// The executor's part: sockets that nobody else reads, the clock, and the ends of connections.
#include <core/runner.hpp>
#include <session/multiplexer.hpp>
#include <session/session_connection.hpp>

#include <boost/asio/post.hpp>

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <exception>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// When a descriptor that could not be had is asked for again.
constexpr std::chrono::milliseconds arm_again = std::chrono::milliseconds(100);

}  // namespace

/// False where there is none, for want of a thread or a descriptor: then callers do its part.
bool multiplexer::have_executor() noexcept {
    if (executor_) return true;
    try {
        executor_ = get_executor_();
    } catch (const std::exception&) {
        return false;
    }
    return true;
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

bool multiplexer::have_reactor(const connection_ptr& where) noexcept {
    if (where->reactor != nullptr) return true;
    if (!have_executor()) return false;
    try {
        auto made = std::make_shared<reactor_end>(*executor_, where->line->descriptor());
        if (made->descriptor.is_open()) where->reactor = std::move(made);
    } catch (const std::exception&) {
        // A user's executor makes its own reactor with the first descriptor, for which there may be none.
    }
    return where->reactor != nullptr;
}

bool multiplexer::have_timer() noexcept {
    if (timer_ != nullptr) return true;
    if (!have_executor()) return false;
    try {
        timer_ = std::make_unique<boost::asio::steady_timer>(*executor_);
    } catch (const std::exception&) {
        return false;
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
    if (where->pump_posted) return;
    if (!have_executor()) return pump(where);
    where->pump_posted = true;
    boost::asio::post(*executor_, [weak = weak_from_this(), where] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->take_turn([&] {
            where->pump_posted = false;
            self->pump(where);
        });
    });
}

void multiplexer::schedule(boottime::time_point at) {
    if (at >= tick_at_ && timer_ != nullptr) return;
    tick_at_ = std::min(at, tick_at_);
    // Without it callers look at the clock.
    if (!have_timer()) return;
    timer_->expires_after(std::max<boottime::duration>(tick_at_ - boottime::now(), std::chrono::milliseconds(0)));
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
        } else if (options_.keepalive.count() > 0 && !each->names.empty() && each->idle() && !each->pinged) {
            // Where something is out, its answer sets the time anew.
            next = std::min<boottime::time_point>(next, std::max(now, each->used_at + options_.keepalive));
        }
    }
    return next;
}

/// From now on the end of @p where is seen without anybody's asking.
void multiplexer::monitor(const connection_ptr& where) {
    if (where->monitored || where->over || where->line->status() == session_wire::state::connecting) return;
    if (ends_ == nullptr && have_executor()) {
        try {
            auto made = std::make_unique<end_watch>(*executor_);
            if (made->descriptor.is_open()) {
                ends_ = std::move(made);
                await_ends();
            }
        } catch (const std::exception&) {
            // As for a connection's own.
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
