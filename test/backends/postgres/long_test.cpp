// What takes long: ten thousand of each race, and of waiters.
#include "races.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include <signal.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class postgres_long : public postgres_test {
protected:
    static constexpr int rounds = 10000;
};

TEST_F(postgres_long, ten_thousand_timeouts_against_the_grant_leave_no_lock) {
    const auto holders = make();
    const auto waiters = make();
    check(race_timeouts(holders, waiters, rounds), rounds);
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_long, ten_thousand_cancels_against_the_grant_leave_no_lock) {
    const auto holders = make();
    const auto waiters = make();
    check(race_cancels(holders, waiters, rounds), rounds);
    EXPECT_EQ(in_server(""), 0);
}

class postgres_crowd : public postgres_test {
protected:
    const test::postgres_server& server() const override { return server_; }

    /// The server's default number of connections; more than enough room for locks.
    test::postgres_server server_{{"max_connections=100", "max_locks_per_transaction=256"}};
};

TEST_F(postgres_crowd, ten_thousand_wait_for_ten_thousand_names) {
    constexpr int count = 10000;
    const auto holder = make();
    const auto from = make();
    const auto ask = [](const counted_provider& of, std::vector<lock_handle>& handles, std::atomic<int>& left,
                        std::atomic<int>& failed) {
        for (std::size_t i = 0; i < handles.size(); ++i) {
            of.locks.make_lock("crowd " + std::to_string(i))
                .async_acquire(timeout::infinite(), [&, i](error_code code, lock_handle got) {
                    if (code) ++failed;
                    handles[i] = std::move(got);
                    --left;
                });
        }
    };
    std::atomic<int> failed{0};
    std::vector<lock_handle> held(count);
    std::atomic<int> left{count};
    ask(holder, held, left, failed);
    ASSERT_TRUE(test::eventually([&] { return left == 0; }, 60s));
    EXPECT_LE(holder.count().connections, 10);

    std::vector<lock_handle> handles(count);
    std::atomic<int> waiting{count};
    ask(from, handles, waiting, failed);
    ASSERT_TRUE(test::eventually(
        [&] {
            const auto now = from.count();
            return now.standing == 32 && now.in_room == count - 32;
        },
        60s));
    EXPECT_LE(from.count().connections, 34);
    for (lock_handle& each : held) each.async_release([](error_code) {});
    EXPECT_TRUE(test::eventually([&] { return waiting == 0; }, 100s)) << waiting << " still wait";
    EXPECT_EQ(failed, 0);
}

