// The acquire, and the upgrade, of every family.
#ifndef HOLDFAST_CORE_ACQUIRE_OPERATION_HPP
#define HOLDFAST_CORE_ACQUIRE_OPERATION_HPP

#include <core/backend.hpp>
#include <core/operation.hpp>

#include <holdfast/timeout.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Takes one name: queue, link, ask, wait, and out of every doubtful end without leaving anything behind.

    An upgrade is the same without the queue and on the link that holds already.
*/
class acquire_operation final : public operation {
public:
    /// @param ask `verb::try_acquire` or `verb::convert`
    acquire_operation(const claim& who, const backend_traits& traits, timeout limit,
                      verb ask = verb::try_acquire) noexcept;

    action resume(const event& happened, const moment& now) override;

private:
    enum class state {
        idle,
        queued,
        linking,
        /// Asked; the answer comes at once.
        asking,
        arming,
        /// Listening for news, between two tries.
        waiting,
        /// Standing in the server.
        standing,
        /// The caller's time is over or it cancelled, but an answer is still out.
        cancelling,
        probing,
        /// Returning what was granted too late.
        giving_back,
        withdrawing,
        dropping,
        /// Leases: on the way to a new link, to give back what the lost one may have been granted.
        rescuing,
        done,
    };

    action ask(const moment& now);
    action on_answer(const event& happened, const moment& now);
    action on_refused(const reply& answer, const moment& now);
    action on_link_lost(const reply& answer, const moment& now);
    action accept(const event& happened, const moment& now);
    action cancel(errc reason, const moment& now);
    action give_back(const moment& now);
    action on_probed(const event& happened, const moment& now);
    action on_given_back(const event& happened, const moment& now);
    action give_up(errc reason, const reply* cause, const moment& now);
    action drop();
    action after_drop(const moment& now);
    void remember(const reply& cause);
    bool time_left(const moment& now) const noexcept { return deadline_ == never || now() < deadline_; }
    action finish(errc code, const reply* cause = nullptr);
    action send(verb what, boottime::time_point until);
    bool upgrading() const noexcept { return ask_ == verb::convert; }
    /// When a reply that ought to come at once is overdue; never where that cannot be.
    boottime::time_point overdue(const moment& now) const noexcept;

    const claim& who_;
    const backend_traits& traits_;
    timeout limit_;
    verb ask_;
    state state_ = state::idle;
    boottime::time_point deadline_ = never;
    /// Why we are on the way out; meaningful while `leaving_`.
    errc reason_ = errc::timed_out;
    bool leaving_ = false;
    /// What a doubtful answer amounts to if nothing was granted.
    errc doubt_ = errc::unavailable;
    bool armed_ = false;
    bool announced_ = false;
    /// A dead idle link was already replaced once.
    bool replaced_ = false;
    /// Nothing is held, and nothing asked for: all that is left is to go.
    bool withdrawn_ = false;
    /// Leases: a new link for giving back has been asked for.
    bool rescued_ = false;
    /// Leases: the link may have been a dead idle one, so ask again once it is sure that nothing is held.
    bool asks_again_ = false;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
