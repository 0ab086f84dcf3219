// UTF-8 text, measured and cut as .NET does it: in UTF-16 units.
#ifndef HOLDFAST_SRC_NAMES_TEXT_HPP
#define HOLDFAST_SRC_NAMES_TEXT_HPP

#include <holdfast/config.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {

struct decoded {
    char32_t code_point = 0;
    /// In bytes; 0 when the bytes are not the UTF-8 of any code point.
    std::size_t length = 0;
};

/// The code point at @p at, which is less than the text's size. Overlong forms, surrogates and values past U+10FFFF
/// are not UTF-8.
decoded decode(std::string_view text, std::size_t at) noexcept;

/// Where the first byte stands that is not part of valid UTF-8; `npos` when all are.
HOLDFAST_API std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// Throws `errc::invalid_name` unless @p name is UTF-8. All functions below this one take such text only.
HOLDFAST_API void require_utf8(std::string_view name);

void append_utf8(std::string& target, char32_t code_point);

constexpr std::size_t utf16_units(char32_t code_point) noexcept {
    return code_point > 0xFFFF ? 2 : 1;
}
std::size_t utf16_length(std::string_view text) noexcept;

/// Calls @p action with each code point and its UTF-8 bytes, until it returns false.
template <typename Action>
void for_each_code_point(std::string_view text, Action action) {
    for (std::size_t at = 0; at < text.size();) {
        const decoded next = decode(text, at);
        if (!action(next.code_point, text.substr(at, next.length))) return;
        at += next.length;
    }
}

/** Appends the first @p units UTF-16 units of @p text, or all of it if it is shorter.

    A cut through a surrogate pair leaves half a character, which UTF-8 cannot write: like .NET, we put U+FFFD there.
*/
void append_units(std::string& target, std::string_view text, std::size_t units);

/// .NET 10's `char.IsLetterOrDigit`. False outside the BMP: .NET looks at the halves of a pair one by one.
bool is_letter_or_digit(char32_t code_point) noexcept;

/// .NET 10's culture-independent lower case, of the whole text.
std::string to_lower(std::string_view text);

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
