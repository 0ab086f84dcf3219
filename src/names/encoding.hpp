// Digests as text.
#ifndef HOLDFAST_SRC_NAMES_ENCODING_HPP
#define HOLDFAST_SRC_NAMES_ENCODING_HPP

#include <cstdint>
#include <span>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace names {

/// RFC 4648's usual Base64: `+` and `/`, padded, without line breaks.
std::string base64(std::span<const std::uint8_t> bytes);

enum class letter_case { upper, lower };

/** RFC 4648's Base32 alphabet, but not its order of bits: the bytes are one little-endian number, and its lowest five
    bits come first. No padding; bits left over at the end are a last character.
*/
std::string little_endian_base32(std::span<const std::uint8_t> bytes, letter_case letters);

/// Two lower-case digits a byte.
std::string hex(std::span<const std::uint8_t> bytes);
/// Lower case, padded with zeros to 8 or 16 digits.
std::string hex(std::uint32_t value);
std::string hex(std::uint64_t value);
/// Lower case, without padding.
void append_short_hex(std::string& target, std::uint32_t value);

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
