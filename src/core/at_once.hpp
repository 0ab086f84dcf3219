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

/** Takes what @p who wants on the calling thread, which may stand where it is kept, without a machine and its driver.

    What is granted at once needs no decision, and both cost as much as a lock of the kernel. Whatever else happens is
    left to the machine, which asks again. Nobody of this process is overtaken.

    @param limit  how long the thread may stand
    @param stop   ends that, as if the time were over
    @param keeper what keeps the lock; or a link for the machine, that holds nothing; or null
    @return `beyond` where nothing is held and it takes a machine to go on
*/
taking take_at_once(provider_state& provider, const claim& who, timeout limit, const std::stop_token& stop,
                    std::unique_ptr<link>& keeper) noexcept;

/** Gives back what such a link keeps, and the link to its name.
    @param how what it has come to, unless that is success
    @return whether it was given back
*/
bool give_back_at_once(provider_state& provider, const claim& who, std::unique_ptr<link> keeper, outcome& how);

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
