// Holdfast: how long an operation may take.
#ifndef HOLDFAST_TIMEOUT_HPP
#define HOLDFAST_TIMEOUT_HPP

#include <holdfast/config.hpp>
#include <holdfast/error.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace holdfast {
inline namespace v0 {

/** @brief How long an operation may wait: zero (try once), a finite time, or without end.

    Made from any `std::chrono::duration`, rounded up to whole milliseconds, so that a positive time never becomes a
    zero one. Range: 0 to 2^31-1 ms. An operation ends within its timeout plus one round trip to the backend.

    @par Errors
    The conversion throws @ref error with `errc::invalid_argument` for a negative, a NaN and a too large duration.
*/
class timeout {
public:
    /// Try once.
    static constexpr timeout zero() noexcept { return timeout(std::int64_t{0}); }
    /// Wait until the lock is there, the operation fails, or the caller cancels.
    static constexpr timeout infinite() noexcept { return timeout(infinite_count); }

    /// @brief A finite timeout. Implicit, so that `lock.acquire(10s)` reads well.
    template <class Rep, class Period>
    timeout(std::chrono::duration<Rep, Period> duration)  // NOLINT(google-explicit-constructor)
        : count_(checked(duration)) {}

    bool is_zero() const noexcept { return count_ == 0; }
    bool is_infinite() const noexcept { return count_ == infinite_count; }

    /// The time in milliseconds. @pre not infinite
    std::chrono::milliseconds duration() const noexcept { return std::chrono::milliseconds(count_); }

    /// Infinite is greater than every finite timeout, and equal to itself.
    // NOLINTNEXTLINE(modernize-use-nullptr): the zero that a comparison is compared with is no pointer
    friend constexpr auto operator<=>(const timeout&, const timeout&) noexcept = default;

private:
    static constexpr std::int64_t infinite_count = std::numeric_limits<std::int64_t>::max();
    static constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();

    explicit constexpr timeout(std::int64_t count) noexcept : count_(count) {}

    template <class Rep, class Period>
    static std::int64_t checked(std::chrono::duration<Rep, Period> duration) {
        // Compared as floating point first: a conversion of the duration itself could overflow.
        using approximate = std::chrono::duration<long double, std::milli>;
        const long double value = approximate(duration).count();
        if (!(value >= 0)) throw_out_of_range("a timeout cannot be negative; use timeout::infinite() to wait for ever");
        if (value > static_cast<long double>(largest)) throw_out_of_range("a timeout is at most 2147483647 ms");
        const auto exact = std::chrono::ceil<std::chrono::milliseconds>(duration);
        return static_cast<std::int64_t>(exact.count());
    }

    [[noreturn]] HOLDFAST_API static void throw_out_of_range(const char* message);

    std::int64_t count_;
};

}  // namespace v0
}  // namespace holdfast

#endif
