// Every order of what can happen to two clients that want one lock of three servers, in simulated time.
#include "quorum_explorer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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

/// How far it is gone. Choices, and how many of them may be more than one delivery before another.
struct extent {
    std::size_t depth;
    std::size_t disturbances;
};

// Builds that check themselves take ten times as long.
#if defined(NDEBUG)
const std::vector<extent> usual_extents{{8, 1}, {5, 2}, {4, 3}};
constexpr std::size_t usual_samples = 20000;
#else
const std::vector<extent> usual_extents{{4, 1}, {3, 2}};
constexpr std::size_t usual_samples = 1000;
#endif
/// Twice as deep as every order can be seen, and as much out of the way as there is room for.
constexpr std::size_t depth_of_samples = 16;

/// Whoever has more time than a test has says by how much more.
std::size_t asked_for(const char* variable) {
    const char* const asked = std::getenv(variable);
    return asked == nullptr ? 0 : std::stoul(asked);
}
std::size_t further() {
    return asked_for("HOLDFAST_EXPLORE_FURTHER");
}
std::size_t more_disturbances() {
    return asked_for("HOLDFAST_EXPLORE_DISTURBANCES");
}

class redis_quorum_test : public testing::TestWithParam<contest> {};

TEST_P(redis_quorum_test, keeps_its_promises_in_every_order_of_events) {
    std::size_t runs = 0;
    std::size_t acquired_by_both = 0;
    std::size_t cancelled = 0;
    std::size_t timed_out = 0;
    for (const extent& each : usual_extents) {
        contest what = GetParam();
        // Where votes split there is less to choose from, and more to be taken back.
        what.depth = (what.splits ? each.depth + 1 : std::min(what.depth, each.depth)) + further();
        what.disturbances = each.disturbances + more_disturbances();
        const auto found = explorer::explore(what);
        ASSERT_TRUE(found.violation.empty()) << found.violation;
        runs += found.runs;
        acquired_by_both += found.acquired_by_both;
        cancelled += found.cancelled;
        timed_out += found.timed_out;
    }
    std::cout << GetParam().name << ": " << runs << " runs\n";
    RecordProperty("runs", static_cast<int>(runs));
    EXPECT_GT(runs, 100U);
    EXPECT_GT(acquired_by_both, 0U);
    EXPECT_GT(cancelled, 0U);
    EXPECT_EQ(timed_out > 0, GetParam().limit.has_value());
}

TEST_P(redis_quorum_test, keeps_its_promises_whatever_goes_wrong) {
    contest what = GetParam();
    what.depth = what.disturbances = depth_of_samples;
    what.samples = usual_samples << further();
    const auto found = explorer::explore(what);
    ASSERT_TRUE(found.violation.empty()) << found.violation;
    EXPECT_EQ(found.runs, what.samples);
    EXPECT_GT(found.acquired_by_both, 0U);
    EXPECT_GT(found.cancelled, 0U);
    EXPECT_EQ(found.timed_out > 0, what.limit.has_value());
}

std::vector<contest> contests() {
    std::vector<contest> all;
    const auto add = [&all](const std::string& name) -> contest& {
        contest& made = all.emplace_back();
        made.name = name;
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
        add_one("splitting", phase::splitting).splits = true;
        add_one("waiting", phase::waiting).second_asks = 1s;
        add_one("renewing", phase::renewing).second_asks = 8s;
        contest& losing = add_one("losing", phase::renewing);
        losing.first_holds = 45s;
        losing.second_asks = 28s;
        add_one("releasing", phase::releasing).second_asks = 8s;
        // These have the most to choose from, and are the start or the wait of the others in another setting.
        contest& timing_out = add_one("timing_out", phase::waiting);
        timing_out.depth = 7;
        timing_out.second_asks = 9500ms;
        timing_out.limit = 1s;
        contest& trying = add_one("trying", phase::releasing);
        trying.depth = 7;
        trying.second_asks = 10s;
        trying.limit = 0ms;
        contest& connecting = add_one("connecting", phase::start);
        connecting.slow_to_connect = true;
        connecting.depth = 7;
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
