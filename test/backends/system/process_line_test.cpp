// The line that the kernel keeps between processes: who is next, who is woken, and who leaves it.
#include "children.hpp"
#include "published.hpp"

#include <support/attempt.hpp>
#include <support/second_process.hpp>

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

/// Takes @p what in one of the ways of standing: for ever, in time, with a stop token, asynchronously.
lock_handle stand(const kind& what, const provider& at, int way) {
    error_code code;
    const std::stop_source never;
    switch (way % 4) {
        case 0: return what.acquire(at, timeout::infinite(), code);
        case 1: return what.acquire(at, 1h, code);
        case 2: return what.acquire_until_stopped(at, never.get_token());
        default: break;
    }
    std::promise<lock_handle> done;
    what.acquire_async(at, [&](error_code, lock_handle got) { done.set_value(std::move(got)); });
    return done.get_future().get();
}

class Line : public testing::TestWithParam<kind> {
protected:
    const published_sets place_;
};

TEST_P(Line, IsFirstComeFirstServedBetweenProcesses) {
    constexpr int waiters = 12;
    struct log {
        std::atomic<int> count{0};
        std::atomic<int> order[waiters];
    };
    const shared<log> seen;
    const provider locks = place_.open();
    error_code code;
    auto held = GetParam().acquire(locks, timeout::zero(), code);
    ASSERT_TRUE(held);
    std::vector<std::unique_ptr<child>> line;
    for (int who = 0; who < waiters; ++who) {
        line.push_back(std::make_unique<child>([&, who] {
            const provider there = place_.open();
            const auto got = stand(GetParam(), there, who);
            seen->order[seen->count++] = who;
        }));
        ASSERT_TRUE(eventually([&] { return place_.waiters(GetParam().mapped) == who + 1; })) << who;
    }
    held.release();
    for (const auto& each : line) EXPECT_EQ(each->wait(), 0);
    ASSERT_EQ(seen->count, waiters);
    for (int who = 0; who < waiters; ++who) EXPECT_EQ(seen->order[who], who);
}

long sleeps_so_far() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

/// If each release woke all, the last would have slept 64 times, and all together 2,080 times.
TEST_P(Line, OfManyProcessesHasOneWokenByEachRelease) {
    constexpr int waiters = 64;
    struct counts {
        std::atomic<int> served{0};
        std::atomic<long> sleeps{0};
    };
    const shared<counts> seen;
    const provider locks = place_.open();
    error_code code;
    auto held = GetParam().acquire(locks, timeout::zero(), code);
    ASSERT_TRUE(held);
    std::vector<std::unique_ptr<child>> line;
    for (int who = 0; who < waiters; ++who) {
        line.push_back(std::make_unique<child>([&, who] {
            const provider there = place_.open();
            const long before = sleeps_so_far();
            auto got = stand(GetParam(), there, who);
            seen->sleeps += sleeps_so_far() - before;
            ++seen->served;
            got.release();
        }));
    }
    ASSERT_TRUE(eventually([&] { return place_.waiters(GetParam().mapped) == waiters; }, 60s));
    held.release();
    for (const auto& each : line) EXPECT_EQ(each->wait(), 0);
    EXPECT_EQ(seen->served, waiters);
    std::printf("    %s: %ld sleeps of %d waiters\n", GetParam().name, seen->sleeps.load(), waiters);
    // Each has slept once. Asynchronous calls are threads that wait for each other, too.
    EXPECT_GE(seen->sleeps, waiters);
    EXPECT_LE(seen->sleeps, 6 * waiters);
}

