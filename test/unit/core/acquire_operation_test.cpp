// Every order of events for an acquire and an upgrade, up to a depth.
#include "operation_explorer.hpp"

#include <core/acquire_operation.hpp>

#include <gtest/gtest.h>

#include <iostream>

namespace holdfast {
namespace {

using explorer::setup;
using namespace std::chrono_literals;

constexpr std::size_t depth = 14;

std::unique_ptr<core::operation> make_acquire(const setup& what, const core::claim& who) {
    const timeout limit = what.limit ? timeout(*what.limit) : timeout::infinite();
    return std::make_unique<core::acquire_operation>(who, what.traits, limit, what.ask);
}

class acquire_operation_test : public testing::TestWithParam<setup> {};

TEST_P(acquire_operation_test, keeps_its_promises_in_every_order_of_events) {
    const auto found = explorer::explore(GetParam(), depth, make_acquire);
    EXPECT_EQ(found.violation, "");
    EXPECT_GT(found.runs, 50U);
    RecordProperty("runs", static_cast<int>(found.runs));
}

core::backend_traits without_announcing() {
    auto made = explorer::lease_traits();
    made.announces = false;
    return made;
}

core::backend_traits polling_session() {
    auto made = explorer::session_traits();
    made.waits_on_server = false;
    return made;
}

std::vector<setup> setups() {
    const struct {
        const char* name;
        core::backend_traits traits;
        bool upgrades;
    } families[] = {
        {"kernel", explorer::kernel_traits(), true},   {"session", explorer::session_traits(), true},
        {"polling_session", polling_session(), true},  {"lease", explorer::lease_traits(), false},
        {"silent_lease", without_announcing(), false},
    };
    const struct {
        const char* name;
        std::optional<std::chrono::milliseconds> limit;
    } limits[] = {{"zero", 0ms}, {"finite", 1000ms}, {"infinite", std::nullopt}};
    std::vector<setup> all;
    for (const auto& family : families) {
        for (const auto& limit : limits) {
            const std::string name = std::string(family.name) + "_" + limit.name;
            all.push_back({name, family.traits, core::verb::try_acquire, limit.limit, false});
            if (family.upgrades) {
                all.push_back({name + "_upgrade", family.traits, core::verb::convert, limit.limit, true});
            }
        }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(, acquire_operation_test, testing::ValuesIn(setups()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace holdfast
