#include "names/text.hpp"

#include "names/unicode_tables.hpp"

#include <holdfast/error.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

char32_t to_lower(char32_t code_point) noexcept {
    if (code_point < 0x80) return code_point >= U'A' && code_point <= U'Z' ? code_point + 32 : code_point;
    // The last run that begins at or before the code point.
    const auto after =
        std::upper_bound(lower_case_runs.begin(), lower_case_runs.end(), code_point,
                         [](char32_t value, const lower_case_run& run) noexcept { return value < run.first; });
    if (after == lower_case_runs.begin()) return code_point;
    const lower_case_run& run = *(after - 1);
    if (code_point > run.last || (code_point - run.first) % run.step != 0) return code_point;
    return static_cast<char32_t>(static_cast<std::int32_t>(code_point) + run.delta);
}

}  // namespace

decoded decode(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t offset) noexcept { return static_cast<unsigned char>(text[at + offset]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - at < length) return {};
    char32_t code_point = lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return {};
        code_point = code_point << 6 | (byte(i) & 0x3Fu);
    }
    constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (code_point < smallest[length] || code_point > 0x10FFFF || surrogate) return {};
    return {code_point, length};
}

std::size_t find_invalid_utf8(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = decode(text, at).length;
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

void require_utf8(std::string_view name) {
    const std::size_t at = find_invalid_utf8(name);
    if (at == std::string_view::npos) return;
    throw error(errc::invalid_name, "the name is not valid UTF-8 from byte " + std::to_string(at) +
                                        " on (counted from 0); encode it as UTF-8");
}

void append_utf8(std::string& target, char32_t code_point) {
    const auto add = [&](char32_t byte) { target += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code_point < 0x80) {
        add(code_point);
        return;
    }
    if (code_point < 0x800) {
        add(0xC0 | code_point >> 6);
    } else {
        if (code_point < 0x10000) {
            add(0xE0 | code_point >> 12);
        } else {
            add(0xF0 | code_point >> 18);
            add(0x80 | (code_point >> 12 & 0x3F));
        }
        add(0x80 | (code_point >> 6 & 0x3F));
    }
    add(0x80 | (code_point & 0x3F));
}

std::size_t utf16_length(std::string_view text) noexcept {
    std::size_t units = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool first_of_character = (byte & 0xC0) != 0x80;
        const bool pair = byte >= 0xF0;
        units += static_cast<std::size_t>(first_of_character) + static_cast<std::size_t>(pair);
    }
    return units;
}

void append_units(std::string& target, std::string_view text, std::size_t units) {
    for_each_code_point(text, [&](char32_t code_point, std::string_view bytes) {
        if (units == 0) return false;
        const std::size_t needed = utf16_units(code_point);
        target += needed <= units ? bytes : replacement_character;
        units -= std::min(units, needed);
        return true;
    });
}

bool is_letter_or_digit(char32_t code_point) noexcept {
    if (code_point < 0x80) {
        const char32_t letter = code_point | 0x20;
        return (code_point >= U'0' && code_point <= U'9') || (letter >= U'a' && letter <= U'z');
    }
    const auto range = std::lower_bound(letter_or_digit_ranges.begin(), letter_or_digit_ranges.end(), code_point,
                                        [](const unit_range& r, char32_t value) noexcept { return r.last < value; });
    return range != letter_or_digit_ranges.end() && range->first <= code_point;
}

std::string to_lower(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for_each_code_point(text, [&](char32_t code_point, std::string_view) {
        append_utf8(result, to_lower(code_point));
        return true;
    });
    return result;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
