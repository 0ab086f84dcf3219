// How durations become timeouts.
#include <holdfast/error.hpp>
#include <holdfast/timeout.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds largest(std::numeric_limits<std::int32_t>::max());

struct rounded {
    const char* name;
    timeout made;
    milliseconds expected;
};

class timeout_duration_test : public testing::TestWithParam<rounded> {};

TEST_P(timeout_duration_test, is_rounded_up_to_whole_milliseconds) {
    EXPECT_EQ(GetParam().made.duration(), GetParam().expected);
    EXPECT_EQ(GetParam().made.is_zero(), GetParam().expected == 0ms);
    EXPECT_FALSE(GetParam().made.is_infinite());
}

INSTANTIATE_TEST_SUITE_P(
    all, timeout_duration_test,
    testing::Values(rounded{"zero", 0s, 0ms}, rounded{"negative_zero", duration<double>(-0.0), 0ms},
                    rounded{"nanosecond", 1ns, 1ms}, rounded{"fraction", duration<double>(0.0001), 1ms},
                    rounded{"smallest_fraction", duration<double>(std::numeric_limits<double>::denorm_min()), 1ms},
                    rounded{"exact", 250ms, 250ms}, rounded{"just_more", 250ms + 1ns, 251ms},
                    rounded{"just_less", 250ms - 1ns, 250ms}, rounded{"seconds", 3s, 3000ms},
                    rounded{"days", std::chrono::days(24), 576h}, rounded{"largest", largest, largest},
                    rounded{"just_less_than_largest", nanoseconds(largest) - 1ns, largest}),
    [](const auto& row) { return std::string(row.param.name); });

struct out_of_range {
    const char* name;
    std::function<timeout()> make;
    const char* says;
};

class timeout_range_test : public testing::TestWithParam<out_of_range> {};

TEST_P(timeout_range_test, is_checked) {
    try {
        (void)GetParam().make();
        FAIL() << "not refused";
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::invalid_argument);
        EXPECT_THAT(refused.what(), testing::HasSubstr(GetParam().says));
    }
}

constexpr const char* negative = "a timeout cannot be negative; use timeout::infinite() to wait for ever";
constexpr const char* too_large = "a timeout is at most 2147483647 ms";

INSTANTIATE_TEST_SUITE_P(
    all, timeout_range_test,
    testing::Values(out_of_range{"minus_a_nanosecond", [] { return timeout(-1ns); }, negative},
                    out_of_range{"minus_a_fraction", [] { return timeout(duration<double>(-1e-9)); }, negative},
                    out_of_range{"smallest", [] { return timeout(std::chrono::hours::min()); }, negative},
                    out_of_range{"minus_infinity", [] { return timeout(duration<double>(-INFINITY)); }, negative},
                    out_of_range{"not_a_number", [] { return timeout(duration<double>(NAN)); }, negative},
                    out_of_range{"just_more_than_largest", [] { return timeout(nanoseconds(largest) + 1ns); },
                                 too_large},
                    out_of_range{"infinity", [] { return timeout(duration<double>(INFINITY)); }, too_large},
                    out_of_range{"greatest_hours", [] { return timeout(std::chrono::hours::max()); }, too_large},
                    out_of_range{"greatest_nanoseconds", [] { return timeout(nanoseconds::max()); }, too_large}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(timeout_test, orders_zero_before_finite_before_infinite) {
    EXPECT_TRUE(timeout::zero().is_zero());
    EXPECT_FALSE(timeout::zero().is_infinite());
    EXPECT_TRUE(timeout::infinite().is_infinite());
    EXPECT_FALSE(timeout::infinite().is_zero());
    EXPECT_EQ(timeout::zero(), timeout(0ms));
    EXPECT_LT(timeout::zero(), timeout(1ms));
    EXPECT_LT(timeout(1ms), timeout(2ms));
    EXPECT_LT(timeout(largest), timeout::infinite());
    EXPECT_EQ(timeout::infinite(), timeout::infinite());
}

}  // namespace
}  // namespace holdfast
