// The short way of callers whose lock is kept where answers come at once.
#ifndef HOLDFAST_CORE_AT_ONCE_HPP
#define HOLDFAST_CORE_AT_ONCE_HPP

#include <core/operation.hpp>
#include <core/provider_state.hpp>

#include <holdfast/timeout.hpp>

#include <memory>
#include <stop_token>

namespace holdfast {
inline namespace v0 {
namespace core {

/// A place in the queue of a name that had nobody in it: whoever comes queues up behind it.
class lone_place {
public:
    explicit lone_place(const claim& who);
    lone_place(const lone_place&) = delete;
    lone_place& operator=(const lone_place&) = delete;
    ~lone_place();

    explicit operator bool() const noexcept { return alone_; }
    /// It waits for the lock: tries behind it are refused from now on.
    void stand() { key_.stand(place_); }
    /// For the machine that goes on from here; null where there is none.
    ticket* place() noexcept { return alone_ ? &place_ : nullptr; }

private:
    key_state& key_;
    ticket place_;
    bool alone_ = false;
};

/** Takes what @p who wants on the calling thread, which may stand where it is kept, without a machine and its driver.

    What is granted at once needs no decision, and both cost as much as a lock of the kernel. Whatever else happens is
    left to the machine, which has the place in the queue, and asks again.

    @param limit  how long the thread may stand
    @param stop   ends that, as if the time were over
    @param keeper what keeps the lock; or a link for the machine, that holds nothing; or null
    @return `beyond` where nothing is held and it takes a machine to go on
*/
taking take_at_once(provider_state& provider, const claim& who, timeout limit, const std::stop_token& stop,
                    lone_place& place, std::unique_ptr<link>& keeper) noexcept;

/** Gives back what such a link keeps, and the link to its name.
    @param how what it has come to, unless that is success
    @return whether it was given back
*/
bool give_back_at_once(provider_state& provider, const claim& who, std::unique_ptr<link> keeper, outcome& how);

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
