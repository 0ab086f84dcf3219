// What a backend supplies: conversations with whoever keeps the lock.
#ifndef HOLDFAST_CORE_LINK_HPP
#define HOLDFAST_CORE_LINK_HPP

#include <core/claim.hpp>

#include <holdfast/clock.hpp>
#include <holdfast/error.hpp>
#include <holdfast/timeout.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {

class parker;

constexpr boottime::time_point never = boottime::time_point::max();

/// What can be asked over a link.
enum class verb {
    /// Take it now or say no; never waits.
    try_acquire,
    /// Wait on the server until granted, at most `command::limit`. Only on a link that holds nothing.
    wait,
    release,
    /// Turn an upgradeable read lock into the write lock.
    convert,
    /// Undo a `convert` that was granted after its caller had gone.
    revert,
    /// "Do I hold it?": asked after every doubtful end.
    probe,
    /// Prolong a lease.
    renew,
    /// Stop being announced as a waiter.
    withdraw,
    /// How many tickets are free.
    count,
};

/// What a reply means.
enum class verdict {
    /// Granted, converted, renewed; to a probe: held.
    granted,
    /// Somebody else has it.
    refused,
    /// The server waited as long as it was told to.
    timed_out,
    released,
    /// We do not have it.
    not_held,
    deadlock,
    /// It may have been granted; a probe is sent. `reply::code` says what it was if the probe finds nothing.
    doubt,
    /// A plain error, which changed nothing.
    failed,
    /// The link ended before its reply.
    link_lost,
};

/// A lease that is renewed together with others.
struct renewal_share {
    claim who;
    /// `granted`, `not_held`, or `failed`: nothing is known of this one.
    verdict result = verdict::failed;
};

struct command {
    verb what = verb::try_acquire;
    const claim* who = nullptr;
    /// `wait` and `convert`: how long the server may let us stand; negative for without end.
    std::chrono::milliseconds limit{0};
    /// `try_acquire`: the asker will stay and try again, so a backend that knows waiters may announce it.
    bool staying = false;
    /// `probe`: whether the upgrade was granted, not only what was held before it.
    bool upgraded = false;
    /// A link that has no connection, or loses it, may connect anew until then; once in any case.
    boottime::time_point reconnect_until{};
    /// The calling thread itself awaits the reply, and polls the link's descriptor; else the executor's does.
    bool on_caller = false;
    /** `renew`: all leases to be renewed, `who`'s first, where there are several; see `backend::renewals_at_once`. The
        answer `granted` means that each has its result. They outlive the command. */
    std::span<renewal_share> together = {};
};

struct reply {
    verdict result = verdict::failed;
    errc code = errc::unavailable;
    int native_code = 0;
    std::string text = {};
    std::optional<std::uint64_t> token = {};
    /// Leases: for how long it is ours, counted from the moment the request was sent.
    std::chrono::nanoseconds lifetime{0};
    /// After `refused`: when trying again makes sense even if nobody wakes us.
    boottime::time_point retry_at = never;
    int count = 0;

    /// Back to the state of a new object. Not by assigning one, which costs more than a lock in memory.
    void clear() noexcept {
        result = verdict::failed;
        code = errc::unavailable;
        native_code = 0;
        if (!text.empty()) text.clear();
        token.reset();
        lifetime = {};
        retry_at = never;
        count = 0;
    }
};

/// Reasons to look again; several may be set at once.
enum signal_bits : unsigned {
    signal_turn = 1U << 0,
    signal_turn_refused = 1U << 1,
    signal_wake = 1U << 2,
    signal_progress = 1U << 3,
    signal_cancel = 1U << 4,
    signal_time = 1U << 5,
};

/// Where other threads leave such reasons. Never blocks for long.
class notifier {
public:
    virtual void notify(unsigned bits) noexcept = 0;

protected:
    ~notifier() = default;
};

/// How far a link has got with its command.
struct progress {
    bool done = false;
    /// Not done: advance again at this time at the latest.
    boottime::time_point again_at = never;
};

/// What has come of `link::take`.
enum class taking {
    granted,
    /// Somebody else had it all the time.
    refused,
    /// It takes more than that: it has to be waited for, or there was an error. `start` tells.
    beyond,
};

/** One conversation: at most one command at a time, driven by one thread at a time, never blocking.

    A link of the kernel family answers every command at once. Others become ready by their descriptor, by a call of
    the notifier, or both.
*/
class HOLDFAST_API link {
public:
    link() = default;
    link(const link&) = delete;
    link& operator=(const link&) = delete;
    virtual ~link() = default;

    /// Begins @p cmd. @p on_progress stays valid until the command is done or the link destroyed.
    virtual progress start(const command& cmd, notifier& on_progress) = 0;
    virtual progress advance() { return {true, never}; }
    /** Takes the lock on the calling thread, which may stand where the lock is kept until it has it, for @p limit at
        most. For links that answer at once.

        After anything but `granted` nothing is held, and nothing asked for.

        @param self whose rousing ends it, as if the time were over; null: nothing does
    */
    virtual taking take(const claim& who, timeout limit, parker* self);
    /// Asks the server to give up the command; its reply still comes.
    virtual void request_cancel() {}

    /// The answer to the last command that is done.
    const reply& last_reply() const noexcept { return reply_; }

    /// Poll this for `poll_events()` while a command is not done; -1: the notifier alone tells.
    virtual int descriptor() const noexcept { return -1; }
    virtual short poll_events() const noexcept { return 0; }
    /** Sleeps until it makes sense to advance, at most until @p until, on the calling thread.

        For a caller that nobody cancels, and a link that only its descriptor brings on: a quicker way to await it.
        @return false, at once, where there is no quicker way
    */
    virtual bool await_answer(boottime::time_point) { return false; }

    /// May serve another command, for anybody.
    virtual bool reusable() const noexcept { return true; }
    /// Made by `backend::make_shared_link`: serves only what runs on the executor.
    virtual bool is_shared() const noexcept { return false; }

    /// For a link that keeps a lock: false once it certainly keeps it no more. A cheap look, no round trip.
    virtual bool keeps(const claim&) const noexcept { return true; }
    /// Calls @p suspicion, from any thread, whenever `keeps` should be asked again; until the result is destroyed.
    virtual std::shared_ptr<void> watch_loss(const claim& held, std::function<void()> suspicion);
    /// The descriptor that keeps the lock.
    virtual std::optional<int> native_descriptor() const noexcept { return std::nullopt; }
    /// In a forked child: closes what was inherited, without a word to anybody. Nothing else may be called then.
    virtual void abandon() noexcept {}

protected:
    reply& set_reply(verdict result) {
        reply_.clear();
        reply_.result = result;
        return reply_;
    }
    reply& set_failure(errc code, int native_code, std::string text) {
        reply& made = set_reply(verdict::failed);
        made.code = code;
        made.native_code = native_code;
        made.text = std::move(text);
        return made;
    }

    reply reply_;
};

/// A registration with whatever tells that trying again may help. Destroying it ends the registration.
class HOLDFAST_API watch {
public:
    watch() = default;
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    virtual ~watch() = default;

    /** Lets the calling thread itself stand where the news arrives, which saves waking it from another one.

        Returns when there is news, when @p self was roused, or at @p until; also without a reason.
    */
    virtual void wait_on_caller(parker& self, boottime::time_point until);
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
