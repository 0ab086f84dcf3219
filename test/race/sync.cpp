// One lock object, many threads that wait for it.
#include "race.hpp"

#include <holdfast/memory.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::span;
using race::together;

constexpr int thread_count = 8;

/// Acquires in a way that @p rolled chooses. Empty when the wait was too short.
std::optional<lock_handle> acquire_somehow(const lock& target, dice& rolled) {
    switch (rolled.roll(4)) {
        case 0: return target.try_acquire();
        case 1: return target.try_acquire(1ms);
        case 2: return target.acquire();
        default: {
            // A token that could be stopped takes another way of waiting.
            const std::stop_source never_stopped;
            return target.acquire(timeout::infinite(), never_stopped.get_token());
        }
    }
}

TEST(sync_race, many_threads_on_one_lock_object_exclude_each_other) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    // Not atomic: what one holder has written the next one sees.
    int counted = 0;
    std::atomic<int> expected{0};
    const span test;
    together(thread_count, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            auto held = acquire_somehow(target, rolled);
            if (!held) continue;
            ++counted;
            expected.fetch_add(1, std::memory_order_relaxed);
            if (rolled.roll(2) == 0) held->release();
        }
    });
    EXPECT_EQ(counted, expected.load());
    EXPECT_TRUE(target.try_acquire());
}

TEST(sync_race, waits_are_cancelled_while_locks_are_handed_over) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    std::array<std::mutex, thread_count> mutexes;
    std::array<std::stop_source, thread_count> sources;
    std::atomic<int> running{thread_count};
    std::atomic<int> holders{0};
    const span test;
    together(thread_count + 2, [&](int number) {
        if (number >= thread_count) {
            for (dice rolled(number); running.load() > 0;) {
                const auto victim = static_cast<std::size_t>(rolled.roll(thread_count));
                std::stop_source stopped = [&] {
                    const std::lock_guard guard(mutexes[victim]);
                    return sources[victim];
                }();
                stopped.request_stop();
                std::this_thread::yield();
            }
            return;
        }
        dice rolled(number);
        const auto mine = static_cast<std::size_t>(number);
        while (test.lasts()) {
            std::stop_source source;
            {
                const std::lock_guard guard(mutexes[mine]);
                sources[mine] = source;
            }
            const timeout limit = rolled.roll(2) == 0 ? timeout::infinite() : timeout(2ms);
            error_code code;
            const lock_handle held = target.acquire(limit, source.get_token(), code);
            EXPECT_EQ(!code, static_cast<bool>(held));
            if (code) {
                EXPECT_TRUE(code == errc::cancelled || code == errc::timed_out) << code;
                continue;
            }
            EXPECT_EQ(holders.fetch_add(1), 0);
            holders.fetch_sub(1);
        }
        running.fetch_sub(1);
    });
    EXPECT_TRUE(target.try_acquire());
}

TEST(sync_race, handles_are_released_by_other_threads_and_in_every_style) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    std::mutex mutex;
    std::deque<lock_handle> handles;
    std::atomic<int> acquiring{thread_count};
    pending releases;
    int counted = 0;
    const span test;
    together(thread_count + 3, [&](int number) {
        dice rolled(number);
        if (number < thread_count) {
            while (test.lasts()) {
                auto held = acquire_somehow(target, rolled);
                if (!held) continue;
                ++counted;
                const std::lock_guard guard(mutex);
                handles.push_back(std::move(*held));
            }
            acquiring.fetch_sub(1);
            return;
        }
        for (;;) {
            const bool last = acquiring.load() == 0;
            lock_handle held;
            {
                const std::lock_guard guard(mutex);
                if (!handles.empty()) {
                    held = std::move(handles.front());
                    handles.pop_front();
                }
            }
            if (!held) {
                if (last) return;
                std::this_thread::yield();
                continue;
            }
            switch (rolled.roll(3)) {
                case 0: held.release(); break;
                case 1:
                    releases.add();
                    held.async_release([&releases](error_code code) {
                        EXPECT_FALSE(code) << code;
                        releases.done();
                    });
                    break;
                default: break;
            }
        }
    });
    EXPECT_TRUE(releases.wait());
    EXPECT_GT(counted, 0);
    EXPECT_TRUE(target.try_acquire(1s));
}

TEST(sync_race, readers_writers_and_upgraders_meet) {
    memory_provider provider;
    const auto target = provider.make_upgradeable_reader_writer_lock("name");
    int written = 0;
    int expected = 0;
    const span test;
    together(thread_count, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            switch (rolled.roll(4)) {
                case 0: {
                    const auto held = target.acquire_write();
                    EXPECT_EQ(written, expected);
                    ++written;
                    ++expected;
                    break;
                }
                case 1: {
                    auto held = target.acquire_upgradeable_read();
                    EXPECT_EQ(written, expected);
                    if (!held.try_upgrade(1ms)) break;
                    ++written;
                    ++expected;
                    break;
                }
                default: {
                    const auto held = target.try_acquire_read(2ms);
                    if (held) {
                        EXPECT_EQ(written, expected);
                    }
                    break;
                }
            }
        }
    });
    EXPECT_TRUE(target.try_acquire_write());
}

TEST(sync_race, tickets_are_never_more_than_there_are) {
    memory_provider provider;
    const auto target = provider.make_semaphore("name", 3);
    std::atomic<int> taken{0};
    const span test;
    together(thread_count, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            const auto held = target.try_acquire(rolled.roll(2) == 0 ? timeout::infinite() : timeout(1ms));
            EXPECT_LE(target.current_count(), 3);
            if (!held) continue;
            EXPECT_LE(taken.fetch_add(1) + 1, 3);
            taken.fetch_sub(1);
        }
    });
    EXPECT_EQ(target.current_count(), 3);
}

}  // namespace
}  // namespace holdfast
