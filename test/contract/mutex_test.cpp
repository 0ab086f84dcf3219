// What everything that one holder has alone must do: locks, write locks, upgradeable read locks, last tickets.
#include <contract/fixture.hpp>

#include <atomic>
#include <thread>

namespace holdfast::contract {
namespace {

class mutex : public shaped_test {};

HOLDFAST_CONTRACT_SUITE(mutex, {.styles = every_style, .shapes = every_shape});

HOLDFAST_CONTRACT(mutex, a_try_on_a_free_name_succeeds, covers(1, 69)) {
    const outcome how = try_acquire(thing());
    EXPECT_TRUE(how.granted()) << how.code.message();
    EXPECT_EQ(how.handle.state(), held_state::held);
}

HOLDFAST_CONTRACT(mutex, a_second_try_on_the_same_object_gets_nothing, covers(2, 69)) {
    const target same = thing();
    const held first = take(same);
    EXPECT_TRUE(try_acquire(same).nothing());
    EXPECT_TRUE(try_acquire(same, milliseconds(20)).nothing());
    EXPECT_EQ(first.state(), held_state::held);
}

HOLDFAST_CONTRACT(mutex, another_name_is_had_at_once_while_one_is_held, covers(3, 69)) {
    const held first = take(thing());
    const subject another(place(), GetParam().shape);
    EXPECT_TRUE(try_acquire(another.on(locks())).granted());
}

HOLDFAST_CONTRACT(mutex, the_same_object_acquires_again_after_release, covers(4, 69)) {
    const target same = thing();
    for (int round = 0; round < 5; ++round) {
        held taken = take(same);
        give(taken);
        EXPECT_EQ(taken.state(), held_state::released);
    }
    EXPECT_TRUE(is_free(same));
}

HOLDFAST_CONTRACT(mutex, releasing_twice_is_harmless, covers(5, 69)) {
    held first = take(thing());
    give(first);
    EXPECT_FALSE(release(first).code);
    const held second = take(thing());
    EXPECT_FALSE(release(first).code);
    EXPECT_TRUE(is_taken(thing()));
    EXPECT_EQ(second.state(), held_state::held);
}

HOLDFAST_CONTRACT(mutex, many_concurrent_acquirers_all_succeed_and_never_overlap, covers(6, 69)) {
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> succeeded{0};
    const auto began = boottime::now();
    std::vector<std::thread> acquirers;
    for (int count = 0; count < limits().concurrent_acquirers; ++count) {
        acquirers.emplace_back([&, same = thing()] {
            outcome how = acquire(same, seconds(30));
            if (!how.granted()) return;
            if (inside.fetch_add(1) != 0) ++overlaps;
            std::this_thread::yield();
            if (inside.fetch_sub(1) != 1) ++overlaps;
            if (!release(how.handle).code) ++succeeded;
        });
    }
    for (std::thread& each : acquirers) each.join();
    EXPECT_EQ(succeeded, limits().concurrent_acquirers);
    EXPECT_EQ(overlaps, 0);
    EXPECT_LT(boottime::now() - began, seconds(30));
}

HOLDFAST_CONTRACT(mutex, independent_objects_of_one_name_exclude_each_other, covers(8, 69)) {
    const provider elsewhere = place().make_provider();
    held first = take(one().on(locks()));
    EXPECT_TRUE(try_acquire(one().on(locks())).nothing());
    EXPECT_TRUE(try_acquire(one().on(elsewhere)).nothing());
    give(first);
    held second = take(one().on(elsewhere));
    EXPECT_TRUE(try_acquire(one().on(locks())).nothing());
    give(second);
}

HOLDFAST_CONTRACT(mutex, a_dropped_handle_is_released, covers(31, 69)) {
    held taken = take(thing());
    taken.drop();
    EXPECT_TRUE(eventually([&] { return is_free(thing()); }, limits().patience));
}

HOLDFAST_CONTRACT(mutex, a_handle_assigned_over_is_released, covers(31)) {
    const subject another(place(), GetParam().shape);
    held taken = take(thing());
    taken = take(another.on(locks()));
    EXPECT_TRUE(eventually([&] { return is_free(thing()); }, limits().patience));
    EXPECT_TRUE(is_taken(another.on(locks())));
}

HOLDFAST_CONTRACT(mutex, moving_a_handle_moves_the_hold, covers()) {
    held first = take(thing());
    held second = std::move(first);
    if (!is_composite()) {
        lock_handle inner = std::move(second.plain());
        EXPECT_FALSE(second);
        EXPECT_EQ(second.state(), held_state::released);
        EXPECT_EQ(second.plain().name(), "");
        EXPECT_EQ(inner.name(), one().name());
        second.plain() = std::move(inner);
    }
    EXPECT_TRUE(second);
    EXPECT_EQ(second.state(), held_state::held);
    EXPECT_TRUE(is_taken(thing()));
    give(second);
    EXPECT_TRUE(is_free(thing()));
}

HOLDFAST_CONTRACT(mutex, is_released_from_another_thread_in_every_style, covers(4)) {
    for (const style how : every_style) {
        SCOPED_TRACE(name_of(how));
        held taken = take(thing());
        const auto other = make_call_style(how);
        outcome released;
        std::thread([&] { released = other->run({verb::release, nullptr, &taken}); }).join();
        EXPECT_FALSE(released.code) << released.code.message();
        EXPECT_TRUE(is_free(thing()));
    }
}

HOLDFAST_CONTRACT(mutex, a_waiter_gets_it_when_the_holder_releases, covers(8)) {
    const provider elsewhere = place().make_provider();
    for (const provider& holder : {locks(), elsewhere}) {
        held first = take(one().on(holder));
        pending waiter = start_waiting(thing());
        give(first);
        ASSERT_TRUE(waiter.done_within(limits().patience));
        outcome second = waiter.get();
        EXPECT_TRUE(second.granted()) << second.code.message();
        EXPECT_TRUE(is_taken(thing()));
    }
}

/// What only handles of one lock have.
class single : public shaped_test {};

HOLDFAST_CONTRACT_SUITE(single, {.styles = every_style, .shapes = single_shapes});

HOLDFAST_CONTRACT(single, fencing_tokens_grow_where_there_are_any, covers()) {
    const provider elsewhere = place().make_provider();
    std::optional<fencing_token> last;
    for (const provider& from : {locks(), elsewhere, locks()}) {
        held taken = take(one().on(from));
        const auto token = taken.plain().fencing_token();
        EXPECT_EQ(token.has_value(), can().fencing != fencing_support::none);
        if (last && token) {
            EXPECT_GT(*token, *last);
        }
        last = token;
        give(taken);
    }
}

HOLDFAST_CONTRACT(single, is_valid_for_some_time_to_come, covers()) {
    const held taken = take(thing());
    EXPECT_GT(taken.valid_until(), boottime::now());
    EXPECT_EQ(taken.plain().name(), one().name());
}

}  // namespace
}  // namespace holdfast::contract
