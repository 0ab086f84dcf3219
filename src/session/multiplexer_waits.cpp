// Who waits in the server, who without a connection, and how a wait in the server is ended.
#include <core/key_state.hpp>
#include <session/multiplexer.hpp>
#include <session/session_connection.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace core {

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
    const std::uint64_t number = ++last_in_room_;
    const auto place = room_.emplace(number, asked).first;
    try {
        room_names_.emplace(asked->who.target->key.get(), number);
    } catch (...) {
        room_.erase(place);
        throw;
    }
    asked->in_room = true;
    asked->at = nullptr;
    asked->number_in_room = number;
    if (room_due_ == never) {
        room_due_ = boottime::now() + options_.retry_cadence;
        schedule(room_due_);
    }
}

void multiplexer::leave_room(const request_ptr& asked) {
    const std::uint64_t number = asked->number_in_room;
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

}  // namespace core
}  // namespace v0
}  // namespace holdfast
