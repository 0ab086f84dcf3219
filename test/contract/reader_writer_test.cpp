// Readers together, or one writer; both kinds of reader-writer lock.
#include <contract/fixture.hpp>

namespace holdfast::contract {
namespace {

class reader_writer : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        name_ = place().unique_name();
        second_name_ = place().unique_name();
    }

    target read(const provider& from) const { return make(from, access::shared); }
    target write(const provider& from) const { return make(from, access::exclusive); }
    target read() const { return read(locks()); }
    target write() const { return write(locks()); }

private:
    target make(const provider& from, access mode) const {
        const auto both = [&](const auto& first, const auto& second) {
            const auto each = [mode](const auto& one) {
                return mode == access::shared ? for_reading(one) : for_writing(one);
            };
            return target{std::vector<lock_request>{each(first), each(second)}, mode};
        };
        switch (GetParam().shape) {
            case shape::write: return {from.make_reader_writer_lock(name_), mode};
            case shape::composite_write:
                return both(from.make_reader_writer_lock(name_), from.make_reader_writer_lock(second_name_));
            default: return {from.make_upgradeable_reader_writer_lock(name_), mode};
        }
    }

    std::string name_;
    std::string second_name_;
};

HOLDFAST_CONTRACT_SUITE(reader_writer, {.styles = every_style,
                                        .shapes = {shape::write, shape::upgradeable_write, shape::composite_write}});

HOLDFAST_CONTRACT(reader_writer, two_readers_hold_at_once_and_keep_a_writer_out, covers(42, 69)) {
    const provider elsewhere = place().make_provider();
    held first = take(read());
    held second = take(read());
    held third = take(read(elsewhere));
    EXPECT_TRUE(try_acquire(write()).nothing());
    EXPECT_TRUE(try_acquire(write(elsewhere)).nothing());
    EXPECT_TRUE(failed_with(acquire(write(), milliseconds(20)), errc::timed_out));
    EXPECT_EQ(first.state(), held_state::held);
}

HOLDFAST_CONTRACT(reader_writer, readers_that_try_at_once_are_never_refused, covers(42)) {
    expect_no_try_refused(4, [this] { return read(); });
}

