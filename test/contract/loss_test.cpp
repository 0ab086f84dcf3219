// Holds that end without their holder's doing.
#include <contract/fixture.hpp>

#include <atomic>
#include <thread>

#include <pthread.h>

namespace holdfast::contract {
namespace {

/// Long enough for what must not happen to show itself. On a slow machine it may pass wrongly, but never fail wrongly.
void wait_for_nothing() {
    std::this_thread::sleep_for(milliseconds(20));
}

class loss : public shaped_test {
protected:
    void SetUp() override {
        shaped_test::SetUp();
        HOLDFAST_NEEDS(can().loss_detection != loss_detection::none, "a backend that notices losses");
    }
    bool comes_to_stop(const std::stop_token& token) const {
        return eventually([&] { return token.stop_requested(); }, limits().loss_noticed);
    }
};

// A backend may need a while to notice, so not everything is crossed with everything.
HOLDFAST_CONTRACT_SUITE(loss, {.styles = every_style, .shapes = every_shape, .crossed = false});

HOLDFAST_CONTRACT(loss, is_not_reported_while_the_lock_is_healthy, covers(20, 69)) {
    held taken = take(thing());
    const std::stop_token token = taken.lost_token();
    pending watching = start_wait_lost(taken);
    wait_for_nothing();
    EXPECT_FALSE(token.stop_requested());
    EXPECT_EQ(taken.state(), held_state::held);
    EXPECT_FALSE(watching.done());
    watching.cancel();
    EXPECT_EQ(watching.get().code, errc::cancelled);
    EXPECT_EQ(taken.state(), held_state::held);
    EXPECT_TRUE(is_taken(thing()));
}

HOLDFAST_CONTRACT(loss, is_reported_after_the_hold_is_destroyed, covers(20, 69)) {
    held taken = take(thing());
    const std::stop_token token = taken.lost_token();
    EXPECT_FALSE(token.stop_requested());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    EXPECT_TRUE(comes_to_stop(token));
    EXPECT_EQ(taken.state(), held_state::lost);
}

HOLDFAST_CONTRACT(loss, is_not_reported_by_a_release, covers(21, 69)) {
    held taken = take(thing());
    const std::stop_token token = taken.lost_token();
    give(taken);
    wait_for_nothing();
    EXPECT_FALSE(token.stop_requested());
}

HOLDFAST_CONTRACT(loss, is_not_reported_by_dropping_the_handle, covers(21)) {
    held taken = take(thing());
    const std::stop_token token = taken.lost_token();
    taken.drop();
    wait_for_nothing();
    EXPECT_FALSE(token.stop_requested());
}

HOLDFAST_CONTRACT(loss, does_not_hinder_the_release_of_a_monitored_handle, covers(25, 69)) {
    for (int round = 0; round < 5; ++round) {
        held taken = take(thing());
        const std::stop_token token = taken.lost_token();
        give(taken);
        EXPECT_TRUE(is_free(thing()));
    }
}

HOLDFAST_CONTRACT(loss, is_reported_by_the_release_of_a_lost_handle, covers(26, 69)) {
    held taken = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    ASSERT_TRUE(eventually([&] { return taken.state() == held_state::lost; }, limits().loss_noticed));
    EXPECT_EQ(release(taken).code, errc::lost);
    EXPECT_FALSE(release(taken).code);
    EXPECT_EQ(taken.state(), held_state::released);
}

HOLDFAST_CONTRACT(loss, is_reported_by_the_release_even_if_nobody_looked, covers(26)) {
    held taken = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    EXPECT_EQ(release(taken).code, errc::lost);
}

HOLDFAST_CONTRACT(loss, is_told_on_a_library_thread, covers(20)) {
    const held taken = take(thing());
    std::atomic<bool> told{false};
    std::string thread;
    std::thread::id told_on;
    const std::stop_callback on_loss(taken.lost_token(), [&] {
        char name[16] = {};
        ::pthread_getname_np(::pthread_self(), name, sizeof name);
        thread = name;
        told_on = std::this_thread::get_id();
        told = true;
    });
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    ASSERT_TRUE(eventually([&] { return told.load(); }, limits().loss_noticed));
    EXPECT_NE(told_on, std::this_thread::get_id());
#if !defined(_WIN32)
    // winpthreads knows no detached thread by its name.
    EXPECT_EQ(thread, "holdfast-lost");
#endif
}

HOLDFAST_CONTRACT(loss, ends_a_wait_for_it, covers(20)) {
    held taken = take(thing());
    pending watching = start_wait_lost(taken);
    EXPECT_FALSE(watching.done());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    ASSERT_TRUE(watching.done_within(limits().loss_noticed));
    EXPECT_FALSE(watching.get().code);
    EXPECT_EQ(taken.state(), held_state::lost);
}

HOLDFAST_CONTRACT(loss, is_reported_after_a_wait_for_it_was_cancelled, covers(20)) {
    held taken = take(thing());
    pending first = start_wait_lost(taken);
    first.cancel();
    EXPECT_EQ(first.get().code, errc::cancelled);
    pending second = start_wait_lost(taken);
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    ASSERT_TRUE(second.done_within(limits().loss_noticed));
    EXPECT_FALSE(second.get().code);
}

HOLDFAST_CONTRACT(loss, ends_a_wait_that_begins_after_the_fact, covers(22)) {
    held taken = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    pending watching = start_wait_lost(taken);
    ASSERT_TRUE(watching.done_within(limits().loss_noticed));
    EXPECT_FALSE(watching.get().code);
}

/// What depends on the handle and not on the style.
class loss_by_shape : public loss {};

HOLDFAST_CONTRACT_SUITE(loss_by_shape, {.shapes = every_shape});

HOLDFAST_CONTRACT(loss_by_shape, is_reported_when_looked_at_after_the_fact, covers(22, 69)) {
    const held taken = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    EXPECT_TRUE(comes_to_stop(taken.lost_token()));
    EXPECT_EQ(taken.state(), held_state::lost);
}

HOLDFAST_CONTRACT(loss_by_shape, shows_in_the_state_without_a_monitor, covers(22, 69)) {
    const held taken = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    EXPECT_TRUE(eventually([&] { return taken.state() == held_state::lost; }, limits().loss_noticed));
}

HOLDFAST_CONTRACT(loss_by_shape, lets_a_lost_handle_be_dropped, covers(26)) {
    held taken = take(thing());
    const std::stop_token token = taken.lost_token();
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    EXPECT_TRUE(comes_to_stop(token));
    taken.drop();
    const subject again(place(), single_of(GetParam().shape), one().name());
    EXPECT_TRUE(is_free(again.on(locks())));
}

HOLDFAST_CONTRACT(loss_by_shape, gives_the_lock_to_the_next_whom_the_loser_cannot_disturb, covers(5, 26)) {
    const provider elsewhere = place().make_provider();
    held lost = take(thing());
    HOLDFAST_NEEDS(lose(), "an environment that can destroy holds");
    const subject again(place(), single_of(GetParam().shape), one().name());
    const held next = take(again.on(elsewhere));
    EXPECT_EQ(release(lost).code, errc::lost);
    EXPECT_EQ(next.state(), held_state::held);
    EXPECT_TRUE(is_taken(again.on(locks())));
}

class loss_async : public loss {};

HOLDFAST_CONTRACT_SUITE(loss_async, {.styles = asynchronous_styles, .shapes = every_shape, .crossed = false});

HOLDFAST_CONTRACT(loss_async, ends_a_wait_for_it_as_cancelled_when_released, covers(21, 25)) {
    held taken = take(thing());
    pending watching = start_wait_lost(taken);
    give(taken);
    ASSERT_TRUE(watching.done_within(limits().patience));
    EXPECT_EQ(watching.get().code, errc::cancelled);
}

class no_loss : public contract_test {};

HOLDFAST_CONTRACT_SUITE(no_loss, {.styles = every_style, .needs = &capabilities::lock, .what = "lock"});

HOLDFAST_CONTRACT(no_loss, an_empty_handle_has_no_loss_to_wait_for, covers(23)) {
    held empty{lock_handle()};
    try {
        (void)empty.lost_token();
        ADD_FAILURE() << "an empty handle gave a token";
    } catch (const error& thrown) {
        EXPECT_EQ(thrown.boost_code(), errc::invalid_state);
    }
    EXPECT_EQ(start_wait_lost(empty).get().code, errc::invalid_state);
    EXPECT_FALSE(release(empty).code);
    EXPECT_EQ(empty.state(), held_state::released);
}

HOLDFAST_CONTRACT(no_loss, a_released_handle_has_no_loss_to_wait_for, covers(23)) {
    held taken = take(lock_target(locks(), place().unique_name()));
    give(taken);
    EXPECT_EQ(start_wait_lost(taken).get().code, errc::invalid_state);
}

HOLDFAST_CONTRACT(no_loss, a_backend_that_cannot_notice_never_raises_the_signal, covers(24)) {
    HOLDFAST_NEEDS(can().loss_detection == loss_detection::none, "a backend that notices no losses");
    const std::string name = place().unique_name();
    const target one = lock_target(locks(), name);
    const held taken = take(one);
    const std::stop_token token = taken.lost_token();
    place().lose_holds(name, one.mapped_name());
    wait_for_nothing();
    EXPECT_FALSE(token.stop_requested());
}

}  // namespace
}  // namespace holdfast::contract
