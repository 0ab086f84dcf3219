// How waits end: by the lock, by time, by cancellation; and in which order.
#include <contract/fixture.hpp>

#include <atomic>
#include <thread>

namespace holdfast::contract {
namespace {

class waiting : public shaped_test {
protected:
    /// The time that @p call takes must be its timeout, and not much more.
    template <class Call>
    void expect_to_take(milliseconds limit, Call call) {
        const auto took = time_of(call);
        EXPECT_GE(took, limit) << "ended before its time";
        EXPECT_LT(took, limit + limits().slack);
    }
};

HOLDFAST_CONTRACT_SUITE(waiting, {.styles = every_style, .shapes = every_shape});

HOLDFAST_CONTRACT(waiting, an_acquire_times_out_with_an_error_in_its_time, covers(10, 66, 69)) {
    const held first = take(thing());
    constexpr milliseconds limit(110);
    outcome how;
    expect_to_take(limit, [&] { how = acquire(thing(), limit); });
    EXPECT_TRUE(failed_with(how, errc::timed_out));
}

HOLDFAST_CONTRACT(waiting, a_try_gets_nothing_in_its_time, covers(10, 69)) {
    const held first = take(thing());
    constexpr milliseconds limit(110);
    outcome how;
    expect_to_take(limit, [&] { how = try_acquire(thing(), limit); });
    EXPECT_TRUE(how.nothing()) << how.code.message();
}

HOLDFAST_CONTRACT(waiting, times_out_when_held_elsewhere, covers(10, 69)) {
    const provider elsewhere = place().make_provider();
    const held first = take(one().on(elsewhere));
    constexpr milliseconds limit(110);
    outcome how;
    expect_to_take(limit, [&] { how = try_acquire(thing(), limit); });
    EXPECT_TRUE(how.nothing()) << how.code.message();
}

HOLDFAST_CONTRACT(waiting, times_out_behind_another_waiter, covers(10)) {
    const held first = take(thing());
    pending front = start_waiting(thing());
    constexpr milliseconds limit(30);
    outcome how;
    expect_to_take(limit, [&] { how = acquire(thing(), limit); });
    EXPECT_TRUE(failed_with(how, errc::timed_out));
    EXPECT_FALSE(front.done());
}

HOLDFAST_CONTRACT(waiting, a_timeout_of_less_than_a_millisecond_is_rounded_up, covers(11)) {
    const held first = take(thing());
    outcome how;
    expect_to_take(milliseconds(1), [&] { how = try_acquire(thing(), std::chrono::microseconds(1)); });
    EXPECT_TRUE(how.nothing()) << how.code.message();
}

HOLDFAST_CONTRACT(waiting, a_zero_timeout_does_not_wait, covers(10, 1)) {
    const held first = take(thing());
    outcome how;
    expect_to_take(milliseconds(0), [&] { how = acquire(thing(), timeout::zero()); });
    EXPECT_TRUE(failed_with(how, errc::timed_out));
}

HOLDFAST_CONTRACT(waiting, an_error_names_the_backend_and_the_lock, covers()) {
    const held first = take(thing());
    const outcome how = acquire(thing(), milliseconds(5));
    EXPECT_TRUE(failed_with(how, errc::timed_out));
    EXPECT_EQ(how.diag.backend, locks().backend_name());
    EXPECT_EQ(how.diag.lock_name, one().name());
    EXPECT_EQ(how.diag.state, held_state::released);
}

HOLDFAST_CONTRACT(waiting, a_timed_out_waiter_leaves_nothing_behind, covers(10)) {
    held first = take(thing());
    EXPECT_TRUE(failed_with(acquire(thing(), milliseconds(5)), errc::timed_out));
    give(first);
    EXPECT_TRUE(is_free(thing()));
    EXPECT_TRUE(is_free(one().on(place().make_provider())));
}

HOLDFAST_CONTRACT(waiting, a_blocked_acquire_is_cancelled, covers(14, 69)) {
    held first = take(thing());
    pending waiter = start_waiting(thing());
    waiter.cancel();
    ASSERT_TRUE(waiter.done_within(limits().patience));
    EXPECT_TRUE(failed_with(waiter.get(), errc::cancelled));
    EXPECT_EQ(first.state(), held_state::held);
    give(first);
    EXPECT_TRUE(is_free(thing()));
}

HOLDFAST_CONTRACT(waiting, a_blocked_try_is_cancelled_with_an_error, covers(14)) {
    const held first = take(thing());
    pending waiter = start_try_acquire(thing(), seconds(100));
    ASSERT_TRUE(comes_to_wait(waiter));
    waiter.cancel();
    ASSERT_TRUE(waiter.done_within(limits().patience));
    EXPECT_TRUE(failed_with(waiter.get(), errc::cancelled));
}

HOLDFAST_CONTRACT(waiting, a_cancelled_waiter_leaves_the_others_in_line, covers(14)) {
    held first = take(thing());
    pending front = start_waiting(thing());
    pending middle = start_waiting(thing());
    pending back = start_waiting(thing());
    middle.cancel();
    EXPECT_TRUE(failed_with(middle.get(), errc::cancelled));
    front.cancel();
    EXPECT_TRUE(failed_with(front.get(), errc::cancelled));
    EXPECT_FALSE(back.done());
    give(first);
    ASSERT_TRUE(back.done_within(limits().patience));
    EXPECT_TRUE(back.get().granted());
}

HOLDFAST_CONTRACT(waiting, cancelling_while_it_is_released_loses_nothing, covers(19)) {
    for (int round = 0; round < limits().race_rounds; ++round) {
        held first = take(thing());
        pending waiter = start_acquire(thing());
        std::atomic<bool> go{false};
        std::thread releaser([&] {
            while (!go) std::this_thread::yield();
            EXPECT_FALSE(release(first).code);
        });
        go = true;
        if (round % 2 == 0) std::this_thread::yield();
        waiter.cancel();
        outcome how = waiter.get();
        releaser.join();
        if (how.code) {
            ASSERT_TRUE(failed_with(how, errc::cancelled));
        } else {
            ASSERT_TRUE(how.granted());
            ASSERT_TRUE(is_taken(thing()));
            give(how.handle);
        }
        ASSERT_TRUE(is_free(thing())) << "after round " << round;
    }
}

HOLDFAST_CONTRACT(waiting, the_end_of_its_time_while_it_is_released_loses_nothing, covers(10, 19)) {
    for (int round = 0; round < limits().race_rounds / 4; ++round) {
        held first = take(thing());
        pending waiter = start_try_acquire(thing(), milliseconds(2));
        // A race that is meant: the release comes at about the deadline.
        std::this_thread::sleep_for(std::chrono::microseconds(1500 + 40 * round));
        give(first);
        outcome how = waiter.get();
        ASSERT_FALSE(how.code) << how.code.message();
        if (how.handle) give(how.handle);
        ASSERT_TRUE(is_free(thing())) << "after round " << round;
    }
}

HOLDFAST_CONTRACT(waiting, waiters_are_served_first_come_first_served, covers()) {
    held current = take(thing());
    std::vector<pending> line;
    for (int count = 0; count < 5; ++count) line.push_back(start_waiting(thing()));
    for (std::size_t next = 0; next < line.size(); ++next) {
        give(current);
        ASSERT_TRUE(line[next].done_within(limits().patience)) << "waiter " << next << " was passed over";
        outcome how = line[next].get();
        ASSERT_TRUE(how.granted()) << how.code.message();
        for (std::size_t behind = next + 1; behind < line.size(); ++behind) EXPECT_FALSE(line[behind].done());
        current = std::move(how.handle);
    }
}

HOLDFAST_CONTRACT(waiting, a_try_never_overtakes_a_waiter, covers()) {
    for (int round = 0; round < 10; ++round) {
        held first = take(thing());
        pending waiter = start_waiting(thing());
        std::atomic<bool> stop{false};
        std::atomic<int> overtaken{0};
        std::thread trier([&, same = thing()] {
            while (!stop) overtaken += try_acquire(same).nothing() ? 0 : 1;
        });
        give(first);
        EXPECT_TRUE(waiter.done_within(limits().patience));
        outcome how = waiter.get();
        stop = true;
        trier.join();
        EXPECT_TRUE(how.granted()) << how.code.message();
        EXPECT_EQ(overtaken, 0);
    }
}

HOLDFAST_CONTRACT(waiting, a_try_behind_a_waiter_does_not_wait, covers(1)) {
    const held first = take(thing());
    const pending waiter = start_waiting(thing());
    outcome how;
    expect_to_take(milliseconds(0), [&] { how = try_acquire(thing()); });
    EXPECT_TRUE(how.nothing()) << how.code.message();
    EXPECT_FALSE(waiter.done());
}

class stopped_before : public shaped_test {};

HOLDFAST_CONTRACT_SUITE(stopped_before, {.styles = blocking_styles, .shapes = every_shape});

HOLDFAST_CONTRACT(stopped_before, a_stopped_token_wins_over_a_free_lock, covers(15, 69)) {
    const target same = thing();
    for (const verb what : {verb::acquire, verb::try_acquire}) {
        for (const timeout limit : {timeout::zero(), timeout(seconds(100)), timeout::infinite()}) {
            request call{what, &same, nullptr, limit};
            call.stopped_before = true;
            EXPECT_TRUE(failed_with(calls().run(call), errc::cancelled));
        }
    }
    EXPECT_TRUE(is_free(same));
}

HOLDFAST_CONTRACT(stopped_before, a_stopped_token_wins_over_a_held_lock, covers(15)) {
    const target same = thing();
    const held first = take(same);
    request call{verb::acquire, &same, nullptr, timeout::infinite()};
    call.stopped_before = true;
    EXPECT_TRUE(failed_with(calls().run(call), errc::cancelled));
    EXPECT_EQ(first.state(), held_state::held);
}

class cancelled_at_once : public shaped_test {};

HOLDFAST_CONTRACT_SUITE(cancelled_at_once,
                        {.styles = asynchronous_styles,
                         .shapes = {shape::lock, shape::write, shape::upgradeable_read, shape::last_ticket,
                                    shape::composite, shape::composite_write, shape::composite_tickets}});

HOLDFAST_CONTRACT(cancelled_at_once, an_acquire_of_a_free_lock_is_held_or_cancelled, covers(16, 69)) {
    for (int round = 0; round < 20; ++round) {
        pending call = start_acquire(thing());
        call.cancel();
        outcome how = call.get();
        if (how.code) {
            EXPECT_TRUE(failed_with(how, errc::cancelled));
        } else {
            EXPECT_TRUE(how.granted());
            give(how.handle);
        }
        EXPECT_TRUE(is_free(thing()));
    }
}

HOLDFAST_CONTRACT(cancelled_at_once, an_acquire_of_a_held_lock_is_cancelled, covers(16)) {
    const held first = take(thing());
    for (int round = 0; round < 20; ++round) {
        pending call = start_acquire(thing());
        call.cancel();
        EXPECT_TRUE(failed_with(call.get(), errc::cancelled));
    }
    EXPECT_EQ(first.state(), held_state::held);
}

}  // namespace
}  // namespace holdfast::contract
