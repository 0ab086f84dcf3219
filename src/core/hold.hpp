// One held lock, behind its handle.
#ifndef HOLDFAST_CORE_HOLD_HPP
#define HOLDFAST_CORE_HOLD_HPP

#include <core/provider_state.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

/** What was granted: the claim, the link or lease that keeps it, and what became of it.

    Its phases: held; then either lost, or ending (a release has begun); lost may be followed by ending. Whoever moves
    it to ending does the release, and nobody else: that is what makes releasing idempotent across threads and styles.

    Thread safety: safe but for the members that say otherwise.
*/
class hold : public std::enable_shared_from_this<hold>, public renewable {
public:
    hold(std::shared_ptr<provider_state> provider, claim who, std::unique_ptr<link> keeper,
         std::optional<std::uint64_t> token, boottime::time_point valid_until);
    /// Of a lease that is still to be asked for: see `grant`.
    hold(std::shared_ptr<provider_state> provider, claim who)
        : hold(std::move(provider), std::move(who), nullptr, {}, boottime::time_point()) {}
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    ~hold();

    /// @pre nobody else knows it yet
    void grant(std::optional<std::uint64_t> token, boottime::time_point valid_until) noexcept;

    provider_state& provider() const noexcept { return *provider_; }
    const claim& who() const noexcept { return who_; }
    std::optional<std::uint64_t> token() const noexcept { return has_token_ ? std::optional(token_) : std::nullopt; }
    boottime::time_point valid_until() const noexcept;
    std::optional<int> native_descriptor();

    /// Looks at the clock or the link, and tells those who wait for the loss if there is one.
    held_state look() noexcept;
    /// Throws `errc::unavailable` where there is nothing left to notice a loss with, or to tell of it.
    std::stop_token lost_token();
    /// Throws as `lost_token`, and then never calls it. Calls @p done once: true when lost, false when released or
    /// cancelled first. Cancelled by @p id.
    std::size_t on_end(std::function<void(bool lost)> done);
    void cancel_on_end(std::size_t id);

    /** Moves to ending. A lease whose time is over has been lost by then, whatever the backend says to its release.
        @param keeper the link, for the release operation; null for leases
        @return false when somebody else has
    */
    bool begin_release(std::unique_ptr<link>& keeper) noexcept;
    bool is_ending() const noexcept { return ending_.load(std::memory_order_acquire); }
    bool was_lost() const noexcept { return lost_.load(std::memory_order_acquire); }
    /// Lends the link to an upgrade. False while another one runs or has succeeded, and after a release.
    bool begin_upgrade(std::unique_ptr<link>& keeper);
    void end_upgrade(std::unique_ptr<link> keeper, bool succeeded) noexcept;

    void mark_lost() noexcept;
    /// After a renewal that was sent at `until - lifetime + margin`.
    void extend(boottime::time_point until) noexcept;

private:
    friend class renewal_queue;
    enum class upgrade_phase : unsigned char { none, running, done };
    using end_handlers = std::vector<std::pair<std::size_t, std::function<void(bool)>>>;

    /// Those who want to hear of its end, and what tells of a loss.
    struct audience {
        std::optional<lost_announcement> loss;
        std::shared_ptr<void> loss_watch;
        end_handlers on_end;
        std::size_t next_id = 1;
    };

    /// What is called and destroyed outside the mutex, since it may take others or come back to us.
    struct farewell {
        std::shared_ptr<void> watch;
        end_handlers waiting;
        bool lost = false;

        void tell() noexcept;
    };

    /// The mutex is held.
    audience& listeners();
    /// Empty where it is not there any more: it has been, or is being, called.
    std::function<void(bool)> take_on_end(std::size_t id) noexcept;
    /// From now on a loss is noticed without being asked for; and one that there has been already, at once. Only where
    /// somebody wants to know: it is not free.
    void arm_loss();
    /// The mutex is held, or nobody else is there any more.
    farewell end_watching(bool lost) noexcept;

    const std::shared_ptr<provider_state> provider_;
    const claim who_;
    std::unique_ptr<link> keeper_;
    /// Made for the first who wants to know: most are held and released without one.
    std::unique_ptr<audience> audience_;
    std::atomic<boottime::rep> valid_until_;
    std::uint64_t token_;

    // Small ones last: there may be very many holds.
    bool has_token_;
    std::atomic<bool> ending_{false};
    std::atomic<bool> lost_{false};
    bool loss_armed_ = false;
    upgrade_phase upgrade_ = upgrade_phase::none;
    /// The renewal queue's, under its mutex.
    bool waits_for_renewal_ = false;
    compact_mutex mutex_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
