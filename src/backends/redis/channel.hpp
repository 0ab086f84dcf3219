// Requests over one connection, which is made anew when it is lost.
#ifndef HOLDFAST_BACKENDS_REDIS_CHANNEL_HPP
#define HOLDFAST_BACKENDS_REDIS_CHANNEL_HPP

#include <backends/redis/connection.hpp>
#include <backends/redis/probe.hpp>
#include <backends/redis/scripts.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// One command on its way. Belongs to a link; the channel it was submitted to knows where it is until it is done.
struct request {
    /// What to send. Whose EVALSHA it is; null where it is a plain command.
    std::string first;
    const script* first_script = nullptr;
    /// What to send where that may have arrived, to do no harm then: made of it. Null: the same.
    std::string (*again)(const std::string& first) = nullptr;
    const script* again_script = nullptr;
    /// Until when to try again after a lost connection.
    boottime::time_point reconnect_until{};
    /// Never sent again.
    bool only_once = false;
    /// One of several servers is asked: where this one was not to be reached a moment ago, that is the answer.
    bool one_of_many = false;
    /// Its asker takes it through a cluster, where an error, or a connection that is lost, may mean another node.
    bool routed = false;
    /// It may be carried out by a node that is only about to have its slot.
    bool asking = false;
    core::notifier* asker = nullptr;

    // What has become of it.
    bool done = false;
    /// Null when it failed.
    reply_value answer = {};
    failure why = {};
    /// Where it is routed: the error that was the answer, if one was.
    reply_value refusal = {};
    /// It may have been carried out, though there is no answer.
    bool sent = false;
    /// The last time.
    boottime::time_point sent_at{};
    /// The answer is to the second form.
    bool repeated = false;

    // The channel's own.
    boottime::time_point open_until{};
    int losses = 0;
    bool with_source = false;
};

/** Until when @p one, submitted @p now, waits for the connection it is to go over.

    Whoever does not wait for the lock, or for less than connecting takes, is still given time for one attempt: else
    each of his calls would begin to connect anew, and none would ever succeed.
*/
boottime::time_point waits_to_open_until(const request& one, std::chrono::milliseconds connect_timeout,
                                         boottime::time_point now) noexcept;

/// Where a request can be left, to be sent until it is answered.
class lasting_channel {
public:
    /// See @ref channel.
    virtual std::shared_ptr<request> submit_lasting(std::string text, const script& which,
                                                    boottime::time_point until) = 0;
    /// Whether it is done; nobody but the asker looks at it any more then.
    virtual bool is_done(const request& one) const = 0;
    /// Answered, or never to be sent, and nothing of it is on its way over a connection that was lost.
    virtual bool is_settled(const request& one) const = 0;

protected:
    ~lasting_channel() = default;
};

/** Sends requests in order, pipelined; the server answers in order. Never blocks.

    A lost connection is made anew, with growing pauses, for as long as somebody's request may wait. What had been sent
    is then sent again, in its second form.

    Thread safety: none.
*/
class channel {
public:
    channel(const server& to, resolver& names) : server_(to), names_(names) {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;
    virtual ~channel() = default;

    void submit(request& one, boottime::time_point now);
    /// One that is the channel's own: sent once, over the present connection, whether or not its asker stays.
    /// @param asker is notified when it is done, until @ref hush
    std::shared_ptr<request> submit_detached(std::string text, const script& which, core::notifier* asker,
                                             boottime::time_point now);
    /// The same, but sent again over new connections until it is answered or @p until is past.
    std::shared_ptr<request> submit_lasting(std::string text, const script& which, boottime::time_point until,
                                            boottime::time_point now);
    /// A request that was submitted goes on as the channel's own, and is sent again until then.
    void keep(std::shared_ptr<request> one, boottime::time_point until);
    /// Notifies nobody of a name that is found.
    void hush() noexcept {
        on_name_found_ = nullptr;
        if (connection_ != nullptr) connection_->hush();
        if (probe_ != nullptr) probe_->hush();
    }
    /// Nobody waits for it any more; an answer that still comes is swallowed.
    void forget(const request& one) noexcept;
    /// Ends it now: certainly not carried out where it was never sent.
    void give_up(request& one, errc why);

    /// Goes on as far as possible. @param read whether to look for answers
    void drive(boottime::time_point now, bool read);
    /// Sleeps until something may be there to be heard by `drive` without reading. False where it cannot.
    bool await_answer() { return !sent_.empty() && connection_ != nullptr && connection_->await_answer(); }
    /// When to drive again though nothing has happened. Not when an answer is late: no timer is set for each of them,
    /// so whoever waits for one drives when it is. See @ref longest_silence.
    boottime::time_point again_at() const noexcept;
    /// After which a connection that owes an answer is doubted. It is replaced if the server answers on another one.
    std::chrono::milliseconds longest_silence() const noexcept { return server_.longest_silence; }
    int descriptor() const noexcept { return connection_ == nullptr ? -1 : connection_->descriptor(); }
    short poll_events() const noexcept { return connection_ == nullptr ? short{0} : connection_->poll_events(); }
    /// No answer is out, also none that nobody waits for.
    bool idle() const noexcept { return sent_.empty() && waiting_.empty(); }
    /// How many answers are out.
    std::size_t out() const noexcept { return sent_.size(); }
    bool connected() const noexcept {
        return connection_ != nullptr && connection_->now_is() == connection::status::ready;
    }

protected:
    /// The connection, and its descriptor, is about to be closed.
    virtual void connection_ends() noexcept {}
    /// Is told when a host's name has been looked up.
    core::notifier* on_name_found_ = nullptr;

private:
    /// What an answer is out to.
    struct sending {
        /// Null: forgotten.
        request* one = nullptr;
        /// Whose call it is, where that is of interest when it is answered; else null.
        const script* which = nullptr;
    };

    void send(const request& one, const std::string& text);
    bool knows(const script& which) const noexcept;
    void learn(const script& which, const redisReply& answer);
    bool go_on(boottime::time_point now, bool read);
    void send_waiting(boottime::time_point now);
    void hear(boottime::time_point now);
    void heard(request& one, reply_value answer, boottime::time_point now);
    void lost(boottime::time_point now);
    void doubt(boottime::time_point now);
    void believe() noexcept;
    void expire(boottime::time_point now);
    /// Of those that are the channel's own.
    void forget_finished() noexcept;
    std::shared_ptr<request> make_detached(std::string text, const script& which);
    static void finish(request& one) noexcept;
    static void fail(request& one, const failure& why);
    boottime::duration next_pause() noexcept;

    const server& server_;
    resolver& names_;
    std::unique_ptr<connection> connection_;
    std::deque<request*> waiting_;
    std::deque<sending> sent_;
    /// Scripts of one of many that the server has run over the present connection.
    std::vector<const script*> known_;
    /// Answers that are read, for as long as it takes to see whether they are to be believed.
    std::vector<reply_value> heard_;
    std::vector<std::shared_ptr<request>> detached_;
    failure last_failure_;
    /// No connection before then, and no sending.
    boottime::time_point pause_until_{};
    int failures_ = 0;
    /// The present connection has answered something.
    bool proven_ = false;
    /// Answers are out, and none has come since then.
    boottime::time_point silent_since_{};
    std::unique_ptr<probe> probe_;
    /// When the next one begins, or is driven; never: there is no doubt.
    boottime::time_point doubt_at_ = core::never;
    boottime::duration between_probes_{};
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
