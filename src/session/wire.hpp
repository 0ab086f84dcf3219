// One connection to a server whose locks end with it, as its driver presents it.
#ifndef HOLDFAST_SESSION_WIRE_HPP
#define HOLDFAST_SESSION_WIRE_HPP

#include <core/claim.hpp>
#include <core/link.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

class session_connection;

/// What can be sent over a connection.
enum class session_verb {
    try_acquire,
    wait,
    release,
    probe,
    /// A look whether anybody waits for a name that this session holds shared.
    look_for_waiters,
    /// Ends what the session `session_request::target` is waiting for.
    cancel,
    /// A question without meaning, to see that somebody answers.
    ping,
};

/// One command on its way through a connection. Belongs to the multiplexer, whose mutex guards it.
struct session_request {
    session_verb what = session_verb::try_acquire;
    claim who;
    /// `wait`: when the caller's time is over; and how long the server may let it stand.
    boottime::time_point deadline = never;
    std::chrono::milliseconds limit{0};
    /// `cancel`: whose wait.
    std::int64_t target = 0;
    /// The wire writes the answer here; clear when it is submitted.
    reply answer = {};

    // The rest is the multiplexer's.
    /// Null when nobody waits for the answer any more.
    notifier* owner = nullptr;
    /// Why there was no connection to ask over, as long as nobody could be asked since.
    std::string why_unasked = {};
    /// The owner's thread polls for itself.
    bool on_caller = false;
    bool done = false;
    bool in_room = false;
    /// Its place in the line there.
    std::uint64_t number_in_room = 0;
    /// Tries for somebody who waits in the room.
    bool waits = false;
    bool cancelled = false;
    /// Its wait was ended to make way for others.
    bool displaced = false;
    /// Asks on a connection that has to do with this name already, because there is no other.
    bool forced = false;
    int failures = 0;
    std::shared_ptr<session_connection> at = {};
};

/** One connection. Never blocks; not thread-safe: the multiplexer's mutex is held in every call.

    It carries one batch at a time. A batch is several tries and releases, or several probes, or one of anything else.
*/
class session_wire {
public:
    enum class state { connecting, ready, busy, ended };
    using batch = std::vector<std::shared_ptr<session_request>>;

    session_wire() = default;
    session_wire(const session_wire&) = delete;
    session_wire& operator=(const session_wire&) = delete;
    virtual ~session_wire() = default;

    virtual state status() const noexcept = 0;
    /// Sends @p requests. @pre `ready`; not empty
    virtual void submit(const batch& requests) = 0;
    /** Reads and writes what can be. Leaves `busy` when all requests have their answers.

        Is called on a `ready` connection as well when its socket has something to read: then the server has said its
        last words or closed it, and `ended` has to follow. A driver that reads only for a query has to look at the
        socket itself.
    */
    virtual void advance() = 0;
    /// Ends the connection from our side, because of @p why.
    virtual void end(reply why) noexcept = 0;
    /// Asks the server to end what this session waits for, by a way that needs none of its connections, when none is to
    /// be had. Does not block, and may have no effect.
    virtual void interrupt() noexcept {}
    /// That is under way: nothing else may be sent meanwhile, which it could hit.
    virtual bool interrupting() const noexcept { return false; }
    /// In a forked child: lets go, without a word to the server.
    virtual void abandon() noexcept = 0;

    virtual int descriptor() const noexcept = 0;
    /// Which of POLLIN and POLLOUT to wait for.
    virtual short events() const noexcept = 0;
    /// While it connects: `advance` is to be called by then, even if nothing comes.
    virtual boottime::time_point due() const noexcept { return never; }
    /// What a `cancel` of this session's wait has to name.
    virtual std::int64_t session() const noexcept = 0;

    /// Once ended: `failed` when it was never open, else `link_lost`; with the server's own text where it said
    /// something.
    virtual const reply& ending() const noexcept = 0;
    /// Once ended: never open, since the server has no room for one more connection now. It may have later; any other
    /// reason not to let us in stays.
    virtual bool server_was_full() const noexcept { return false; }
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
