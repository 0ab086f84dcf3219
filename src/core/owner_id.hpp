// Who we are to a backend that compares owners.
#ifndef HOLDFAST_CORE_OWNER_ID_HPP
#define HOLDFAST_CORE_OWNER_ID_HPP

#include <holdfast/config.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {

/// 128 random bits. In place: every claim has one, and claims are copied a lot.
class HOLDFAST_API owner_id {
public:
    /// Nobody's.
    owner_id() noexcept = default;
    /// From the operating system's random source. Throws `errc::unavailable` without one.
    static owner_id make();
    /// One that is made up: the first 16 characters of @p text are its bits.
    explicit owner_id(std::string_view text) noexcept {
        std::copy_n(text.begin(), std::min(text.size(), bytes_.size()), bytes_.begin());
    }

    /// Lower-case hexadecimal ones.
    std::array<char, 32> digits() const noexcept;
    std::string text() const;
    friend bool operator==(const owner_id&, const owner_id&) noexcept = default;

private:
    std::array<unsigned char, 16> bytes_{};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
