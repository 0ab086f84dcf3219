// Every order of events for a release and for questions, up to a depth.
#include "operation_explorer.hpp"

#include <core/release_operation.hpp>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using explorer::setup;
using namespace std::chrono_literals;

constexpr std::size_t depth = 14;

std::unique_ptr<core::operation> make_operation(const setup& what, const core::claim& who) {
    if (what.ask == core::verb::release) {
        return std::make_unique<core::release_operation>(who, what.traits, *what.limit);
    }
    return std::make_unique<core::query_operation>(who, what.traits, what.ask, *what.limit);
}

class release_operation_test : public testing::TestWithParam<setup> {};

TEST_P(release_operation_test, keeps_its_promises_in_every_order_of_events) {
    const auto found = explorer::explore(GetParam(), depth, make_operation);
    EXPECT_EQ(found.violation, "");
    EXPECT_GT(found.runs, 1U);
    RecordProperty("runs", static_cast<int>(found.runs));
}

INSTANTIATE_TEST_SUITE_P(
    , release_operation_test,
    testing::Values(setup{"kernel_release", explorer::kernel_traits(), core::verb::release, 500ms, true},
                    setup{"session_release", explorer::session_traits(), core::verb::release, 500ms, true},
                    setup{"lease_release", explorer::lease_traits(), core::verb::release, 500ms, true},
                    setup{"kernel_count", explorer::kernel_traits(), core::verb::count, 500ms, false},
                    setup{"session_count", explorer::session_traits(), core::verb::count, 500ms, false},
                    setup{"lease_renewal", explorer::lease_traits(), core::verb::renew, 500ms, true}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace holdfast
