// Providers and the library's thread that go away while operations are under way.
#include "race.hpp"

#include <holdfast/memory.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::pool;
using race::span;
using race::together;

TEST(lifetime_race, operations_outlive_their_provider) {
    const span test;
    together(4, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            // Without an executor: each round may end the library's thread and start it again.
            pending handlers;
            {
                std::optional<memory_provider> provider(std::in_place);
                std::optional<lock> target = provider->make_lock("name");
                auto held = target->acquire();
                for (int i = 0; i < 4; ++i) {
                    handlers.add();
                    target->async_acquire(timeout(std::chrono::milliseconds(rolled.roll(3))),
                                          [&handlers](error_code code, lock_handle) {
                                              EXPECT_TRUE(!code || code == errc::timed_out) << code;
                                              handlers.done();
                                          });
                }
                handlers.add();
                held.async_wait_lost([&handlers](error_code code) {
                    EXPECT_EQ(code, errc::cancelled);
                    handlers.done();
                });
                target.reset();
                provider.reset();
                if (rolled.roll(2) == 0) {
                    handlers.add();
                    held.async_release([&handlers](error_code code) {
                        EXPECT_FALSE(code) << code;
                        handlers.done();
                    });
                }
            }
            ASSERT_TRUE(handlers.wait()) << handlers.left() << " handlers were never called";
        }
    });
}

TEST(lifetime_race, the_librarys_thread_ends_only_after_the_last_handler) {
    // One thread, so that nobody else keeps the library's thread: the end of the operation is the end of its provider.
    const span test;
    for (int round = 0; test.lasts(); ++round) {
        pending handlers;
        handlers.add(2);
        {
            std::optional<memory_provider> provider(std::in_place);
            auto held = provider->make_lock("name").acquire();
            provider->make_lock("name").async_acquire(timeout(std::chrono::milliseconds(round % 3)),
                                                      [&handlers](error_code code, lock_handle) {
                                                          EXPECT_TRUE(!code || code == errc::timed_out) << code;
                                                          handlers.done();
                                                      });
            provider.reset();
            if (round % 2 == 0) {
                held.async_release([&handlers](error_code code) {
                    EXPECT_FALSE(code) << code;
                    handlers.done();
                });
            } else {
                held.async_wait_lost([&handlers](error_code code) {
                    EXPECT_EQ(code, errc::cancelled);
                    handlers.done();
                });
            }
        }
        ASSERT_TRUE(handlers.wait()) << handlers.left() << " handlers were never called, in round " << round;
    }
}

TEST(lifetime_race, operations_on_a_users_executor_outlive_their_provider) {
    pool threads(3);
    pending handlers;
    const span test;
    together(3, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            if (handlers.left() > 64) {
                std::this_thread::yield();
                continue;
            }
            memory_provider provider({.executor = threads.executor()});
            const auto held = provider.make_lock("name").acquire();
            for (int i = 0; i < 3; ++i) {
                handlers.add();
                provider.make_lock("name").async_acquire(timeout(std::chrono::milliseconds(rolled.roll(3))),
                                                         [&handlers](error_code, lock_handle) { handlers.done(); });
            }
        }
    });
    EXPECT_TRUE(handlers.wait());
}

TEST(lifetime_race, handles_outlive_their_provider) {
    const span test;
    together(4, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            lock_handle held = memory_provider().make_lock("name").acquire();
            if (rolled.roll(2) == 0) (void)held.lost_token();
            EXPECT_EQ(held.state(), held_state::held);
            if (rolled.roll(2) == 0) held.release();
        }
    });
}

TEST(lifetime_race, waiting_threads_outlive_the_last_other_owner) {
    const span test;
    while (test.lasts()) {
        std::optional<memory_provider> provider(std::in_place);
        lock_handle held = provider->make_lock("name").acquire();
        std::atomic<int> cancelled{0};
        std::stop_source stop;
        pending begun;
        begun.add(3);
        std::vector<std::jthread> waiting;
        waiting.reserve(3);
        for (int i = 0; i < 3; ++i) {
            waiting.emplace_back([&, target = provider->make_lock("name")]() mutable {
                lock mine = std::move(target);
                begun.done();
                error_code code;
                const lock_handle taken = mine.acquire(timeout::infinite(), stop.get_token(), code);
                if (code == errc::cancelled) cancelled.fetch_add(1);
            });
        }
        ASSERT_TRUE(begun.wait());
        provider.reset();
        std::jthread canceller([&] { stop.request_stop(); });
        held.release();
        canceller.join();
        waiting.clear();
        EXPECT_LE(cancelled.load(), 3);
    }
}

}  // namespace
}  // namespace holdfast
