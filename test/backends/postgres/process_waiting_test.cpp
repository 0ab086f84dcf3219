// Many locks and waiters over few connections, on a real server.
#include "postgres_fixture.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <future>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class postgres_waiting : public postgres_test {};

/// Counts completions, and lets a thread wait for all of them.
class countdown {
public:
    explicit countdown(int count) : left_(count) {}
    void done() {
        if (--left_ == 0) all_.set_value();
    }
    bool wait(std::chrono::seconds within) { return all_.get_future().wait_for(within) == std::future_status::ready; }
    int left() const { return left_; }

private:
    std::atomic<int> left_;
    std::promise<void> all_;
};

std::vector<lock> named(const provider& locks, const std::string& start, int count) {
    std::vector<lock> made;
    made.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) made.push_back(locks.make_lock(start + " of many " + std::to_string(i)));
    return made;
}

/// Acquires all of them at once, asynchronously.
std::vector<lock_handle> take_all(const std::vector<lock>& locks) {
    std::vector<lock_handle> handles(locks.size());
    countdown left(static_cast<int>(locks.size()));
    std::atomic<int> failed{0};
    for (std::size_t i = 0; i < locks.size(); ++i) {
        locks[i].async_acquire(60s, [&, i](error_code code, lock_handle held) {
            if (code) ++failed;
            handles[i] = std::move(held);
            left.done();
        });
    }
    EXPECT_TRUE(left.wait(60s)) << left.left() << " are missing";
    EXPECT_EQ(failed, 0);
    return handles;
}

void give_all(std::vector<lock_handle>& handles) {
    countdown left(static_cast<int>(handles.size()));
    std::atomic<int> failed{0};
    for (lock_handle& each : handles) {
        each.async_release([&](error_code code) {
            if (code) ++failed;
            left.done();
        });
    }
    EXPECT_TRUE(left.wait(60s)) << left.left() << " are missing";
    EXPECT_EQ(failed, 0);
}

// Behaviour 72.
TEST_F(postgres_waiting, a_thousand_random_steps_on_twenty_names_use_one_connection) {
    const auto from = make();
    std::minstd_rand random(72);
    std::vector<lock_handle> held(20);
    for (int step = 0; step < 1000; ++step) {
        const auto which = static_cast<std::size_t>(random() % held.size());
        if (held[which].state() == held_state::held) {
            held[which].release();
        } else {
            held[which] = from.locks.make_lock("step " + std::to_string(which)).acquire(10s);
        }
        ASSERT_EQ(from.count().connections, 1) << "step " << step;
    }
    EXPECT_EQ(connections(), 1);
}

// What .NET's library needs a connection each for.
TEST_F(postgres_waiting, a_thousand_locks_taken_in_parallel_share_a_connection) {
    const auto from = make();
    auto held = take_all(named(from.locks, "parallel", 1000));
    EXPECT_EQ(in_server(" AND granted"), 1000);
    EXPECT_EQ(connections(), 1);
    for (const lock_handle& each : held) ASSERT_EQ(each.state(), held_state::held);
    give_all(held);
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_waiting, threads_that_take_locks_in_parallel_share_a_connection) {
    const auto from = make();
    std::vector<std::jthread> threads;
    std::atomic<int> failed{0};
    for (int number = 0; number < 16; ++number) {
        threads.emplace_back([&, number] {
            for (int round = 0; round < 50; ++round) {
                error_code code;
                auto held = from.locks.make_lock("thread " + std::to_string(number)).acquire(60s, {}, code);
                if (code) ++failed;
                held.release(code);
                if (code) ++failed;
            }
        });
    }
    threads.clear();
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(connections(), 1);
}

// Behaviour 70.
TEST_F(postgres_waiting, a_connection_each_is_used_where_that_is_asked_for_and_none_leaks) {
    postgres::options opts;
    opts.multiplexing = false;
    const auto from = make(opts);
    for (int round = 0; round < 30; ++round) {
        const auto held = from.locks.make_lock("first of its own").acquire(10s);
        EXPECT_EQ(connections(), 1);
    }
    const auto first = from.locks.make_lock("first of its own").acquire(10s);
    const auto second = from.locks.make_lock("second of its own").acquire(10s);
    EXPECT_EQ(connections(), 2);
}

