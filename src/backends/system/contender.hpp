// One asker for a slot's semaphores, and after that their holder.
#ifndef HOLDFAST_BACKENDS_SYSTEM_CONTENDER_HPP
#define HOLDFAST_BACKENDS_SYSTEM_CONTENDER_HPP

#include <backends/system/semaphore_set.hpp>
#include <core/claim.hpp>

#include <holdfast/clock.hpp>

#include <memory>
#include <optional>

namespace holdfast {
inline namespace v0 {
namespace system {

/** What one asker does with the semaphores of a slot.

    A lock or ticket is one from the slot's count. Readers pass the gate and take one place each, in one step; a writer
    takes the gate, which lets no reader in any more, and then all places. The kernel grants in the order of asking, and
    gives everything back when the process dies.

    Thread safety: one thread at a time.
*/
class contender {
public:
    contender() = default;
    contender(const contender&) = delete;
    contender& operator=(const contender&) = delete;
    ~contender() { leave(); }

    /// Where to ask. What it had elsewhere is gone.
    void go_to(std::shared_ptr<slot> place) noexcept;
    /// What to ask for. Only counts while it has nothing.
    void want(core::access mode) noexcept;
    const std::shared_ptr<slot>& place() const noexcept { return place_; }
    /// False also when the set is gone.
    bool has_place() const noexcept { return place_ != nullptr && !place_->set->is_gone(); }

    bool is_inside() const noexcept { return where_ == position::inside; }

    /// Takes it now: 0, or EAGAIN; EIDRM when the set is gone; another errno.
    int try_enter() noexcept;
    /// Stands until it has it: 0, or EAGAIN when the time is over or @p stop was stopped; EINTR; EIDRM; another errno.
    int stand(boottime::time_point until, std::optional<int> stop) noexcept;
    /// Gives back what it has, also a half of it. 0, or EIDRM when that was gone already; another errno.
    int leave() noexcept;

private:
    enum class position { outside, at_gate, inside };

    int enter(int flags, boottime::time_point until, std::optional<int> stop) noexcept;

    std::shared_ptr<slot> place_;
    core::access mode_ = core::access::exclusive;
    position where_ = position::outside;
};

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