HOLDFAST_CONTRACT(reader_writer, a_writer_keeps_readers_and_writers_out, covers(43, 69)) {
    const provider elsewhere = place().make_provider();
    held writer = take(write());
    EXPECT_TRUE(try_acquire(read()).nothing());
    EXPECT_TRUE(try_acquire(read(elsewhere)).nothing());
    EXPECT_TRUE(try_acquire(write()).nothing());
    const auto began = boottime::now();
    EXPECT_TRUE(try_acquire(read(), milliseconds(60)).nothing());
    EXPECT_GE(boottime::now() - began, milliseconds(60));
    give(writer);
    EXPECT_TRUE(is_free(read(elsewhere)));
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(reader_writer, a_waiting_writer_gets_in_after_the_last_reader, covers(43, 69)) {
    held first = take(read());
    held second = take(read());
    pending writer = start_waiting(write());
    give(first);
    // Nothing may happen here, so there is nothing to wait for but a while.
    EXPECT_FALSE(writer.done_within(milliseconds(20)));
    give(second);
    ASSERT_TRUE(writer.done_within(limits().patience));
    outcome how = writer.get();
    ASSERT_TRUE(how.granted()) << how.code.message();
    EXPECT_TRUE(is_taken(write()));
    EXPECT_TRUE(is_taken(read()));
    give(how.handle);
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(reader_writer, a_waiting_writer_keeps_new_readers_out, covers(44, 69)) {
    held first = take(read());
    pending writer = start_waiting(write());
    EXPECT_TRUE(try_acquire(read()).nothing());
    EXPECT_TRUE(try_acquire(read(), milliseconds(20)).nothing());
    give(first);
    ASSERT_TRUE(writer.done_within(limits().patience));
    EXPECT_TRUE(writer.get().granted());
}

HOLDFAST_CONTRACT(reader_writer, a_waiting_writer_keeps_new_readers_of_other_processes_out, covers(44)) {
    HOLDFAST_NEEDS(can().cross_process, "a backend with other processes");
    const provider elsewhere = place().make_provider();
    held first = take(read());
    pending writer = start_waiting(write());
    EXPECT_TRUE(eventually([&] { return try_acquire(read(elsewhere)).nothing(); }, limits().patience));
    give(first);
    ASSERT_TRUE(writer.done_within(limits().patience));
    EXPECT_TRUE(writer.get().granted());
}

HOLDFAST_CONTRACT(reader_writer, a_writer_that_gave_up_lets_readers_in, covers(44)) {
    const held first = take(read());
    EXPECT_TRUE(failed_with(acquire(write(), milliseconds(5)), errc::timed_out));
    EXPECT_TRUE(try_acquire(read()).granted());
    pending writer = start_waiting(write());
    writer.cancel();
    EXPECT_TRUE(failed_with(writer.get(), errc::cancelled));
    EXPECT_TRUE(try_acquire(read()).granted());
}

HOLDFAST_CONTRACT(reader_writer, a_dropped_reader_stops_blocking_writers, covers(35, 69)) {
    held reader = take(read());
    pending writer = start_waiting(write());
    reader.drop();
    ASSERT_TRUE(writer.done_within(limits().patience));
    EXPECT_TRUE(writer.get().granted());
}

HOLDFAST_CONTRACT(reader_writer, adjacent_readers_are_served_together_and_in_line, covers()) {
    held writer = take(write());
    pending reader_1 = start_waiting(read());
    pending reader_2 = start_waiting(read());
    pending writer_2 = start_waiting(write());
    pending reader_3 = start_waiting(read());
    give(writer);
    ASSERT_TRUE(reader_1.done_within(limits().patience));
    ASSERT_TRUE(reader_2.done_within(limits().patience));
    EXPECT_FALSE(writer_2.done());
    EXPECT_FALSE(reader_3.done());
    reader_1.get().handle.drop();
    EXPECT_FALSE(writer_2.done());
    reader_2.get().handle.drop();
    ASSERT_TRUE(writer_2.done_within(limits().patience));
    EXPECT_FALSE(reader_3.done());
    writer_2.get().handle.drop();
    ASSERT_TRUE(reader_3.done_within(limits().patience));
    EXPECT_TRUE(reader_3.get().granted());
}

HOLDFAST_CONTRACT(reader_writer, every_lost_reader_is_told, covers(20)) {
    held first = take(read());
    held second = take(read());
    const std::stop_token token_1 = first.lost_token();
    const std::stop_token token_2 = second.lost_token();
    HOLDFAST_NEEDS(place().lose_holds(read().name(), read().mapped_name()), "an environment that can destroy holds");
    EXPECT_TRUE(eventually([&] { return token_1.stop_requested() && token_2.stop_requested(); }));
    if (GetParam().shape == shape::composite_write) {
        // Only one of the two names was lost.
        EXPECT_EQ(release(first).code, errc::lost);
        EXPECT_EQ(release(second).code, errc::lost);
    }
    EXPECT_TRUE(is_free(write()));
}

class upgradeable : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        name_ = place().unique_name();
    }

    target in(access mode, const provider& from) const {
        return {from.make_upgradeable_reader_writer_lock(name_), mode};
    }
    target read() const { return in(access::shared, locks()); }
    target write() const { return in(access::exclusive, locks()); }
    target candidate() const { return in(access::upgradeable, locks()); }

private:
    std::string name_;
};

HOLDFAST_CONTRACT_SUITE(upgradeable, {.styles = every_style,
                                      .needs = &capabilities::upgradeable_reader_writer_lock,
                                      .what = "upgradeable"});