TEST_F(postgres_waiting, those_who_find_no_place_in_the_server_wait_without_a_connection) {
    constexpr int count = 2000;
    constexpr int places = 8;
    const auto holder = make();
    postgres::options opts;
    opts.max_waiting_connections = places;
    const auto from = make(opts);
    auto held = take_all(named(holder.locks, "room", count));

    std::vector<lock_handle> handles(count);
    countdown left(count);
    std::atomic<int> failed{0};
    const auto wanted = named(from.locks, "room", count);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        wanted[i].async_acquire(timeout::infinite(), [&, i](error_code code, lock_handle got) {
            if (code) ++failed;
            handles[i] = std::move(got);
            left.done();
        });
    }
    EXPECT_TRUE(test::eventually([&] {
        const auto now = from.count();
        return now.standing == places && now.in_room == count - places;
    }));
    EXPECT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == places; }));
    EXPECT_LE(from.count().connections, places + 2);
    give_all(held);
    ASSERT_TRUE(left.wait(60s)) << left.left() << " still wait";
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(in_server(" AND granted"), count);
    give_all(handles);
}

/// Runs @p body for each way of having very few connections; a hang is what it would fail by.
class postgres_few_connections : public postgres_test, public testing::WithParamInterface<int> {
protected:
    counted_provider few() const {
        postgres::options opts;
        opts.max_connections = GetParam();
        opts.retry_every = 20ms;
        return make(opts);
    }

private:
    const test::watchdog dog_{"a program with few connections", 60s};
};

INSTANTIATE_TEST_SUITE_P(, postgres_few_connections, testing::Values(1, 2, 3),
                         [](const auto& each) { return std::to_string(each.param); });

TEST_P(postgres_few_connections, a_holder_can_wait_for_another_lock) {
    const auto from = few();
    const auto elsewhere = make();
    const auto a = from.locks.make_lock("few a").acquire();
    auto b = elsewhere.locks.make_lock("few b").acquire();
    auto waiting = std::async(std::launch::async, [&] { return from.locks.make_lock("few b").acquire(); });
    EXPECT_FALSE(from.locks.make_lock("few b").try_acquire(50ms));
    // Others go on meanwhile.
    EXPECT_TRUE(from.locks.make_lock("few c").try_acquire());
    b.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
    EXPECT_LE(from.count().connections, GetParam());
}

TEST_P(postgres_few_connections, readers_of_one_name_can_be_more_than_connections) {
    const auto from = few();
    const auto elsewhere = make();
    const auto table = from.locks.make_reader_writer_lock("few readers");
    std::vector<lock_handle> readers;
    for (int count = 0; count < 6; ++count) readers.push_back(table.acquire_read(10s));
    EXPECT_FALSE(elsewhere.locks.make_reader_writer_lock("few readers").try_acquire_write());
    EXPECT_LE(from.count().connections, GetParam());
    while (readers.size() > 1) {
        readers.pop_back();
        EXPECT_FALSE(elsewhere.locks.make_reader_writer_lock("few readers").try_acquire_write());
        EXPECT_FALSE(table.try_acquire_write());
    }
    readers.clear();
    EXPECT_TRUE(elsewhere.locks.make_reader_writer_lock("few readers").try_acquire_write());
    EXPECT_TRUE(table.try_acquire_write());
}