// Nothing is lost by waiting: neither what is held, nor who waits, nor what is asked meanwhile.
TEST_F(postgres_crowd, a_server_that_is_stopped_for_five_seconds_delays_everybody_and_harms_nobody) {
    const auto holder = make();
    const auto from = make();
    auto held = holder.locks.make_lock("stopped").acquire();
    auto waiting = std::async(std::launch::async, [&] { return from.locks.make_lock("stopped").acquire(60s); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    server_.signal_all(SIGSTOP);
    auto asked = std::async(std::launch::async, [&] { return holder.locks.make_lock("meanwhile").acquire(60s); });
    std::this_thread::sleep_for(5s);
    EXPECT_EQ(held.state(), held_state::held);
    server_.signal_all(SIGCONT);
    EXPECT_EQ(asked.get().state(), held_state::held);
    held.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
}

// What was asked before comes to its end later, when nobody is there to take it.
TEST_F(postgres_crowd, what_a_stopped_server_grants_to_those_who_have_left_is_given_back) {
    const auto from = make();
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("stopped wait").acquire();
    // Nobody stands on a connection that holds, so it carries the tries.
    const auto anchor = from.locks.make_lock("stopped anchor").acquire();
    std::stop_source stop;
    const auto wait_for = [&](const char* name, timeout limit, diagnostics& diag) {
        return std::async(std::launch::async, [&, name, limit] {
            error_code code;
            auto got = from.locks.make_lock(name).acquire(limit, stop.get_token(), code, &diag);
            return code;
        });
    };
    auto timed = elsewhere.locks.make_lock("stopped and timed").acquire();
    diagnostics about_cancelled;
    diagnostics about_timed;
    auto cancelled = wait_for("stopped wait", timeout::infinite(), about_cancelled);
    auto timed_out = wait_for("stopped and timed", 1s, about_timed);
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 2; }, 900ms));
    // Together, on a connection that carries tries.
    std::vector<std::promise<error_code>> tries(20);
    std::vector<diagnostics> details(tries.size());
    server_.signal_all(SIGSTOP);
    for (std::size_t i = 0; i < tries.size(); ++i) {
        from.locks.make_lock("stopped " + std::to_string(i))
            .async_acquire(10ms, details[i], [&, i](error_code code, lock_handle) { tries[i].set_value(code); });
    }
    // Nobody says that he would have it, nor that he has not.
    EXPECT_EQ(timed_out.get(), errc::in_doubt);
    EXPECT_EQ(about_timed.state, held_state::unknown);
    stop.request_stop();
    EXPECT_EQ(cancelled.get(), errc::cancelled);
    EXPECT_EQ(about_cancelled.state, held_state::unknown);
    EXPECT_EQ(tries.front().get_future().get(), errc::in_doubt);
    EXPECT_EQ(details.front().state, held_state::unknown);
    for (std::size_t i = 1; i < tries.size(); ++i) {
        // Not even sent: nothing of it can be held.
        EXPECT_EQ(tries[i].get_future().get(), errc::unavailable) << i;
        EXPECT_NE(details[i].state, held_state::unknown) << i;
    }
    // So that the wait is granted before its cancel is looked at, or after: either way nothing stays.
    held = lock_handle();
    timed = lock_handle();
    server_.signal_all(SIGCONT);
    EXPECT_TRUE(test::eventually([&] { return in_server("") == 1; }));
    for (std::size_t i = 0; i < tries.size(); ++i) {
        EXPECT_TRUE(elsewhere.locks.make_lock("stopped " + std::to_string(i)).try_acquire(10s));
    }
    EXPECT_TRUE(from.locks.make_lock("stopped wait").try_acquire(10s));
}

/// Users of .NET's library report that releases fail under such a load.
TEST_F(postgres_crowd, many_tasks_on_many_names_see_no_error) {
    constexpr int names = 200;
    constexpr int tasks = 10;
    const auto from = make();
    std::vector<std::atomic<int>> inside(names);
    std::atomic<int> overlaps{0};
    std::atomic<int> failed{0};
    std::atomic<int> done{0};
    boost::asio::io_context work;
    const auto busy = boost::asio::make_work_guard(work);
    const std::jthread worker([&work] { work.run(); });
    for (int round = 0; round < 30; ++round) {
        done = 0;
        for (int task = 0; task < names * tasks; ++task) {
            const auto name = static_cast<std::size_t>(task % names);
            from.locks.make_lock("busy " + std::to_string(name))
                .async_acquire(60s, [&, name, task](error_code code, lock_handle got) {
                    if (code) ++failed;
                    if (++inside[name] != 1) ++overlaps;
                    // Some work.
                    const auto timer =
                        std::make_shared<boost::asio::steady_timer>(work, std::chrono::milliseconds(1 + task % 10));
                    const auto held = std::make_shared<lock_handle>(std::move(got));
                    timer->async_wait([&, name, timer, held](error_code) {
                        --inside[name];
                        held->async_release([&, held](error_code released) {
                            if (released) ++failed;
                            ++done;
                        });
                    });
                });
        }
        ASSERT_TRUE(test::eventually([&] { return done == names * tasks; }, 60s));
    }
    work.stop();
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(overlaps, 0);
    EXPECT_LE(from.count().connections, 50);
    EXPECT_EQ(server().log().find("WARNING"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
