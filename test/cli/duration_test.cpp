#include "cli/duration.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ostream>
#include <stdexcept>
#include <string>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

struct good_case {
    const char* text;
    time_limit expected;
};

void PrintTo(const good_case& which, std::ostream* out) {
    *out << which.text;
}

class good_durations : public testing::TestWithParam<good_case> {};

TEST_P(good_durations, are_read) {
    EXPECT_EQ(parse_time_limit(GetParam().text), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(duration, good_durations,
                         testing::Values(good_case{"0s", 0ns}, good_case{"500ms", 500ms}, good_case{"10s", 10s},
                                         good_case{"1.5s", 1500ms}, good_case{"2m", 2min}, good_case{"0.5m", 30s},
                                         good_case{"1h", 1h}, good_case{"0.000000001s", 1ns}, good_case{"007s", 7s},
                                         good_case{"2147483647ms", 2147483647ms}, good_case{"0.1ms", 100us},
                                         good_case{"infinite", std::nullopt}));

class bad_durations : public testing::TestWithParam<const char*> {};

TEST_P(bad_durations, are_refused_with_an_example) {
    try {
        parse_time_limit(GetParam());
        FAIL() << "accepted";
    } catch (const std::invalid_argument& refusal) {
        EXPECT_NE(std::string(refusal.what()).find("for instance 500ms"), std::string::npos) << refusal.what();
    }
}

INSTANTIATE_TEST_SUITE_P(duration, bad_durations,
                         testing::Values("", "s", "10", "-1s", "+1s", " 1s", "1s ", "1 s", "1.s", ".5s", "1,5s", "1e3s",
                                         "0x1s", "1S", "1d", "1us", "inf", "INFINITE", "nan", "1s1s", "2147483648ms",
                                         "2147483647.5ms", "597h", "99999999999999999999s", "0.0000000001s", "1..5s"));

}  // namespace
}  // namespace holdfast::cli
