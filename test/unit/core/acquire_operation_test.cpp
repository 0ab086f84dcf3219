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

/// What becomes of a lease of that lifetime, whose grant is answered at once.
core::action_kind granted_for(std::chrono::nanoseconds lifetime, core::verb& then, core::outcome& how) {
    const auto traits = explorer::lease_traits();
    core::claim who;
    who.owner = core::owner_id("owner");
    core::acquire_operation op(who, traits, timeout(1000ms), core::verb::try_acquire);
    const boottime::time_point at{1000s};
    const core::moment now(at);
    op.resume({core::event_kind::start}, now);
    op.resume({core::event_kind::turn}, now);
    op.resume({core::event_kind::link_ready}, now);
    core::reply answer;
    answer.result = core::verdict::granted;
    answer.lifetime = lifetime;
    const core::action next = op.resume({core::event_kind::replied, &answer, at}, now);
    then = next.cmd.what;
    how = op.result();
    return next.kind;
}

TEST(acquire_operation_lease_test, a_lease_of_less_than_the_margin_is_given_back) {
    const auto margin = explorer::lease_traits().lease_margin;
    for (const auto lifetime : {-margin, std::chrono::nanoseconds(0), margin / 2, margin}) {
        core::verb then{};
        core::outcome how;
        EXPECT_EQ(granted_for(lifetime, then, how), core::action_kind::send) << lifetime.count();
        EXPECT_EQ(then, core::verb::release) << lifetime.count();
        EXPECT_FALSE(how.succeeded) << lifetime.count();
        EXPECT_LT(how.valid_until, core::never) << lifetime.count();
    }
    core::verb then{};
    core::outcome how;
    EXPECT_EQ(granted_for(margin + 1ns, then, how), core::action_kind::complete);
    EXPECT_TRUE(how.succeeded);
    EXPECT_EQ(how.valid_until, boottime::time_point(1000s) + 1ns);
}

}  // namespace
}  // namespace holdfast
