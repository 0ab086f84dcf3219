// Runs operations: what the sync and the async driver have in common.
#ifndef HOLDFAST_CORE_RUNNER_HPP
#define HOLDFAST_CORE_RUNNER_HPP

#include <core/alarm_queue.hpp>
#include <core/key_state.hpp>
#include <core/operation.hpp>
#include <core/provider_state.hpp>

#include <atomic>
#include <memory>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Carries out an operation's actions and brings it what has happened. Knows no protocol; derived drivers only sleep.

    Thread safety: `notify` from any thread; everything else from one thread at a time, the one that runs the operation.
*/
class runner : public notifier {
public:
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;

    void notify(unsigned bits) noexcept final;

    /// The link the operation ended with: what keeps the lock, after a successful acquire.
    std::unique_ptr<link> take_link() noexcept { return std::move(link_); }

protected:
    /// @param who outlives this object
    /// @param keeper the link to work on, where the operation does not need to get one
    runner(provider_state& provider, operation& op, const claim& who, std::unique_ptr<link> keeper) noexcept;
    ~runner();

    /// What the operation is waiting for, besides notifications.
    struct wait {
        boottime::time_point until = never;
        int descriptor = -1;
        short events = 0;
        /// Whose descriptor it is.
        link* answers = nullptr;
        /// The watch to stand at, when all that is awaited is its news.
        watch* news = nullptr;
    };

    enum class status { complete, waiting };
    /// Goes on as far as possible.
    status step(wait& next);
    /// Has @p place, where it was not null: of somebody who had the turn, and tried.
    void inherit(ticket* place);
    /// The descriptor that `wait` named is ready.
    void descriptor_ready() noexcept { pending_ |= signal_progress; }
    /** Ends the operation, which can neither go on nor wait, as one that failed. `settle` follows.
        @param in_step whether the operation itself threw, so that nobody knows where it stands
    */
    void break_off(const char* why, bool in_step) noexcept;
    /// Leaves queue and watch; a link that keeps no lock goes back to its pool.
    void settle(bool link_keeps_lock) noexcept;

    /// True when something was notified that `step` has not seen.
    bool has_news() const noexcept { return bits_.load(std::memory_order_acquire) != 0; }

    /// Called after each notification, on the notifying thread.
    virtual void rouse() noexcept = 0;
    /// Simulated time has drivers of its own.
    virtual moment time() const noexcept { return {}; }
    /// The link, and with it the descriptor that `wait` named, is about to be destroyed.
    virtual void link_ends() noexcept {}
    /// The link had the lock before the operation, and keeps it whatever becomes of that.
    virtual bool link_has_lock() const noexcept { return false; }
    virtual waiter who_waits(bool for_ever) const noexcept = 0;

    provider_state& provider_;
    operation& operation_;
    const claim& who_;

private:
    bool carry_out(action& next, event& happened, const moment& now);
    void get_link(bool fresh, event& happened);
    void drop_link() noexcept;
    void leave_queue() noexcept;
    bool send(command& cmd, event& happened, const moment& now);
    void lose_link(const char* why) noexcept;
    void withdraw() noexcept;
    bool await(event& happened, wait& next, const moment& now);
    bool await_reply(event& happened, wait& next, const moment& now);
    bool take(unsigned bit) noexcept;

    std::unique_ptr<link> link_;
    std::unique_ptr<watch> watch_;
    ticket ticket_;
    /// What we wait for the outcome of, and for how long.
    action_kind current_ = action_kind::complete;
    boottime::time_point until_ = never;
    reply failure_;
    progress progress_;
    boottime::time_point sent_at_{};
    bool started_ = false;
    bool settled_ = false;
    bool entered_ = false;
    /// The link owes us an answer.
    bool asked_ = false;
    bool told_waiting_ = false;
    unsigned pending_ = 0;
    std::atomic<unsigned> bits_{0};
};

class descriptor_wait;

/// Whether the link that an operation ends with keeps a lock.
enum class link_keeps { nothing, lock_on_success, lock_always };

/** Runs @p op on the calling thread.
    @param stop cancels it
    @param keeper in: the link to work on, or null; out: the link it ended with, if that keeps a lock
    @param place  in the queue, with the turn, that it is to have; null where it has to join
*/
void run_sync(provider_state& provider, operation& op, const claim& who, std::stop_token stop,
              std::unique_ptr<link>& keeper, link_keeps what, ticket* place = nullptr);

/// A base, so that it outlives the runner and every operation of a derived class that refers to it.
struct own_claim {
    const claim mine;
};

/** An operation that runs on the provider's executor, and on the thread that starts it as long as it need not wait.

    Owns itself until it is complete.
*/
class async_runner : private own_claim,
                     public runner,
                     private alarm,
                     public detail::cancellable,
                     public std::enable_shared_from_this<async_runner> {
public:
    void cancel() noexcept override { notify(signal_cancel); }
    void start();

protected:
    async_runner(std::shared_ptr<provider_state> provider, operation& op, claim who, std::unique_ptr<link> keeper);
    ~async_runner() override;

    /// Called once, by the thread that made the last step.
    /// @param how_told what the caller of @ref run can bear
    virtual void finish(detail::delivery how_told) = 0;

    const std::shared_ptr<provider_state> shared_provider_;

private:
    friend class gathered_rousings;

    std::shared_ptr<void> alive() noexcept override { return weak_from_this().lock(); }
    void ring() noexcept override { notify(signal_time); }

    void rouse() noexcept override;
    void link_ends() noexcept override;
    waiter who_waits(bool) const noexcept override { return waiter::executor; }
    /// @pre the calling thread has the right to: see @ref rouse
    void run(detail::delivery how_told);
    void post_run() noexcept;
    bool advance();
    void arrange(const wait& next);
    void stop_waiting() noexcept;

    /// Made when it first waits for one. Shared with its handlers.
    std::shared_ptr<descriptor_wait> descriptor_;
    boottime::time_point alarm_at_ = never;
    /// Of a user's executor, from the first wait on: the handler's may be another one.
    boost::asio::any_io_executor work_;
    std::shared_ptr<async_runner> self_;
    std::atomic<bool> parked_{false};
    /// Of those that have been gathered.
    async_runner* next_gathered_ = nullptr;
};

/** Gathers the asynchronous operations that the calling thread rouses while this exists, to run them by @ref run.

    For handlers on a provider's executor that bring answers, under a mutex, to operations of that provider. Each of
   them would otherwise be posted by itself, and the reactor be asked between any two. Only those of the same executor
   are gathered, and none any more once @ref run has begun, so that a loop of them cannot keep the thread to itself.
*/
class HOLDFAST_API gathered_rousings {
public:
    /// @param executor whose handler is running
    explicit gathered_rousings(boost::asio::any_io_executor executor) noexcept;
    gathered_rousings(const gathered_rousings&) = delete;
    gathered_rousings& operator=(const gathered_rousings&) = delete;
    /// Posts what has not run.
    ~gathered_rousings();

    /** Runs them: nothing may be locked.

        One that is alone calls its handler from within, and what that throws goes through. Those of several are
        posted, in their order: in a pool of threads none of them waits for another one's time.
    */
    void run();

private:
    friend class async_runner;
    /// False when it has to be posted.
    static bool gather(async_runner& roused) noexcept;
    void end() noexcept;

    const boost::asio::any_io_executor executor_;
    gathered_rousings* const outer_;
    async_runner* first_ = nullptr;
    async_runner* last_ = nullptr;
    bool ended_ = false;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
