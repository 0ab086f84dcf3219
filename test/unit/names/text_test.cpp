#include "names/text.hpp"

#include "names/unicode_tables.hpp"

#include <holdfast/error.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::names {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t none = std::string_view::npos;
constexpr std::string_view fox = "\xF0\x9F\xA6\x8A";  // U+1F98A, a pair in UTF-16
constexpr std::string_view half = "\xEF\xBF\xBD";

std::string first_units(std::string_view text, std::size_t units) {
    std::string result;
    append_units(result, text, units);
    return result;
}

TEST(Utf8, EveryCodePointIsWrittenAndReadBack) {
    for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
        std::string bytes;
        append_utf8(bytes, code_point);
        const decoded read = decode(bytes, 0);
        if (code_point >= 0xD800 && code_point <= 0xDFFF) {
            ASSERT_EQ(read.length, 0u) << "surrogates are not UTF-8";
        } else {
            ASSERT_EQ(read.code_point, code_point);
            ASSERT_EQ(read.length, bytes.size());
            ASSERT_EQ(utf16_length(bytes), utf16_units(code_point));
        }
    }
}

TEST(Utf8, EveryPairOfBytesIsJudgedByTheRule) {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const std::string bytes{static_cast<char>(first), static_cast<char>(second)};
            const bool valid =
                (first < 0x80 && second < 0x80) || (first >= 0xC2 && first <= 0xDF && second >= 0x80 && second <= 0xBF);
            ASSERT_EQ(find_invalid_utf8(bytes) == none, valid) << first << ' ' << second;
        }
    }
}

TEST(Utf8, InvalidBytesAreFound) {
    const struct {
        std::string_view bytes;
        std::size_t at;
    } cases[] = {
        {"a\x80", 1},                     // a continuation without a start
        {"\xC0\xAF", 0},                  // '/' in two bytes
        {"\xC1\xBF", 0},                  // U+007F in two bytes
        {"\xE0\x80\xAF", 0},              // '/' in three bytes
        {"\xE0\x9F\xBF", 0},              // U+07FF in three bytes
        {"\xF0\x80\x80\xAF", 0},          // '/' in four bytes
        {"\xF0\x8F\xBF\xBF", 0},          // U+FFFF in four bytes
        {"ab\xED\xA0\x80", 2},            // U+D800
        {"\xED\xBF\xBF", 0},              // U+DFFF
        {"\xED\xA0\xBD\xED\xB8\x80", 0},  // a pair, encoded half by half
        {"\xF4\x90\x80\x80", 0},          // U+110000
        {"\xF5\x80\x80\x80", 0},
        {"\xFE", 0},
        {"\xFF", 0},
        {"x\xC3", 1},  // cut off
        {"x\xE2\x82", 1},
        {"x\xF0\x9F\xA6", 1},
        {"\xC3(", 0},  // interrupted
        {"\xE2\x82(", 0},
        {"\xF0\x9F\xA6(", 0},
    };
    for (const auto& test : cases) {
        EXPECT_EQ(find_invalid_utf8(test.bytes), test.at) << testing::PrintToString(test.bytes);
        EXPECT_THROW(require_utf8(test.bytes), error);
    }
    for (const std::string_view valid : {""sv, "a"sv, "\0"sv, "\xC2\x80"sv, "\xED\x9F\xBF"sv, "\xEE\x80\x80"sv,
                                         "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
        EXPECT_EQ(find_invalid_utf8(valid), none) << testing::PrintToString(valid);
        EXPECT_NO_THROW(require_utf8(valid));
    }
}

TEST(Utf8, TheErrorSaysWhere) {
    try {
        require_utf8("ab\xFF");
        FAIL();
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::invalid_name);
        EXPECT_NE(refused.diag().message.find("byte 2"), std::string::npos) << refused.diag().message;
    }
}

TEST(Units, AreThoseOfUtf16) {
    EXPECT_EQ(utf16_length(""), 0u);
    EXPECT_EQ(utf16_length("abc"), 3u);
    EXPECT_EQ(utf16_length("é€"), 2u);
    EXPECT_EQ(utf16_length(fox), 2u);
}

TEST(Units, CuttingLeavesTheMarkOfHalfACharacter) {
    const std::string text = "a" + std::string(fox) + "é";
    EXPECT_EQ(first_units(text, 0), "");
    EXPECT_EQ(first_units(text, 1), "a");
    EXPECT_EQ(first_units(text, 2), "a" + std::string(half));
    EXPECT_EQ(first_units(text, 3), "a" + std::string(fox));
    EXPECT_EQ(first_units(text, 4), text);
    EXPECT_EQ(first_units(text, none), text);
}

TEST(Letters, FollowTheTable) {
    std::size_t count = 0;
    for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
        bool expected = false;
        if (code_point <= 0xFFFF) {
            for (const unit_range& range : letter_or_digit_ranges) {
                if (range.first > code_point) break;
                expected = code_point <= range.last;
            }
        }
        ASSERT_EQ(is_letter_or_digit(code_point), expected) << static_cast<std::uint32_t>(code_point);
        count += expected;
    }
    EXPECT_GT(count, 49000u);
    EXPECT_TRUE(is_letter_or_digit(U'é'));
    EXPECT_TRUE(is_letter_or_digit(U'٣'));
    EXPECT_FALSE(is_letter_or_digit(U'_'));
    EXPECT_FALSE(is_letter_or_digit(0x0301)) << "a combining accent";
    EXPECT_FALSE(is_letter_or_digit(0x20000)) << "a letter, but a pair";
}

TEST(LowerCase, IsDotNets) {
    EXPECT_EQ(to_lower("ABC xyz 09 @[`{"), "abc xyz 09 @[`{");
    EXPECT_EQ(to_lower("ÀÉÞ×"), "àéþ×");
    EXPECT_EQ(to_lower("\u0130"), "\u0130") << "the dotted capital I stays";
    EXPECT_EQ(to_lower("ΟΔΟΣ"), "οδοσ") << "no rule for the final sigma";
    EXPECT_EQ(to_lower("\u212A"), "k") << "the Kelvin sign";
    EXPECT_EQ(to_lower("\U00010400"), "\U00010428") << "outside the BMP";
    EXPECT_EQ(to_lower("\u01C4\u01C5\u01C6"), "\u01C6\u01C6\u01C6");
    EXPECT_EQ(to_lower("\u1C89"), "\u1C89") << "newer than .NET's table";
    EXPECT_EQ(to_lower("\u13A0"), "\uAB70");
}

TEST(LowerCase, NeverChangesTheNumberOfUnits) {
    for (const lower_case_run& run : lower_case_runs) {
        for (char32_t upper = run.first; upper <= run.last; upper += run.step) {
            std::string before;
            append_utf8(before, upper);
            const std::string after = to_lower(before);
            ASSERT_EQ(find_invalid_utf8(after), none) << before;
            ASSERT_NE(after, before);
            ASSERT_EQ(utf16_length(after), utf16_length(before));
        }
    }
}

}  // namespace
}  // namespace holdfast::names