INSTANTIATE_TEST_SUITE_P(system, Line, testing::ValuesIn(kinds),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(ReadersAndWriters, AreServedInTheirOrderBetweenProcesses) {
    const published_sets place;
    // Read, write, read, read, write.
    constexpr bool writes[] = {false, true, false, false, true};
    constexpr int many = sizeof writes;
    struct log {
        std::atomic<int> count{0};
        std::atomic<int> order[many];
        std::atomic<int> readers{0};
        std::atomic<int> together{0};
    };
    const shared<log> seen;
    const provider locks = place.open();
    auto held = locks.make_reader_writer_lock("x").acquire_write();
    std::vector<std::unique_ptr<child>> line;
    for (int who = 0; who < many; ++who) {
        line.push_back(std::make_unique<child>([&, who] {
            const provider there = place.open();
            const reader_writer_lock table = there.make_reader_writer_lock("x");
            const auto got = writes[who] ? table.acquire_write() : table.acquire_read();
            seen->order[seen->count++] = who;
            if (writes[who]) return;
            // The two readers beside each other wait for each other inside.
            const int inside = ++seen->readers;
            if (who == 2 || who == 3) {
                while (seen->readers < 3) std::this_thread::yield();
                seen->together += inside > 0 ? 1 : 0;
            }
        }));
        ASSERT_TRUE(eventually([&] { return place.waiters("readers:x") == who + 1; })) << who;
    }
    held.release();
    for (const auto& each : line) EXPECT_EQ(each->wait(), 0);
    ASSERT_EQ(seen->count, many);
    EXPECT_EQ(seen->together, 2);
    // Which of the two readers writes it down first is chance.
    EXPECT_EQ(seen->order[0], 0);
    EXPECT_EQ(seen->order[1], 1);
    EXPECT_EQ(seen->order[2] + seen->order[3], 2 + 3);
    EXPECT_EQ(seen->order[4], 4);
}

/// A writer that waits for readers to go, with readers behind it that would go in but for it.
class WriterAtTheGate : public testing::TestWithParam<fakes::style> {
protected:
    WriterAtTheGate() { reader_ = locks_.make_reader_writer_lock("x").acquire_read(); }

    struct end {
        error_code code;
        std::chrono::milliseconds took;
    };

    /// @param cancels the writer is cancelled, once a reader stands behind it; else its time is over by itself
    void let_it_end(timeout limit, bool cancels) {
        fakes::handler_thread handlers;
        const provider writers = place_.open();
        fakes::pending_acquire writer(handlers, GetParam(), write_lock{writers.make_reader_writer_lock("x")}, limit);
        ASSERT_TRUE(eventually([&] { return place_.waiters("readers:x") == 1; }));
        signal_pipe has_read;
        child behind([&] {
            const provider there = place_.open();
            const auto read = there.make_reader_writer_lock("x").acquire_read();
            has_read.notify();
            stay();
        });
        ASSERT_TRUE(eventually([&] { return place_.waiters("readers:x") == 2; }));
        EXPECT_FALSE(place_.open().make_reader_writer_lock("x").try_acquire_read());
        if (cancels) writer.cancel();
        const fakes::attempt ended = writer.get();
        const auto over = boottime::now();
        EXPECT_EQ(ended.code, cancels ? errc::cancelled : errc::timed_out);
        EXPECT_FALSE(ended.handle);
        // Those who come and the one who waits: nobody has let go meanwhile.
        EXPECT_TRUE(place_.open().make_reader_writer_lock("x").try_acquire_read());
        has_read.await();
        EXPECT_LT(boottime::now() - over, 3s);
        EXPECT_EQ(reader_.state(), held_state::held);
        EXPECT_FALSE(place_.open().make_reader_writer_lock("x").try_acquire_write());
    }

private:
    struct write_lock {
        reader_writer_lock table;
        lock_handle acquire(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) const {
            return table.acquire_write(limit, std::move(stop), code, diag);
        }
        template <class Token>
        auto async_acquire(timeout limit, diagnostics& diag, Token&& token) const {
            return table.async_acquire_write(limit, diag, std::forward<Token>(token));
        }
    };

    const published_sets place_;
    const provider locks_ = place_.open();
    lock_handle reader_;
};

TEST_P(WriterAtTheGate, LetsReadersInWhenItIsCancelled) {
    let_it_end(timeout::infinite(), true);
}

TEST_P(WriterAtTheGate, LetsReadersInWhenItsTimeIsOver) {
    // Long enough for a reader to queue up behind it on a machine that is busy.
    let_it_end(2s, false);
}

INSTANTIATE_TEST_SUITE_P(styles, WriterAtTheGate, testing::Values(fakes::style::sync, fakes::style::async),
                         [](const auto& param) { return std::string(fakes::name_of(param.param)); });

/// Calls that need nothing but the kernel: without an observer and without a stop token, of names that are known.
class ShortWay : public testing::TestWithParam<kind> {
protected:
    std::string set() const {
        return std::string(GetParam().mapped).starts_with("readers") ? "readers-0" : "tickets-0";
    }
    /// Keeps the name known, and with it its place in the set.
    struct objects {
        explicit objects(const provider& at)
            : one(at.make_lock("x")), tickets(at.make_semaphore("x", 1)), table(at.make_reader_writer_lock("x")) {}
        lock one;
        semaphore tickets;
        reader_writer_lock table;
    };
    lock_handle acquire(const provider& at, timeout limit) const {
        error_code code;
        lock_handle got = GetParam().acquire(at, limit, code);
        EXPECT_EQ(static_cast<bool>(got), !code);
        return got;
    }
    static void expect_lost(lock_handle& held) {
        EXPECT_EQ(held.state(), held_state::lost);
        error_code code;
        held.release(code);
        EXPECT_EQ(code, errc::lost);
    }

    const published_sets place_;
};

TEST_P(ShortWay, FindsAnotherSetWhereItsOwnWasRemoved) {
    for (const timeout limit : {timeout::zero(), timeout(30s), timeout::infinite()}) {
        const provider locks = place_.open();
        const provider others = place_.open();
        const objects known(others);
        acquire(others, timeout::zero()).release();
        auto held = acquire(locks, timeout::zero());
        ASSERT_TRUE(held);
        place_.remove(set());
        auto next = acquire(others, limit);
        ASSERT_TRUE(next);
        EXPECT_FALSE(acquire(locks, timeout::zero()));
        expect_lost(held);
        // That was not the new one's loss.
        EXPECT_EQ(next.state(), held_state::held);
        EXPECT_FALSE(acquire(locks, timeout::zero()));
        next.release();
        EXPECT_TRUE(acquire(locks, timeout::zero()));
    }
}

TEST_P(ShortWay, StandingInASetThatIsRemovedGoesOverToAnother) {
    for (const timeout limit : {timeout(1h), timeout::infinite()}) {
        const provider locks = place_.open();
        const provider others = place_.open();
        const objects known(others);
        acquire(others, timeout::zero()).release();
        auto held = acquire(locks, timeout::zero());
        ASSERT_TRUE(held);
        std::promise<lock_handle> got;
        std::jthread waits([&] { got.set_value(acquire(others, limit)); });
        ASSERT_TRUE(eventually([&] { return place_.waiters(GetParam().mapped) == 1; }));
        place_.remove(set());
        auto next = got.get_future().get();
        ASSERT_TRUE(next);
        expect_lost(held);
        EXPECT_EQ(next.state(), held_state::held);
        EXPECT_FALSE(acquire(locks, timeout::zero()));
        next.release();
        EXPECT_TRUE(acquire(locks, timeout::zero()));
    }
}

INSTANTIATE_TEST_SUITE_P(system, ShortWay, testing::ValuesIn(kinds),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(CountOfTickets, IsThatOfTheNextSetWhereOneWasRemoved) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    const semaphore tickets = locks.make_semaphore("x", 3);
    const semaphore same = others.make_semaphore("x", 3);
    auto held = tickets.acquire();
    EXPECT_EQ(tickets.current_count(), 2);
    EXPECT_EQ(same.current_count(), 2);
    place.remove();
    // What was held is lost, and with it the count.
    EXPECT_EQ(same.current_count(), 3);
    EXPECT_EQ(tickets.current_count(), 3);
    EXPECT_EQ(held.state(), held_state::lost);
    auto next = same.acquire();
    EXPECT_EQ(tickets.current_count(), 2);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(tickets.current_count(), 2);
    next.release();
    EXPECT_EQ(tickets.current_count(), 3);
    EXPECT_EQ(same.current_count(), 3);
}

}  // namespace
}  // namespace holdfast::test
