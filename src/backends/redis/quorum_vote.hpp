// What a majority of independent servers says (Redlock): the decisions, without a clock and without connections.
#ifndef HOLDFAST_BACKENDS_REDIS_QUORUM_VOTE_HPP
#define HOLDFAST_BACKENDS_REDIS_QUORUM_VOTE_HPP

#include <backends/redis/leftovers.hpp>
#include <backends/redis/strategy.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// How a vote goes among servers that do not know of each other.
class tally {
public:
    explicit tally(std::size_t servers) noexcept : servers_(servers) {}

    enum class answer { yes, no, fault };
    void add(answer what) noexcept { ++(what == answer::yes ? yes_ : what == answer::no ? no_ : faults_); }

    std::size_t yes() const noexcept { return yes_; }
    std::size_t majority() const noexcept { return servers_ / 2 + 1; }
    /// As many answers that are no yes make a majority impossible.
    std::size_t veto() const noexcept { return servers_ - servers_ / 2; }
    bool complete() const noexcept { return yes_ + no_ + faults_ == servers_; }

    bool won() const noexcept { return yes_ >= majority(); }
    /// A majority of yes cannot come any more.
    bool cannot_win() const noexcept { return no_ + faults_ >= veto(); }
    /// So many did not answer that what the others say decides nothing.
    bool faulty() const noexcept { return faults_ >= veto(); }
    bool denied() const noexcept { return no_ >= veto(); }

private:
    std::size_t servers_;
    std::size_t yes_ = 0;
    std::size_t no_ = 0;
    std::size_t faults_ = 0;
};

/** A link that asks several servers, and says what the majority says. What a vote that is not won was granted is taken
    back.

    Derived classes say what time it is, and have the connections.
*/
class quorum_vote : public core::link {
protected:
    /// One server's part of a vote.
    struct leg {
        std::shared_ptr<request> asked = std::make_shared<request>();
        bool out = false;
        bool granted = false;
        /// Out, but asked only when what takes back an earlier grant has been answered: it could take the new one.
        bool deferred = false;
        /// What takes back a grant that came to nothing.
        std::shared_ptr<request> undo;
        /// For how long the reply waits until it is known that nothing is held there.
        boottime::time_point undo_until{};
        /// Who that grant was for.
        core::owner_id undone;
        /// The leftovers' own for the same, where it was not answered. Until it is settled, a new vote for the same
        /// owner could be taken back by it.
        std::shared_ptr<const request> rest;
    };

    quorum_vote(const strategy& commands, std::size_t servers, leftovers& rest);

    /// As the link's `start`, `advance` and `request_cancel`.
    core::progress begin_vote(const core::command& cmd, core::notifier& on_progress, boottime::time_point now);
    core::progress go_on(boottime::time_point now);
    void cancel(boottime::time_point now);

    std::size_t servers() const noexcept { return legs_.size(); }
    leg& leg_at(std::size_t at) noexcept { return legs_[at]; }

    /// Of what is still out nothing is to come of any more: at the end of a command, or of the link.
    void forget_rest() noexcept;

    virtual void begin(core::notifier&) {}
    virtual void end() noexcept {}
    virtual void submit(std::size_t to, request& one, core::notifier& on_progress) = 0;
    /// @return whether it was sent
    virtual bool forget(std::size_t at, request& one) noexcept = 0;
    virtual bool is_done(std::size_t at, const request& one) const = 0;
    virtual bool is_sent(std::size_t at, const request& one) const = 0;
    /// Its answer is on its way over the connection that it was first sent over.
    virtual bool is_out(std::size_t at, const request& one) const = 0;
    /// Whether answers are heard when the command is over: nobody drives a link that is idle.
    virtual bool hears_later() const noexcept { return false; }
    /// Leaves it to the channel to see to it that it is answered. @pre hears_later
    virtual void keep(std::size_t, std::shared_ptr<request>, boottime::time_point) {}
    virtual std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                                     core::notifier& on_progress) = 0;
    /// Who is notified when a detached request is done; null: nobody.
    virtual void set_asker(std::size_t, request&, core::notifier*) noexcept {}
    virtual void drive(boottime::time_point) {}
    virtual boottime::time_point again_at() const noexcept { return core::never; }
    /// A duration at random, at most @p longest.
    virtual boottime::duration pick(boottime::duration shortest, boottime::duration longest) const;

private:
    void ask(std::size_t at, const core::command& cmd, core::notifier& on_progress);
    bool owes(std::size_t at);
    void submit_command(std::size_t at, const core::command& cmd, core::notifier& on_progress);
    bool ask_deferred(std::size_t at);
    core::progress look(boottime::time_point now);
    void leave(std::size_t at, boottime::time_point now);
    boottime::time_point undo_until(boottime::time_point now);
    void count(leg& one, boottime::time_point now);
    bool decide(boottime::time_point now);
    bool awaits_others(boottime::time_point now);
    bool some_out() const;
    boottime::time_point end_of_spread(boottime::time_point now) const noexcept;
    bool some_unsent() const;
    void grant(boottime::time_point now);
    void refuse(boottime::time_point now);
    void set_fault(bool over);
    void take_back(boottime::time_point now);

    const strategy& commands_;
    leftovers& rest_;
    std::vector<leg> legs_;
    std::size_t used_;
    tally tally_;
    core::verb what_ = core::verb::try_acquire;
    const core::claim* who_ = nullptr;
    core::command command_;
    /// How many votes of that owner nobody has won.
    int splits_ = 0;
    core::owner_id voter_;
    boottime::time_point began_{};
    boottime::time_point give_up_at_{};
    boottime::time_point refused_until_{};
    boottime::time_point spread_until_ = core::never;
    core::reply fault_;
    int count_ = 0;
    core::notifier* on_progress_ = nullptr;
    bool cancelled_ = false;
    /// A server was not asked, since something of an earlier vote may still be taken back there.
    bool owed_ = false;
    bool undoing_ = false;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
