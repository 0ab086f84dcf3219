// Every order of what can happen to two clients that want one lock of three servers, in simulated time.
#include "quorum_explorer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using explorer::contest;
using explorer::phase;
using namespace std::chrono_literals;

// Builds that check themselves take ten times as long.
#if defined(NDEBUG)
constexpr std::size_t depth = 6;
#else
constexpr std::size_t depth = 4;
#endif

class redis_quorum_test : public testing::TestWithParam<contest> {};

TEST_P(redis_quorum_test, keeps_its_promises_in_every_order_of_events) {
    const auto found = explorer::explore(GetParam());
    EXPECT_TRUE(found.violation.empty()) << found.violation;
    std::cout << GetParam().name << ": " << found.runs << " runs, " << found.cut_short << " of them cut short\n";
    EXPECT_GT(found.runs, 50U);
    EXPECT_GT(found.acquired_by_both, 0U);
    EXPECT_EQ(found.timed_out > 0, GetParam().limit.has_value());
    RecordProperty("runs", static_cast<int>(found.runs));
}

/// For who has more time than a test has.
std::size_t depth_or(std::size_t usual) {
    const char* const asked = std::getenv("HOLDFAST_EXPLORATION_DEPTH");
    return asked == nullptr ? usual : std::stoul(asked);
}

std::vector<contest> contests() {
    std::vector<contest> all;
    const auto add = [&all](const std::string& name) -> contest& {
        contest& made = all.emplace_back();
        made.name = name;
        made.depth = depth_or(depth);
        return made;
    };
    for (const bool on_caller : {true, false}) {
        const auto add_one = [&](const char* name, phase opens) -> contest& {
            contest& made = add((on_caller ? "direct_" : "shared_") + std::string(name));
            made.on_caller = on_caller;
            made.opens = opens;
            return made;
        };
        add_one("start", phase::start);
        add_one("waiting", phase::waiting).second_asks = 1s;
        add_one("renewing", phase::renewing).second_asks = 8s;
        add_one("releasing", phase::releasing).second_asks = 8s;
        contest& timing_out = add_one("timing_out", phase::waiting);
        timing_out.second_asks = 9500ms;
        timing_out.limit = 1s;
        contest& trying = add_one("trying", phase::releasing);
        trying.second_asks = 10s;
        trying.limit = 0ms;
        contest& connecting = add_one("connecting", phase::start);
        connecting.slow_to_connect = true;
        for (const auto& [name, opens] : {std::pair{"single_start", phase::start},
                                          {"single_waiting", phase::waiting},
                                          {"single_renewing", phase::renewing},
                                          {"single_releasing", phase::releasing}}) {
            contest& single = add_one(name, opens);
            single.servers = 1;
            single.second_asks = opens == phase::start ? 0s : 8s;
        }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(, redis_quorum_test, testing::ValuesIn(contests()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace holdfast