HOLDFAST_CONTRACT(upgradeable, stands_beside_readers_but_not_beside_its_like, covers(46)) {
    const provider elsewhere = place().make_provider();
    const held first = take(read());
    const held second = take(read());
    const held one = take(candidate());
    EXPECT_TRUE(try_acquire(read()).granted());
    EXPECT_TRUE(try_acquire(in(access::shared, elsewhere)).granted());
    EXPECT_TRUE(try_acquire(candidate()).nothing());
    EXPECT_TRUE(try_acquire(in(access::upgradeable, elsewhere)).nothing());
    EXPECT_TRUE(try_acquire(write()).nothing());
    EXPECT_TRUE(try_acquire(in(access::exclusive, elsewhere)).nothing());
}

HOLDFAST_CONTRACT(upgradeable, upgrades_once_the_readers_have_left, covers(47)) {
    held reader = take(read());
    held one = take(candidate());
    EXPECT_TRUE(failed_with({upgrade(one).code, {}, {}}, errc::timed_out));
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_taken(candidate()));
    give(reader);
    EXPECT_FALSE(upgrade(one).code);
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_taken(read()));
    EXPECT_TRUE(is_taken(in(access::shared, place().make_provider())));
    give(one);
    EXPECT_TRUE(is_free(read()));
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(upgradeable, a_waiting_upgrade_succeeds_when_the_last_reader_leaves, covers(47)) {
    held first = take(read());
    held second = take(read());
    held one = take(candidate());
    pending upgrading = calls().start({verb::upgrade, nullptr, &one, timeout::infinite()});
    ASSERT_TRUE(comes_to_wait(upgrading));
    give(first);
    EXPECT_FALSE(upgrading.done());
    give(second);
    ASSERT_TRUE(upgrading.done_within(limits().patience));
    EXPECT_FALSE(upgrading.get().code);
    EXPECT_TRUE(is_taken(read()));
}

HOLDFAST_CONTRACT(upgradeable, an_upgrade_times_out_in_its_time_and_keeps_what_it_had, covers(47, 10)) {
    const held reader = take(read());
    held one = take(candidate());
    constexpr milliseconds limit(60);
    outcome how;
    const auto took = time_of([&] { how = upgrade(one, limit); });
    EXPECT_EQ(how.code, errc::timed_out);
    EXPECT_GE(took, limit);
    EXPECT_LT(took, limit + limits().slack);
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_taken(candidate()));
    EXPECT_TRUE(is_free(read()));
    give(one);
    EXPECT_TRUE(is_free(candidate()));
}

HOLDFAST_CONTRACT(upgradeable, a_cancelled_upgrade_keeps_what_it_had, covers(14, 47)) {
    held reader = take(read());
    held one = take(candidate());
    pending upgrading = calls().start({verb::upgrade, nullptr, &one, timeout::infinite()});
    ASSERT_TRUE(comes_to_wait(upgrading));
    upgrading.cancel();
    EXPECT_EQ(upgrading.get().code, errc::cancelled);
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_free(read()));
    EXPECT_TRUE(is_taken(candidate()));
    give(reader);
    EXPECT_FALSE(upgrade(one).code);
}

HOLDFAST_CONTRACT(upgradeable, cancelling_an_upgrade_while_it_succeeds_loses_nothing, covers(19)) {
    for (int round = 0; round < limits().race_rounds / 4; ++round) {
        held reader = take(read());
        held one = take(candidate());
        pending upgrading = calls().start({verb::upgrade, nullptr, &one, timeout::infinite()});
        reader.drop();
        upgrading.cancel();
        const error_code code = upgrading.get().code;
        EXPECT_TRUE(!code || code == errc::cancelled) << code.message();
        // Upgraded or not, that is what it says.
        ASSERT_EQ(static_cast<bool>(is_free(read())), code.failed());
        give(one);
        ASSERT_TRUE(is_free(write()));
    }
}

