// Holdfast: a number that grows with every acquisition of a name.
#ifndef HOLDFAST_FENCING_TOKEN_HPP
#define HOLDFAST_FENCING_TOKEN_HPP

#include <holdfast/config.hpp>

#include <compare>
#include <cstdint>

namespace holdfast {
inline namespace v0 {

/** @brief A number that is greater than that of every earlier holder of the same name.

    Hand it to the resource that the lock protects and let that refuse anything with a smaller number than it has seen:
    then a holder that was stopped, and lost its lock without knowing, does no harm. (M. Kleppmann, "How to do
    distributed locking", 2016.) Whether the numbers can go back, for instance after a failover, is told by
    @ref capabilities.
*/
class fencing_token {
public:
    constexpr explicit fencing_token(std::uint64_t value) noexcept : value_(value) {}
    constexpr std::uint64_t value() const noexcept { return value_; }
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the defaulted comparison for a null pointer.
    friend constexpr auto operator<=>(const fencing_token&, const fencing_token&) noexcept = default;

private:
    std::uint64_t value_;
};

}  // namespace v0
}  // namespace holdfast

#endif
