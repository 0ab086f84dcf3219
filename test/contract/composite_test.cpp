// Several locks at once. What a composite shares with a lock is tested with those.
#include <contract/fixture.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <mutex>
#include <thread>

namespace holdfast::contract {
namespace {

/// Writes down what happens to which lock.
class scribe final : public observer {
public:
    void acquired(std::string_view name, std::chrono::nanoseconds) noexcept override { note("+", name); }
    void released(std::string_view name, error_code) noexcept override { note("-", name); }

    std::vector<std::string> read() const {
        const std::lock_guard guard(mutex_);
        return lines_;
    }

private:
    void note(const char* sign, std::string_view name) {
        const std::lock_guard guard(mutex_);
        lines_.push_back(sign + std::string(name));
    }

    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

class composite : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        for (std::string& each : names_) each = place().unique_name();
        watched_.emplace(place().make_provider({.observer = scribe_}));
    }

    const std::string& name(std::size_t which) const { return names_[which]; }
    /// The locks of these names, watched.
    target all() const { return several({watched(0), watched(1), watched(2)}); }
    static target several(std::vector<lock_request> wanted) { return {std::move(wanted), access::exclusive}; }
    lock watched(std::size_t which) const { return watched_->make_lock(names_[which]); }
    target alone(std::size_t which) const { return lock_target(locks(), names_[which]); }
    std::vector<std::string> history() const { return scribe_->read(); }
    /// What is noted when these are acquired, or released, in this order.
    std::vector<std::string> notes(const std::string& signs, std::vector<std::size_t> which) const {
        std::vector<std::string> made;
        for (std::size_t at = 0; at < which.size(); ++at) made.push_back(signs[at] + names_[which[at]]);
        return made;
    }

