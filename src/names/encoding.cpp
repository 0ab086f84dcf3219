#include "names/encoding.hpp"

#include <cstddef>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

}  // namespace

std::string base64(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = bytes.size() - at < 3 ? bytes.size() - at : 3;
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0u);
        for (std::size_t i = 0; i < 4; ++i) text += i <= count ? alphabet[group >> (18 - 6 * i) & 63] : '=';
    }
    return text;
}

std::string little_endian_base32(std::span<const std::uint8_t> bytes, letter_case letters) {
    const std::string_view alphabet =
        letters == letter_case::upper ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" : "abcdefghijklmnopqrstuvwxyz234567";
    std::string text;
    text.reserve((bytes.size() * 8 + 4) / 5);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const std::uint8_t byte : bytes) {
        bits |= std::uint32_t{byte} << count;
        for (count += 8; count >= 5; count -= 5) {
            text += alphabet[bits & 31];
            bits >>= 5;
        }
    }
    if (count > 0) text += alphabet[bits & 31];
    return text;
}

std::string hex(std::span<const std::uint8_t> bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    return text;
}

std::string hex(std::uint32_t value) {
    std::string text(8, '0');
    for (std::size_t i = text.size(); i-- > 0; value >>= 4) text[i] = hex_digits[value & 15];
    return text;
}

std::string hex(std::uint64_t value) {
    return hex(static_cast<std::uint32_t>(value >> 32)) + hex(static_cast<std::uint32_t>(value));
}

void append_short_hex(std::string& target, std::uint32_t value) {
    int shift = 28;
    while (shift > 0 && value >> shift == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) target += hex_digits[value >> shift & 15];
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
