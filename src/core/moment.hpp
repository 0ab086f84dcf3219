// The time of a step.
#ifndef HOLDFAST_CORE_MOMENT_HPP
#define HOLDFAST_CORE_MOMENT_HPP

#include <holdfast/clock.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

/** When something happens: the clock's time when it is first asked for, and the same from then on.

    Not read before, since a clock costs as much as a queue, and what succeeds at once needs no time.

    Thread safety: one thread at a time.
*/
class moment {
public:
    /// The present.
    moment() noexcept = default;
    /// Simulated time's.
    explicit moment(boottime::time_point at) noexcept : at_(at) {}

    boottime::time_point operator()() const noexcept {
        if (at_ == unread) at_ = boottime::now();
        return at_;
    }

private:
    static constexpr boottime::time_point unread = boottime::time_point::min();

    mutable boottime::time_point at_ = unread;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
