#include "duration.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace holdfast::cli {
namespace {

using std::chrono::nanoseconds;

struct unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

constexpr std::array<unit, 4> units{
    {{"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}}};
constexpr std::int64_t largest = std::int64_t{std::numeric_limits<std::int32_t>::max()} * 1'000'000;

[[noreturn]] void refuse(std::string_view text, std::string_view reason) {
    throw std::invalid_argument("'" + std::string(text) + "' is not a duration: " + std::string(reason) +
                                "; write for instance 500ms, 10s, 1.5s, 2m, 0s or infinite");
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

time_limit parse_time_limit(std::string_view text) {
    if (text == "infinite") return std::nullopt;
    std::size_t whole_end = 0;
    while (whole_end < text.size() && is_digit(text[whole_end])) ++whole_end;
    if (whole_end == 0) refuse(text, "it does not begin with a number");
    std::size_t number_end = whole_end;
    if (number_end < text.size() && text[number_end] == '.') {
        ++number_end;
        while (number_end < text.size() && is_digit(text[number_end])) ++number_end;
        if (number_end == whole_end + 1) refuse(text, "a digit is missing after the point");
    }
    const std::string_view unit_name = text.substr(number_end);
    if (unit_name.empty()) refuse(text, "the unit is missing");
    const unit* scale = nullptr;
    for (const unit& candidate : units) {
        if (candidate.name == unit_name) scale = &candidate;
    }
    if (scale == nullptr) refuse(text, "the unit is none of ms, s, m, h");

    std::int64_t whole = 0;
    const auto read = std::from_chars(text.data(), text.data() + whole_end, whole);
    if (read.ec != std::errc() || whole > largest / scale->nanoseconds) refuse(text, "more than 2147483647ms");
    std::int64_t total = whole * scale->nanoseconds;
    std::int64_t digit_value = scale->nanoseconds;
    for (std::size_t at = whole_end + 1; at < number_end; ++at) {
        if (digit_value % 10 != 0) refuse(text, "it is finer than a nanosecond");
        digit_value /= 10;
        total += (text[at] - '0') * digit_value;
    }
    if (total > largest) refuse(text, "more than 2147483647ms");
    return nanoseconds(total);
}

}  // namespace holdfast::cli
