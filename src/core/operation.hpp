// Decisions without I/O: what every operation is to the drivers that run it.
#ifndef HOLDFAST_CORE_OPERATION_HPP
#define HOLDFAST_CORE_OPERATION_HPP

#include <core/link.hpp>
#include <core/moment.hpp>

#include <holdfast/diagnostics.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

/// What has happened.
enum class event_kind {
    start,
    /// It is our turn to ask for this name.
    turn,
    /// A try that would have overtaken somebody in this process who waits.
    turn_refused,
    link_ready,
    /// No link could be made; the reply says why.
    link_failed,
    /// The link's reply is there, or the link was lost.
    replied,
    /// The dropped link is gone.
    dropped,
    armed,
    woken,
    /// The time that the last action named has come.
    time,
    /// The caller cancelled. Reported once.
    cancelled,
};

struct event {
    event_kind kind = event_kind::start;
    /// With `replied` and `link_failed`.
    const reply* answer = nullptr;
    /// With `replied`: when the command was sent.
    boottime::time_point sent_at{};
};

/// What is to be done next.
enum class action_kind {
    await_turn,
    /// Get a link: an idle one, or a new one.
    need_link,
    /// Send `action::cmd` and await its reply.
    send,
    /// Go on awaiting the reply.
    await_reply,
    /// Ask the server to give up what was sent, and await its reply.
    cancel_sent,
    drop_link,
    /// Begin to listen for news.
    arm,
    await_wake,
    complete,
};

struct action {
    action_kind kind = action_kind::complete;
    command cmd = {};
    /// When to report `event_kind::time` if nothing else happens.
    boottime::time_point until = never;
    /// `need_link`: a new one, because the last idle one turned out to be dead.
    bool fresh = false;
    /// `await_turn`: a try, which is refused rather than kept waiting behind somebody who waits.
    bool only_try = false;
    /// From here on we stand in line for this name: tries in this process may not overtake.
    bool waiting = false;
};

/// How an operation ended.
struct outcome {
    bool succeeded = false;
    errc code = errc::unavailable;
    int native_code = 0;
    std::string text = {};
    held_state state = held_state::released;
    std::optional<std::uint64_t> token = {};
    boottime::time_point valid_until = never;
    /// When what was granted had been asked for.
    boottime::time_point asked_at{};
    int count = 0;
};

/** A decision maker: takes what has happened, with the time, and answers what is to be done.

    No I/O, no clock, no thread, so that simulated time tests the same code that both drivers run.
*/
class operation {
public:
    operation() = default;
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    virtual ~operation() = default;

    /// @pre not complete
    virtual action resume(const event& happened, const moment& now) = 0;

    /// Valid once `resume` has answered `complete`.
    outcome& result() noexcept { return result_; }

protected:
    action finish_with(errc code, const reply* cause = nullptr) {
        result_.succeeded = false;
        result_.code = code;
        if (cause != nullptr) {
            result_.native_code = cause->native_code;
            result_.text = cause->text;
        }
        // Whoever is silent gives no reason.
        if (result_.text.empty() && (code == errc::unavailable || code == errc::in_doubt)) {
            result_.text = "no answer came in time";
        }
        return {action_kind::complete};
    }
    action finish_well() {
        result_.succeeded = true;
        return {action_kind::complete};
    }

    outcome result_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