    testing::AssertionResult refused_as_invalid(const target& wanted) {
        for (const verb what : {verb::acquire, verb::try_acquire}) {
            const outcome how = calls().run({what, &wanted, nullptr, milliseconds(10)});
            if (auto failed = failed_with(how, errc::invalid_argument); !failed) return failed;
            if (how.diag.message.empty()) return testing::AssertionFailure() << "it is not said why";
        }
        return testing::AssertionSuccess();
    }

private:
    std::array<std::string, 3> names_;
    std::shared_ptr<scribe> scribe_ = std::make_shared<scribe>();
    std::optional<provider> watched_;
};

HOLDFAST_CONTRACT_SUITE(composite, {.styles = every_style, .needs = &capabilities::lock, .what = "lock"});

HOLDFAST_CONTRACT(composite, of_nothing_is_refused, covers(62)) {
    EXPECT_TRUE(refused_as_invalid(several({})));
}

HOLDFAST_CONTRACT(composite, of_the_same_name_twice_is_refused, covers(62)) {
    const lock one = locks().make_lock(name(0));
    EXPECT_TRUE(refused_as_invalid(several({one, locks().make_lock(name(0))})));
    EXPECT_TRUE(refused_as_invalid(several({one, locks().make_lock(name(1)), one})));
    EXPECT_TRUE(is_free(alone(0)));
    EXPECT_TRUE(is_free(alone(1)));
}

HOLDFAST_CONTRACT(composite, acquires_in_the_order_of_its_list_and_releases_in_the_other, covers(63, 65)) {
    held taken = take(all());
    const auto& members = taken.composite()->members();
    ASSERT_EQ(members.size(), 3U);
    for (std::size_t which = 0; which < 3; ++which) EXPECT_EQ(members[which].name(), name(which));
    give(taken);
    EXPECT_FALSE(release(taken).code);
    EXPECT_EQ(history(), notes("+++---", {0, 1, 2, 2, 1, 0}));
}

HOLDFAST_CONTRACT(composite, of_one_is_that_one, covers(63, 65)) {
    held taken = take(several({watched(0)}));
    EXPECT_TRUE(is_taken(alone(0)));
    give(taken);
    EXPECT_EQ(history(), notes("+-", {0, 0}));
}

HOLDFAST_CONTRACT(composite, releases_every_member_once_when_it_is_dropped, covers(65)) {
    {
        held first = take(all());
        held second = std::move(first);
        EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is what is asked
        EXPECT_TRUE(second);
    }
    EXPECT_TRUE(eventually([&] { return history().size() == 6; }, limits().patience));
    for (std::size_t which = 0; which < 3; ++which) EXPECT_TRUE(is_free(alone(which)));
    EXPECT_EQ(history().size(), 6U);
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_a_later_member_is_taken, covers(64, 66)) {
    const held in_the_way = take(lock_target(place().make_provider(), name(1)));
    EXPECT_TRUE(try_acquire(all()).nothing());
    EXPECT_EQ(history(), notes("+-", {0, 0}));
    const outcome how = acquire(all(), milliseconds(5));
    EXPECT_TRUE(failed_with(how, errc::timed_out));
    EXPECT_EQ(how.diag.lock_name, name(1));
    EXPECT_EQ(how.diag.state, held_state::released);
    // Before the call ended.
    EXPECT_EQ(history(), notes("+-+-", {0, 0, 0, 0}));
    EXPECT_TRUE(is_free(alone(0)));
    EXPECT_TRUE(is_free(alone(2)));
    EXPECT_EQ(in_the_way.state(), held_state::held);
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_a_later_member_fails, covers(64)) {
    // Whatever the backend: one of the members belongs to another one, which breaks.
    memory_provider broken;
    const lock in_the_middle = broken.make_lock("broken");
    for (const verb what : {verb::acquire, verb::try_acquire}) {
        broken.fail_next(errc::permission);
        const target wanted = several({watched(0), watched(1), in_the_middle, watched(2)});
        const outcome how = calls().run({what, &wanted, nullptr, seconds(10)});
        EXPECT_TRUE(failed_with(how, errc::permission));
        EXPECT_EQ(how.diag.backend, "memory");
        EXPECT_EQ(how.diag.lock_name, "broken");
    }
    EXPECT_EQ(history(), notes("++--++--", {0, 1, 1, 0, 0, 1, 1, 0}));
    for (std::size_t which = 0; which < 3; ++which) EXPECT_TRUE(is_free(alone(which)));
    // And it works once that does.
    EXPECT_TRUE(try_acquire(several({watched(0), in_the_middle, watched(2)})).granted());
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_it_is_cancelled_at_a_later_member, covers(14, 64)) {
    const held in_the_way = take(lock_target(place().make_provider(), name(1)));
    for (const verb what : {verb::acquire, verb::try_acquire}) {
        const std::size_t before = history().size();
        const target wanted = all();
        pending waiter = calls().start({what, &wanted, nullptr, seconds(100)});
        ASSERT_TRUE(eventually([&] { return history().size() > before; }, limits().patience));
        waiter.cancel();
        ASSERT_TRUE(waiter.done_within(limits().patience));
        EXPECT_TRUE(failed_with(waiter.get(), errc::cancelled));
        EXPECT_TRUE(is_free(alone(0)));
    }
    EXPECT_EQ(history(), notes("+-+-", {0, 0, 0, 0}));
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_cancelled_at_any_moment, covers(14, 16, 19)) {
    for (int round = 0; round < limits().race_rounds; ++round) {
        held in_the_way = take(alone(1));
        pending waiter = start_acquire(all());
        // A race that is meant: between the members, too.
        std::thread releaser([&] { in_the_way.drop(); });
        if (round % 2 == 0) std::this_thread::yield();
        waiter.cancel();
        outcome how = waiter.get();
        releaser.join();
        if (how.code) {
            ASSERT_TRUE(failed_with(how, errc::cancelled));
        } else {
            ASSERT_TRUE(how.granted());
            ASSERT_EQ(how.handle.composite()->members().size(), 3U);
            give(how.handle);
        }
        for (std::size_t which = 0; which < 3; ++which) {
            ASSERT_TRUE(is_free(alone(which))) << "after round " << round;
        }
    }
}

HOLDFAST_CONTRACT(composite, that_fails_gives_back_what_the_next_one_waits_for, covers(14, 64)) {
    const held in_the_way = take(alone(1));
    pending waiter = start_acquire(all());
    ASSERT_TRUE(eventually([&] { return history().size() == 1; }, limits().patience));
    pending next = start_waiting(alone(0));
    EXPECT_FALSE(next.done());
    waiter.cancel();
    EXPECT_TRUE(failed_with(waiter.get(), errc::cancelled));
    ASSERT_TRUE(next.done_within(limits().patience));
    EXPECT_TRUE(next.get().granted());
}

HOLDFAST_CONTRACT(composite, gives_later_members_the_time_that_is_left, covers(67)) {
    constexpr milliseconds limit(600);
    boottime::duration took{};
    // The bound lies between the right time and that of a member which was given all of it again; it needs a machine
    // that is not too busy, so there is more than one attempt.
    for (int attempt = 0; attempt < 3; ++attempt) {
        held first = take(lock_target(place().make_provider(), name(0)));
        const held second = take(lock_target(place().make_provider(), name(1)));
        std::thread release_late([&] {
            std::this_thread::sleep_for(limit - milliseconds(100));
            first.drop();
        });
        took = time_of([&] { EXPECT_TRUE(try_acquire(all(), limit).nothing()); });
        release_late.join();
        EXPECT_GE(took, limit);
        if (took < limit + milliseconds(350)) return;
    }
    ADD_FAILURE() << "took " << took / milliseconds(1) << " ms";
}

HOLDFAST_CONTRACT(composite, that_waits_for_ever_gets_all_in_the_end, covers(63)) {
    held first = take(alone(0));
    held second = take(alone(2));
    pending waiter = start_waiting(all());
    give(first);
    ASSERT_TRUE(eventually([&] { return history().size() == 2; }, limits().patience));
    EXPECT_FALSE(waiter.done());
    give(second);
    ASSERT_TRUE(waiter.done_within(limits().patience));
    outcome how = waiter.get();
    ASSERT_TRUE(how.granted()) << how.code.message();
    for (std::size_t which = 0; which < 3; ++which) EXPECT_TRUE(is_taken(alone(which)));
}

HOLDFAST_CONTRACT(composite, in_one_order_never_stands_in_a_circle, covers(6, 63)) {
    std::atomic<int> inside{0};
    std::vector<std::thread> threads;
    for (int count = 0; count < 8; ++count) {
        threads.emplace_back([&] {
            for (int round = 0; round < 5; ++round) {
                outcome how = acquire(all(), seconds(30));
                ASSERT_TRUE(how.granted()) << how.code.message();
                EXPECT_EQ(++inside, 1);
                --inside;
                EXPECT_FALSE(release(how.handle).code);
            }
        });
    }
    for (std::thread& each : threads) each.join();
}

HOLDFAST_CONTRACT(composite, is_lost_when_any_member_is, covers(68)) {
    for (std::size_t which = 0; which < 3; ++which) {
        held taken = take(all());
        const std::stop_token token = taken.lost_token();
        EXPECT_FALSE(token.stop_requested());
        pending watching = start_wait_lost(taken);
        HOLDFAST_NEEDS(place().lose_holds(name(which), watched(which).mapped_name()),
                       "an environment that can destroy holds");
        EXPECT_TRUE(eventually([&] { return token.stop_requested(); }, limits().loss_noticed));
        ASSERT_TRUE(watching.done_within(limits().loss_noticed));
        EXPECT_FALSE(watching.get().code);
        EXPECT_EQ(taken.state(), held_state::lost);
        EXPECT_EQ(release(taken).code, errc::lost);
        for (std::size_t each = 0; each < 3; ++each) EXPECT_TRUE(is_free(alone(each)));
    }
}

/// Several kinds in one list.
class mixed_composite : public contract_test {};

HOLDFAST_CONTRACT_SUITE(mixed_composite, {.styles = every_style,
                                          .needs = &capabilities::reader_writer_lock,
                                          .what = "reader_writer_lock"});

HOLDFAST_CONTRACT(mixed_composite, holds_each_in_its_own_way, covers(63, 69)) {
    HOLDFAST_NEEDS(can().lock, "plain locks");
    const lock plain = locks().make_lock(place().unique_name());
    const reader_writer_lock read = locks().make_reader_writer_lock(place().unique_name());
    const reader_writer_lock written = locks().make_reader_writer_lock(place().unique_name());
    std::vector<lock_request> wanted{plain, for_reading(read), for_writing(written)};
    std::optional<semaphore> tickets;
    if (can().semaphore) {
        tickets = locks().make_semaphore(place().unique_name(), 2);
        wanted.emplace_back(*tickets);
    }
    held taken = take({wanted, access::exclusive});
    EXPECT_EQ(taken.composite()->members().size(), wanted.size());
    EXPECT_TRUE(is_taken({plain}));
    EXPECT_TRUE(is_free({read, access::shared}));
    EXPECT_TRUE(is_taken({read, access::exclusive}));
    EXPECT_TRUE(is_taken({written, access::shared}));
    if (tickets) {
        const held other = take({*tickets, access::ticket});
        EXPECT_TRUE(is_taken({*tickets, access::ticket}));
    }
    give(taken);
    EXPECT_TRUE(is_free({plain}));
    EXPECT_TRUE(is_free({read, access::exclusive}));
    EXPECT_TRUE(is_free({written, access::exclusive}));
}

HOLDFAST_CONTRACT(mixed_composite, of_one_name_to_read_and_to_write_is_refused, covers(62)) {
    const reader_writer_lock one = locks().make_reader_writer_lock(place().unique_name());
    EXPECT_TRUE(failed_with(acquire({std::vector{for_reading(one), for_writing(one)}, access::exclusive}),
                            errc::invalid_argument));
    EXPECT_TRUE(is_free({one, access::exclusive}));
}

/// What is written, rather than what is done: the forms that the calls above do not take.
class composite_lists : public contract_test {};

HOLDFAST_CONTRACT_SUITE(composite_lists, {.needs = &capabilities::lock, .what = "lock"});

HOLDFAST_CONTRACT(composite_lists, are_written_in_braces_or_as_vectors, covers(63)) {
    const lock one = locks().make_lock(place().unique_name());
    const lock two = locks().make_lock(place().unique_name());
    EXPECT_EQ(acquire_all({one, two}, seconds(10)).members().size(), 2U);
    EXPECT_EQ(acquire_all({one}, seconds(10)).members().size(), 1U);
    EXPECT_EQ(acquire_all(std::vector{two, one}).members().size(), 2U);
    EXPECT_TRUE(try_acquire_all({one, two}));
    error_code code = make_error_code(errc::protocol);
    EXPECT_FALSE(try_acquire_all({}, timeout::zero(), {}, code));
    EXPECT_EQ(code, errc::invalid_argument);
    if (!can().reader_writer_lock) return;
    const reader_writer_lock three = locks().make_reader_writer_lock(place().unique_name());
    const reader_writer_lock four = locks().make_reader_writer_lock(place().unique_name());
    {
        const composite_handle readers = acquire_all(for_reading({three, four}), seconds(10));
        EXPECT_EQ(readers.members().size(), 2U);
        EXPECT_TRUE(three.try_acquire_read());
        EXPECT_FALSE(try_acquire_all(for_writing({three, four})));
    }
    EXPECT_TRUE(try_acquire_all(for_writing(std::vector{three, four})));
    EXPECT_TRUE(try_acquire_all({one, for_writing(three), for_reading(four)}));
}

HOLDFAST_CONTRACT(composite_lists, deferred_and_never_started_leave_nothing_held, covers(31, 64)) {
    const lock one = locks().make_lock(place().unique_name());
    const lock two = locks().make_lock(place().unique_name());
    {
        [[maybe_unused]] const auto never = async_acquire_all({one, two}, seconds(5), boost::asio::deferred);
        EXPECT_TRUE(is_free({one}));
    }
    composite_handle taken = acquire_all({one, two}, seconds(10));
    { [[maybe_unused]] const auto never = taken.async_release(boost::asio::deferred); }
    EXPECT_FALSE(taken);
    EXPECT_TRUE(is_free({one}));
    EXPECT_TRUE(is_free({two}));
}

HOLDFAST_CONTRACT(composite_lists, whose_handlers_are_never_run_are_released, covers(31, 64)) {
    const lock one = locks().make_lock(place().unique_name());
    const lock two = locks().make_lock(place().unique_name());
    // Run here, so that it is known when the handler has gone to its own executor.
    boost::asio::io_context library;
    const auto seen = std::make_shared<scribe>();
    const provider mine = place().make_provider({.executor = library.get_executor(), .observer = seen});
    {
        boost::asio::io_context user;
        async_acquire_all({mine.make_lock(one.name()), mine.make_lock(two.name())}, seconds(5),
                          boost::asio::bind_executor(user, [](error_code, const composite_handle&) {
                              ADD_FAILURE() << "its executor has not run";
                          }));
        EXPECT_TRUE(eventually(
            [&] {
                library.restart();
                library.poll();
                return seen->read().size() == 2;
            },
            limits().patience));
        EXPECT_TRUE(is_taken({two}));
    }
    EXPECT_TRUE(eventually([&] { return is_free({one}) && is_free({two}); }, limits().patience));
}

}  // namespace
}  // namespace holdfast::contract