HOLDFAST_CONTRACT(upgradeable, cannot_be_upgraded_twice, covers(49)) {
    held one = take(candidate());
    EXPECT_FALSE(upgrade(one).code);
    EXPECT_EQ(upgrade(one).code, errc::invalid_state);
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_taken(read()));
    give(one);
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(upgradeable, cannot_be_upgraded_after_release, covers(48)) {
    held one = take(candidate());
    give(one);
    EXPECT_FALSE(release(one).code);
    EXPECT_EQ(upgrade(one).code, errc::invalid_state);
    EXPECT_EQ(upgrade(one, timeout::infinite()).code, errc::invalid_state);
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(upgradeable, can_be_upgraded_while_monitored, covers(27)) {
    held one = take(candidate());
    const std::stop_token token = one.lost_token();
    EXPECT_FALSE(upgrade(one).code);
    EXPECT_FALSE(token.stop_requested());
    EXPECT_EQ(one.state(), held_state::held);
    HOLDFAST_NEEDS(place().lose_holds(read().name(), read().mapped_name()), "an environment that can destroy holds");
    EXPECT_TRUE(eventually([&] { return token.stop_requested(); }, limits().loss_noticed));
    EXPECT_EQ(release(one).code, errc::lost);
    EXPECT_TRUE(is_free(write()));
}

HOLDFAST_CONTRACT(upgradeable, cannot_be_upgraded_once_lost, covers(26)) {
    held one = take(candidate());
    HOLDFAST_NEEDS(place().lose_holds(read().name(), read().mapped_name()), "an environment that can destroy holds");
    EXPECT_EQ(upgrade(one, seconds(1)).code, errc::lost);
    EXPECT_EQ(one.state(), held_state::lost);
}

HOLDFAST_CONTRACT(upgradeable, a_try_to_upgrade_tells_by_its_result, covers(47)) {
    const auto try_upgrade = [this](held& one, timeout limit) {
        return calls().run({verb::try_upgrade, nullptr, &one, limit});
    };
    held reader = take(read());
    held one = take(candidate());
    for (const timeout limit : {timeout::zero(), timeout(milliseconds(5))}) {
        const outcome refused = try_upgrade(one, limit);
        EXPECT_FALSE(refused.code) << refused.code.message();
        EXPECT_FALSE(refused.upgraded);
    }
    EXPECT_EQ(one.state(), held_state::held);
    give(reader);
    const outcome done = try_upgrade(one, timeout::zero());
    EXPECT_FALSE(done.code) << done.code.message();
    EXPECT_TRUE(done.upgraded);
    EXPECT_TRUE(is_taken(read()));
    const outcome twice = try_upgrade(one, timeout::zero());
    EXPECT_EQ(twice.code, errc::invalid_state);
    EXPECT_FALSE(twice.upgraded);
    give(one);
    EXPECT_EQ(try_upgrade(one, timeout::zero()).code, errc::invalid_state);
}

HOLDFAST_CONTRACT(upgradeable, a_cancelled_try_to_upgrade_keeps_what_it_had, covers(14, 47)) {
    held reader = take(read());
    held one = take(candidate());
    pending upgrading = calls().start({verb::try_upgrade, nullptr, &one, seconds(100)});
    ASSERT_TRUE(comes_to_wait(upgrading));
    upgrading.cancel();
    const outcome how = upgrading.get();
    EXPECT_EQ(how.code, errc::cancelled);
    EXPECT_FALSE(how.upgraded);
    EXPECT_EQ(one.state(), held_state::held);
    EXPECT_TRUE(is_free(read()));
    EXPECT_TRUE(is_taken(candidate()));
}

class upgradeable_blocking : public upgradeable {};

HOLDFAST_CONTRACT_SUITE(upgradeable_blocking, {.styles = blocking_styles,
                                               .needs = &capabilities::upgradeable_reader_writer_lock,
                                               .what = "upgradeable"});

HOLDFAST_CONTRACT(upgradeable_blocking, a_stopped_token_wins_over_a_possible_upgrade, covers(15)) {
    held one = take(candidate());
    request call{verb::upgrade, nullptr, &one, timeout::infinite()};
    call.stopped_before = true;
    EXPECT_EQ(calls().run(call).code, errc::cancelled);
    EXPECT_TRUE(is_free(read()));
}

}  // namespace
}  // namespace holdfast::contract
