// Keeping leases alive, and knowing when one is over.
#ifndef HOLDFAST_LEASE_RENEWAL_HPP
#define HOLDFAST_LEASE_RENEWAL_HPP

#include <core/alarm_queue.hpp>
#include <core/claim.hpp>

#include <holdfast/clock.hpp>

#include <boost/intrusive/set.hpp>

#include <map>
#include <memory>
#include <mutex>
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
    /// Of nothing that is renewed.
    renewal() noexcept = default;
    renewal(boottime::duration cadence, boottime::time_point granted_at, boottime::time_point valid_until) noexcept
        : next_(granted_at + cadence), valid_until_(valid_until) {}

    enum class step { wait, renew, lost };
    /// What to do at @p now. `renew` is answered once until the renewal has ended.
    /// @param ahead a renewal that is due within that is due; an end is not told before it has come
    step look(boottime::time_point now, boottime::duration ahead = {}) noexcept;
    /// Whether that would be something. @pre its loss has not been told
    bool is_due(boottime::time_point now, boottime::duration ahead) const noexcept;
    /// When to look again at the latest.
    boottime::time_point next_look() const noexcept;

    /// Whether the next one must not share its command with others.
    bool is_alone() const noexcept { return alone_ > 0; }

    enum class result { renewed, failed, failed_together, not_held };
    /// A renewal sent at @p sent_at has ended. @param until the new end, with `renewed`
    void ended(result how, boottime::duration cadence, boottime::time_point sent_at, boottime::time_point now,
               boottime::time_point until) noexcept;

    boottime::time_point valid_until() const noexcept { return valid_until_; }

private:
    boottime::time_point next_{};
    boottime::time_point valid_until_{};
    signed char alone_ = 0;
    bool running_ = false;
    bool over_ = false;
};

/// A lease in the queue, as part of itself: there may be very many.
class renewable : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                         boost::intrusive::optimize_size<true>> {
public:
    /// Changes only while it is not queued, since the queue is in its order.
    renewal plan;
};

/** The leases of one provider, renewed from its executor; those due together are renewed together, in ticks of 10 ms,
    and with one command where the backend can.

    Leaves the leases to their handles: one that is gone is not renewed.

    Thread safety: safe.
*/
class renewal_queue final : private alarm {
public:
    explicit renewal_queue(provider_state& owner) noexcept : owner_(owner) {}
    renewal_queue(const renewal_queue&) = delete;
    renewal_queue& operator=(const renewal_queue&) = delete;
    ~renewal_queue();

    /// Throws when the timer cannot be set; it is in the queue then all the same.
    void add(hold& lease, boottime::time_point granted_at);
    /// After its release has begun, so that short leases do not pile up here until they would have been renewed.
    void remove(hold& lease) noexcept;

private:
    class renewing;

    struct sooner {
        bool operator()(const renewable& one, const renewable& other) const noexcept {
            return one.plan.next_look() < other.plan.next_look();
        }
    };
    /// Out of the queue because its time has come. A hold that is being renewed stays out of it.
    using due = std::shared_ptr<hold>;
    /// By kind, because one command renews leases of one kind.
    using batches = std::map<std::pair<primitive_kind, access>, std::vector<due>>;

    std::shared_ptr<void> alive() noexcept override;
    /// Renews what is due.
    void ring() noexcept override;
    void schedule();
    bool take_due(boottime::time_point now, due& next);
    void attend(due next, boottime::time_point now, batches& together) noexcept;
    void renew(std::vector<due> all) noexcept;
    void fail(hold& lease) noexcept;
    void insert(hold& lease);
    void put_back(hold& lease) noexcept;

    provider_state& owner_;
    std::mutex mutex_;
    boost::intrusive::multiset<renewable, boost::intrusive::compare<sooner>,
                               boost::intrusive::constant_time_size<false>>
        due_;
    boottime::time_point alarm_at_ = boottime::time_point::max();
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
