// Keys of advisory locks.
#include "names/encoding.hpp"
#include "names/hash.hpp"
#include "names/names.hpp"
#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

constexpr std::size_t max_ascii_length = 9;

/// Seven bits a character, then a zero to end the text, then ones.
std::uint64_t pack_ascii(std::string_view name) noexcept {
    std::uint64_t value = 0;
    for (const char c : name) value = value << 7 | static_cast<unsigned char>(c);
    value <<= 1;
    for (std::size_t i = name.size(); i < max_ascii_length; ++i) value = value << 7 | 0x7F;
    return value;
}

/// Eight digits of either case. .NET's parser also lets trailing NUL characters pass, so we do.
std::optional<std::uint32_t> parse_hex(std::string_view text) noexcept {
    text = text.substr(0, text.find_last_not_of('\0') + 1);
    if (text.empty()) return {};
    std::uint32_t value = 0;
    for (const char c : text) {
        const char lower = static_cast<char>(c | 0x20);
        std::uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = static_cast<std::uint32_t>(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            digit = static_cast<std::uint32_t>(lower - 'a' + 10);
        } else {
            return {};
        }
        value = value << 4 | digit;
    }
    return value;
}

postgres_key single(std::uint64_t bits) {
    return {.in = postgres_key::space::int64, .key = static_cast<std::int64_t>(bits), .text = hex(bits)};
}

postgres_key pair(std::uint32_t key1, std::uint32_t key2, std::string text) {
    return {.in = postgres_key::space::int32_pair,
            .key1 = static_cast<std::int32_t>(key1),
            .key2 = static_cast<std::int32_t>(key2),
            .text = std::move(text)};
}

}  // namespace

postgres_key postgres(std::string_view name, bool allow_hashing) {
    constexpr std::size_t half = 8;

    require_utf8(name);
    const bool ascii =
        std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (ascii && name.size() <= max_ascii_length) {
        const std::uint64_t bits = pack_ascii(name);
        return pair(static_cast<std::uint32_t>(bits >> 32), static_cast<std::uint32_t>(bits), std::string(name));
    }
    const bool one = name.size() == 2 * half;
    const bool two = name.size() == 2 * half + 1 && name[half] == ',';
    if (one || two) {
        const auto first = parse_hex(name.substr(0, half));
        const auto second = parse_hex(name.substr(name.size() - half));
        if (first && second) {
            if (one) return single(std::uint64_t{*first} << 32 | *second);
            return pair(*first, *second, hex(*first) + ',' + hex(*second));
        }
    }
    if (!allow_hashing) {
        throw error(
            errc::invalid_name,
            "the name is no key of Postgres; write at most 9 ASCII characters, 16 hexadecimal digits, or twice 8 "
            "of them with a comma between");
    }
    const sha1_digest digest = sha1(name);
    std::uint64_t bits = 0;
    for (std::size_t i = 8; i-- > 0;) bits = bits << 8 | digest[i];
    return single(bits);
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