TEST_P(postgres_few_connections, readers_behind_a_waiting_writer_stay_behind_it) {
    const auto from = few();
    const auto elsewhere = make();
    const auto table = from.locks.make_reader_writer_lock("few line");
    std::vector<lock_handle> readers;
    for (int count = 0; count < 3; ++count) readers.push_back(table.acquire_read(10s));
    auto writer = std::async(std::launch::async,
                             [&] { return elsewhere.locks.make_reader_writer_lock("few line").acquire_write(); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    EXPECT_FALSE(table.try_acquire_read());
    readers.clear();
    EXPECT_EQ(writer.get().state(), held_state::held);
}

TEST_P(postgres_few_connections, threads_hand_one_lock_to_each_other) {
    const auto from = few();
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::vector<std::jthread> threads;
    for (int number = 0; number < 8; ++number) {
        threads.emplace_back([&] {
            for (int round = 0; round < 20; ++round) {
                const auto held = from.locks.make_lock("few hands").acquire(60s);
                if (++inside != 1) ++overlaps;
                --inside;
            }
        });
    }
    threads.clear();
    EXPECT_EQ(overlaps, 0);
}

TEST_P(postgres_few_connections, many_threads_on_several_names_all_come_to_an_end) {
    const auto one = few();
    const auto two = few();
    std::vector<std::atomic<int>> inside(6);
    std::atomic<int> overlaps{0};
    std::vector<std::jthread> threads;
    for (int number = 0; number < 24; ++number) {
        threads.emplace_back([&, number] {
            const counted_provider& from = number % 2 == 0 ? one : two;
            for (int round = 0; round < 20; ++round) {
                const auto name = static_cast<std::size_t>(number + round) % inside.size();
                const auto held = from.locks.make_lock("several " + std::to_string(name)).acquire();
                if (++inside[name] != 1) ++overlaps;
                --inside[name];
            }
        });
    }
    threads.clear();
    EXPECT_EQ(overlaps, 0);
}

TEST_P(postgres_few_connections, waiters_for_many_names_all_come_to_an_end) {
    const auto from = few();
    const auto elsewhere = make();
    auto held = take_all(named(elsewhere.locks, "few names", 50));
    std::vector<std::future<lock_handle>> waiting;
    for (const lock& each : named(from.locks, "few names", 50)) {
        waiting.push_back(std::async(std::launch::async, [each] { return each.acquire(); }));
    }
    for (const lock& each : named(from.locks, "few names", 50)) EXPECT_FALSE(each.try_acquire(1ms));
    give_all(held);
    for (auto& each : waiting) EXPECT_EQ(each.get().state(), held_state::held);
}

/// Blocking calls where nobody runs the executor: before it is run, say, or by the only thread that does.
class postgres_idle_executor : public postgres_test {
protected:
    counted_provider make_idle(int max_connections = 50) {
        postgres::options opts;
        opts.max_connections = max_connections;
        opts.retry_every = 20ms;
        return {server(), opts, {.executor = io_.get_executor()}};
    }

private:
    boost::asio::io_context io_;
    const test::watchdog dog_{"a blocking call beside an executor that does not run", 60s};
};

TEST_F(postgres_idle_executor, keeps_nobody_waiting_who_waits_without_a_connection) {
    const auto from = make_idle(1);
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("idle").acquire();
    auto waiting = std::async(std::launch::async, [&] { return from.locks.make_lock("idle").acquire(); });
    ASSERT_TRUE(test::eventually([&] { return from.count().in_room == 1; }));
    held.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
}

TEST_F(postgres_idle_executor, does_not_keep_waits_from_being_cancelled_and_their_sessions_from_further_use) {
    const auto from = make_idle();
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("idle").acquire();
    for (int round = 0; round < 3; ++round) {
        std::stop_source stop;
        auto waiting = std::async(std::launch::async, [&] {
            error_code code;
            auto got = from.locks.make_lock("idle").acquire(timeout::infinite(), stop.get_token(), code);
            return code;
        });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        const auto since = std::chrono::steady_clock::now();
        stop.request_stop();
        EXPECT_EQ(waiting.get(), errc::cancelled);
        EXPECT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 0; }));
        EXPECT_LT(std::chrono::steady_clock::now() - since, 4s);
    }
    EXPECT_LE(from.count().connections, 3);
    EXPECT_TRUE(from.locks.make_lock("another").try_acquire());
}

TEST_F(postgres_waiting, a_wait_can_be_made_to_queue_again_so_that_vacuum_is_not_held_back) {
    postgres::options opts;
    opts.max_server_wait = 30ms;
    const auto from = make(opts);
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("requeued").acquire();
    auto waiting = std::async(std::launch::async, [&] { return from.locks.make_lock("requeued").acquire(); });
    const std::string began =
        "SELECT coalesce(max(query_start)::text, '') FROM pg_stat_activity WHERE wait_event = 'advisory'";
    std::string first;
    ASSERT_TRUE(test::eventually([&] { return !(first = server().query(began)).empty(); }));
    EXPECT_TRUE(test::eventually([&] {
        const std::string now = server().query(began);
        return !now.empty() && now != first;
    }));
    held.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
}

// Behaviour 75, where the server cannot see the circle: two connections, one lock each.
TEST_F(postgres_waiting, a_circle_of_waits_ends_by_its_timeouts) {
    const auto one = make();
    const auto two = make();
    const auto a = one.locks.make_lock("circle a").acquire();
    const auto b = two.locks.make_lock("circle b").acquire();
    auto waiting = std::async(std::launch::async, [&] { return one.locks.make_lock("circle b").try_acquire(300ms); });
    EXPECT_FALSE(two.locks.make_lock("circle a").try_acquire(300ms));
    EXPECT_FALSE(waiting.get());
}

TEST_F(postgres_waiting, nothing_of_this_leaves_a_warning_in_the_server_s_log) {
    EXPECT_EQ(server().log().find("WARNING"), std::string::npos) << server().log();
}

}  // namespace
}  // namespace holdfast
