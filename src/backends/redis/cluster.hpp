// The nodes of a cluster, and which of them has which slot.
#ifndef HOLDFAST_BACKENDS_REDIS_CLUSTER_HPP
#define HOLDFAST_BACKENDS_REDIS_CLUSTER_HPP

#include <backends/redis/server.hpp>
#include <backends/redis/slots.hpp>
#include <core/fork.hpp>

#include <holdfast/clock.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// A node that is silent for longer may have lost its slots meanwhile: no cluster replaces one sooner.
constexpr std::chrono::milliseconds patience{500};

/// A node of a cluster. The same object for as long as its address is known.
using node = std::shared_ptr<const server>;

/** What is known of a cluster, by what its nodes have said.

    Of two claims to a slot the one with the greater configuration epoch is the later one: a master that is cut off goes
    on claiming what another one has by now.

    Thread safety: safe.
*/
class cluster {
public:
    /// @param seeds nodes that may be asked first, all with the same user and password
    /// @param memory how long a node that does not answer is remembered against claims of others: the expiry, after
    ///        which nothing that it granted counts any more
    cluster(const std::vector<server>& seeds, std::chrono::milliseconds memory);
    cluster(const cluster&) = delete;
    cluster& operator=(const cluster&) = delete;

    /// Null: not known.
    node owner_of(unsigned slot) const;
    /// The node at an address that @p from has told of.
    node at(server_address where, const server& from);
    /// All that are known to have slots.
    std::vector<node> masters() const;
    /// Whether there is anything that could be left to it.
    bool knows(const server& one) const;

    /// What a node has answered to CLUSTER SLOTS, and to CLUSTER NODES if it did.
    /// @return false where that says nothing
    bool learn(const redisReply& slots, const redisReply* nodes, const server& from, boottime::time_point now);
    /// @p from says so, which was asked because it was taken for the owner.
    /// @return the owner by what is known now; null where that is not to be followed
    node moved(const redirection& to, const server& from, boottime::time_point now);
    /// What is known may not be true any more.
    void doubt() noexcept { doubted_.store(true, std::memory_order_release); }
    bool is_doubted() const noexcept { return doubted_.load(std::memory_order_acquire); }

    /// All were asked, and nobody has said anything in time. Where another node than the one that is known answers for
    /// longer than leases last, the cluster is another one by now. @param slow somebody might have said something later
    void nobody_answered(bool slow, boottime::time_point now);
    /// It could not be reached, or has not answered since then.
    void failed(const server& one, boottime::time_point since) noexcept;
    void answered(const server& one);
    /// To the question who has what.
    void somebody_answered();

    /// For so long that nothing that it granted counts any more.
    bool is_silent_for_long(const server& one, boottime::time_point now) const;
    /// Whether there is anybody else to be asked.
    bool has_others(const server& one) const;

    /// Whom to ask who has what, in order. @param but not this one, if there is any other; null: all of them
    std::vector<node> whom_to_ask(const server* but) const;
    /// One asks at a time, and nobody for ever: its executor may not run. @return to be kept meanwhile, the turn of
    /// whoever was slower is over; null: somebody else asks
    std::shared_ptr<void> take_turn(boottime::time_point now);
    /** Asks another node, if it still is its turn.

        @return how long to wait for the answer: longer from round to round in which nobody answers, because it may take
        longer than @ref patience to connect
    */
    boottime::duration keep_turn(const std::shared_ptr<void>& turn, boottime::time_point now);
    /// @param whom who was not asked
    void asked(const server* but, boottime::time_point now);
    /// Others than this one have been asked since then, whatever came of it.
    bool has_asked_others(const server& but, boottime::time_point since) const;

    /// Is called, from any thread, after owners have changed. Before anything else is done with this object.
    void when_changed(std::function<void()> told) { told_ = std::move(told); }

private:
    using place = std::pair<std::string, std::uint16_t>;
    struct entry {
        node where;
        std::string id = {};
        std::uint64_t epoch = 0;
        std::optional<boottime::time_point> silent_since = {};
        bool seed = false;
    };

    entry& entry_at(const server_address& where, const server& from);
    std::map<place, entry>::iterator find(const server& one) noexcept;
    std::map<place, entry>::const_iterator find(const server& one) const noexcept;
    bool is_over(const entry& one, boottime::time_point now) const;
    void forget_unused();

    const unsigned generation_ = core::fork_generation();
    const std::chrono::milliseconds memory_;
    /// What all nodes have in common.
    server common_;
    std::function<void()> told_;
    std::atomic<bool> doubted_{true};
    std::atomic<int> silent_{0};

    mutable std::mutex mutex_;
    std::map<place, entry> entries_;
    /// By slot; null: not known.
    std::vector<entry*> owners_;
    std::weak_ptr<void> turn_;
    boottime::time_point turn_until_{};
    /// How long to wait for an answer to the question who has what.
    boottime::duration time_to_answer_ = patience;
    boottime::time_point asked_at_{};
    const server* not_asked_ = nullptr;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
