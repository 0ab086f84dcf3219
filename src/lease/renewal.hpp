// Keeping leases alive, and knowing when one is over.
#ifndef HOLDFAST_LEASE_RENEWAL_HPP
#define HOLDFAST_LEASE_RENEWAL_HPP

#include <core/boottime_timer.hpp>
#include <core/claim.hpp>

#include <holdfast/clock.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

class hold;
class provider_state;

/** When to renew one lease, and when to give it up: a decision maker without I/O.

    A lease counts from the moment its request was sent. A failed renewal is no loss: it is tried again, a quarter of
    the cadence later, until the time has run out. One that failed together with others, perhaps because of one of them,
    is tried again at once and alone, and so for a while.
*/
class renewal {
public:
    renewal(std::chrono::nanoseconds cadence, boottime::time_point granted_at,
            boottime::time_point valid_until) noexcept
        : cadence_(cadence), next_(granted_at + cadence), valid_until_(valid_until) {}

    enum class step { wait, renew, lost };
    /// What to do at @p now. `renew` is answered once until the renewal has ended.
    step look(boottime::time_point now) noexcept;
    /// When to look again at the latest.
    boottime::time_point next_look() const noexcept;

    /// Whether the next one must not share its command with others.
    bool is_alone() const noexcept { return alone_ > 0; }

    enum class result { renewed, failed, failed_together, not_held };
    /// A renewal sent at @p sent_at has ended. @param until the new end, with `renewed`
    void ended(result how, boottime::time_point sent_at, boottime::time_point now, boottime::time_point until) noexcept;

    boottime::time_point valid_until() const noexcept { return valid_until_; }

private:
    std::chrono::nanoseconds cadence_;
    boottime::time_point next_;
    boottime::time_point valid_until_;
    int alone_ = 0;
    bool running_ = false;
    bool over_ = false;
};

/** The leases of one provider, renewed from its executor; those due together are renewed together, in ticks of 10 ms,
    and with one command where the backend can.

    Keeps only weak references: a handle that is gone is not renewed.

    Thread safety: safe.
*/
class renewal_queue {
    struct entry {
        std::weak_ptr<hold> lease;
        renewal plan;
    };
    using queue = std::multimap<boottime::time_point, entry>;

public:
    /// Where a lease stands, kept by the lease itself: there may be very many.
    class place {
        friend class renewal_queue;
        std::optional<queue::iterator> at_;
    };

    explicit renewal_queue(provider_state& owner) noexcept : owner_(owner) {}
    renewal_queue(const renewal_queue&) = delete;
    renewal_queue& operator=(const renewal_queue&) = delete;
    ~renewal_queue();

    void add(const std::shared_ptr<hold>& lease, boottime::time_point granted_at);
    /// After its release has begun, so that short leases do not pile up here until they would have been renewed.
    void remove(hold& lease) noexcept;

private:
    /// Out of the queue: renewed, or about to be put back. Keeps its memory, so that putting it back cannot fail.
    using item = queue::node_type;
    class renewing;

    /// Out of the queue because its time has come.
    struct due {
        item which;
        std::shared_ptr<hold> lease;
    };
    /// By kind, because one command renews leases of one kind.
    using batches = std::map<std::pair<primitive_kind, access>, std::vector<due>>;

    void schedule();
    void tick();
    std::optional<due> take_due(boottime::time_point until);
    void attend(due next, boottime::time_point until, batches& together) noexcept;
    void renew(std::vector<due> all) noexcept;
    void fail(due& which) noexcept;
    /// Throws when the timer cannot be set; it is in the queue then all the same.
    void insert(item which);
    void put_back(item which) noexcept;
    void set_timer();

    provider_state& owner_;
    std::mutex mutex_;
    queue due_;
    std::shared_ptr<boottime_timer> timer_;
    boottime::time_point timer_at_ = boottime::time_point::max();
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
