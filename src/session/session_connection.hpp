// One connection as the multiplexer sees it: what is asked of it, what it holds, and who reads it.
#ifndef HOLDFAST_SESSION_SESSION_CONNECTION_HPP
#define HOLDFAST_SESSION_SESSION_CONNECTION_HPP

#include <session/reactor_end.hpp>
#include <session/wire.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

class key_state;

/// When a cancel that has had no effect is sent again.
constexpr std::chrono::milliseconds cancel_again = std::chrono::milliseconds(50);
/// When it is looked again whether an interruption is over.
constexpr std::chrono::milliseconds interruption_look = std::chrono::milliseconds(5);

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

/// Belongs to the multiplexer, whose mutex guards it.
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

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
