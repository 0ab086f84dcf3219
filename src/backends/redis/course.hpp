// The way of a request through a cluster, to whoever has its slot.
#ifndef HOLDFAST_BACKENDS_REDIS_COURSE_HPP
#define HOLDFAST_BACKENDS_REDIS_COURSE_HPP

#include <backends/redis/channel.hpp>
#include <backends/redis/cluster.hpp>

#include <memory>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// Connections to nodes, in whatever way they are driven.
class carrier {
public:
    virtual void send(const node& to, request& one) = 0;
    virtual bool is_ended(const node& at, const request& one) const = 0;
    virtual bool was_sent(const node& at, const request& one) const = 0;
    /// Nobody waits for it any more. @return whether it was sent
    virtual bool leave(const node& at, const request& one) noexcept = 0;

protected:
    ~carrier() = default;
};

/// Asks one node after the other who has which slot, until one knows. Never blocks.
class inquiry {
public:
    inquiry(cluster& whom, carrier& over) : whom_(whom), over_(over) {}
    inquiry(const inquiry&) = delete;
    inquiry& operator=(const inquiry&) = delete;
    ~inquiry() { forget(); }

    /// @param turn see @ref cluster::take_turn
    /// @param but is not asked, if there is any other
    void begin(std::shared_ptr<void> turn, const server* but, boottime::time_point now);
    enum class status { idle, asking, found, failed };
    /// What came of it is told once.
    status drive(boottime::time_point now);
    bool is_busy() const noexcept { return turn_ != nullptr; }
    /// When to drive again at the latest.
    boottime::time_point until() const noexcept { return until_; }
    const failure& why() const noexcept { return why_; }
    /// Who is asked. @pre is_busy
    const node& at() const noexcept { return all_[at_]; }
    void forget() noexcept;

private:
    void ask(boottime::time_point now);

    cluster& whom_;
    carrier& over_;
    std::shared_ptr<void> turn_;
    const server* but_ = nullptr;
    std::vector<node> all_;
    std::size_t at_ = 0;
    boottime::time_point until_{};
    request slots_;
    request nodes_;
    failure why_;
    // Of those that were asked already.
    bool answered_ = false;
    bool slow_ = false;
    bool refused_ = false;
    bool may_pass_ = false;
};

/** Takes one request to the node that has its slot now: follows redirections, and failovers, for as long as the request
    may wait. Never blocks.

    An answer is believed only of the node that is the slot's owner by what is known when it is there; one that took
    long, only after others have been asked. What is not believed counts as lost with its connection.

    Thread safety: none.
*/
class course {
public:
    course(cluster& through, carrier& over) : through_(through), over_(over), inquiry_(through, over) {}
    course(const course&) = delete;
    course& operator=(const course&) = delete;
    ~course() { forget(); }

    void begin(request& one, unsigned slot, boottime::time_point now);
    /// True when it is done: answered, or failed for good.
    bool go_on(boottime::time_point now);
    /// When to go on though no connection has anything to tell.
    boottime::time_point again_at() const noexcept { return again_at_; }
    /// Ends it, if it has not been sent anywhere.
    void give_up_unsent();
    void forget() noexcept;

    /// Where it was sent last; null: nowhere yet.
    const node& at() const noexcept { return at_; }
    /// Who is asked who has what; null: nobody.
    const server* asks() const noexcept { return inquiry_.is_busy() ? inquiry_.at().get() : nullptr; }
    bool is_out() const noexcept { return stage_ == stage::out; }
    /// The slot is moving from one node to another one: news of releases may be told elsewhere.
    bool slot_moves() const noexcept { return asking_; }

private:
    enum class stage { done, routing, inquiring, pausing, out };

    void route(boottime::time_point now);
    bool look(boottime::time_point now);
    void settle(boottime::time_point now);
    bool is_perhaps_another(boottime::time_point now) const;
    bool is_believed() const;
    void disbelieve();
    void redirected(const redirection& to, boottime::time_point now);
    void retry_later(boottime::time_point now);
    void finish();

    cluster& through_;
    carrier& over_;
    inquiry inquiry_;
    request* one_ = nullptr;
    unsigned slot_ = 0;
    stage stage_ = stage::done;
    node at_;
    /// Has told to ask another one, for this once.
    node source_;
    bool asking_ = false;
    /// There has been an inquiry since the last failure.
    bool inquired_ = false;
    /// Where that failure was.
    const server* failed_at_ = nullptr;
    int redirections_ = 0;
    int failures_ = 0;
    boottime::time_point out_since_{};
    boottime::time_point look_at_{};
    boottime::time_point resume_at_{};
    boottime::time_point again_at_ = core::never;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
