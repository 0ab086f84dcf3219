// Who we are to a backend that compares owners.
#ifndef HOLDFAST_CORE_OWNER_ID_HPP
#define HOLDFAST_CORE_OWNER_ID_HPP

#include <holdfast/config.hpp>

#include <array>
#include <cstddef>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {

/// 32 lower-case hexadecimal digits, or none. In place: every claim has one, and claims are copied a lot.
class HOLDFAST_API owner_id {
public:
    /// Nobody's.
    owner_id() noexcept = default;
    /// From the operating system's random source. Throws `errc::unavailable` without one.
    static owner_id make();
    /// @pre at most 32 characters
    explicit owner_id(std::string_view text) noexcept : size_(text.copy(text_.data(), text_.size())) {}

    std::string_view text() const noexcept { return {text_.data(), size_}; }
    friend bool operator==(const owner_id& one, const owner_id& other) noexcept { return one.text() == other.text(); }

private:
    std::array<char, 32> text_{};
    std::size_t size_ = 0;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
