// Who in this process wants a name, in order.
#ifndef HOLDFAST_CORE_KEY_STATE_HPP
#define HOLDFAST_CORE_KEY_STATE_HPP

#include <core/compact_mutex.hpp>
#include <core/link.hpp>

#include <atomic>
#include <memory>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {

/** A place in the queue of a name. Belongs to one operation, which must leave the queue before it is destroyed. */
struct ticket {
    access mode = access::exclusive;
    /// A zero-timeout try: refused as soon as somebody in front of it stands waiting.
    bool only_try = false;

    // The rest belongs to the queue.
    notifier* owner = nullptr;
    ticket* next = nullptr;
    ticket* previous = nullptr;
    bool queued = false;
    bool has_turn = false;
    bool waiting = false;
};

/** One mapped name of one provider: the queue of those in this process who want it.

    First come, first served; adjacent readers ask together. A turn is leave to ask the backend, never the lock itself,
    so other processes stay in line; and at most one of us stands waiting there.

    Thread safety: safe.
*/
class HOLDFAST_API key_state {
public:
    explicit key_state(std::string mapped);
    key_state(const key_state&) = delete;
    key_state& operator=(const key_state&) = delete;
    ~key_state();

    const std::string& mapped() const noexcept { return mapped_; }

    enum class admission { turn, refused, queued };

    /// Joins the queue. After `queued`, `owner` is notified with `signal_turn` or `signal_turn_refused`.
    admission enter(ticket& who, notifier& owner);
    /// Joins the queue if nobody is in it, with the turn. It is never notified. @param standing as after `stand`
    bool enter_alone(ticket& who, bool standing);
    /// @p heir, of @p owner, has the place of @p from, which has the turn.
    void bequeath(ticket& from, ticket& heir, notifier& owner);
    /// The one who has the turn was refused by the backend and stays: tries behind it are refused from now on.
    void stand(ticket& who);
    /// Leaves the queue, from wherever it stands; the turn passes on.
    void leave(ticket& who);

    /// A link of the kernel family that may be used again for this name.
    std::unique_ptr<link> take_spare() noexcept;
    void put_spare(std::unique_ptr<link> spare) noexcept;

    /// What a holder did before it called `hand_over`, which it does before it releases, the next one in this process
    /// sees once it has called `take_over`. A kernel or a server keeps the two apart, but neither the language nor the
    /// thread sanitizer knows of that.
    void hand_over() noexcept { handed_over_.fetch_add(1, std::memory_order_release); }
    void take_over() const noexcept { (void)handed_over_.load(std::memory_order_acquire); }

private:
    /// Tells everybody who has the turn now, but for @p entering.
    void grant_turns(const ticket* entering = nullptr);
    void unlink(ticket& who);

    friend class key_table;

    const std::string mapped_;
    /// The name's own, whichever provider uses it; names may share one.
    std::atomic<unsigned>& handed_over_;
    compact_mutex mutex_;
    /// The table's alone.
    unsigned users_ = 1;
    ticket* first_ = nullptr;
    ticket* last_ = nullptr;
    /// Owned. Not under the mutex, which would cost every acquire and release another round of it.
    std::atomic<link*> spare_{nullptr};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
