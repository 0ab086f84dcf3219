// Asynchronous operations on an executor that several threads run.
#include "race.hpp"

#include <holdfast/memory.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::pool;
using race::span;
using race::together;

constexpr int starters = 4;
/// Enough to have a queue, few enough to see each of them end within a test.
constexpr int most_pending = 64;

timeout any_limit(dice& rolled) {
    switch (rolled.roll(4)) {
        case 0: return timeout::zero();
        case 1: return 1ms;
        case 2: return 3ms;
        default: return timeout::infinite();
    }
}

TEST(async_race, many_threads_start_and_many_threads_complete) {
    pool threads(3);
    pending handlers;
    {
        memory_provider provider({.executor = threads.executor()});
        const lock target = provider.make_lock("name");
        int counted = 0;
        std::atomic<int> expected{0};
        const span test;
        together(starters, [&](int seed) {
            dice rolled(seed);
            while (test.lasts()) {
                if (handlers.left() > most_pending) {
                    std::this_thread::yield();
                    continue;
                }
                handlers.add();
                const int ending = rolled.roll(3);
                target.async_acquire(any_limit(rolled), [&, ending](error_code code, lock_handle held) {
                    EXPECT_EQ(!code, static_cast<bool>(held));
                    if (code) {
                        EXPECT_EQ(code, errc::timed_out);
                        handlers.done();
                        return;
                    }
                    ++counted;
                    expected.fetch_add(1, std::memory_order_relaxed);
                    if (ending == 0) {
                        held.release();
                    } else if (ending == 1) {
                        held.async_release([&handlers](error_code result) {
                            EXPECT_FALSE(result) << result;
                            handlers.done();
                        });
                        return;
                    }
                    // Released by now or by the end of this handler, on the executor's thread.
                    held = {};
                    handlers.done();
                });
            }
        });
        EXPECT_TRUE(handlers.wait());
        EXPECT_EQ(counted, expected.load());
        EXPECT_TRUE(target.try_acquire());
    }
}

/// One operation with its cancellation, on a strand of its own, as Asio asks for.
struct cancelled_acquire : std::enable_shared_from_this<cancelled_acquire> {
    explicit cancelled_acquire(const boost::asio::any_io_executor& executor) : strand(executor) {}

    void start(const lock& target, timeout limit, pending& handlers, std::atomic<int>& holders) {
        boost::asio::post(strand, [self = shared_from_this(), target, limit, &handlers, &holders] {
            auto handler = [self, &handlers, &holders](error_code code, lock_handle held) {
                EXPECT_EQ(self->calls.fetch_add(1), 0);
                EXPECT_EQ(!code, static_cast<bool>(held));
                if (code) {
                    EXPECT_TRUE(code == errc::cancelled || code == errc::timed_out) << code;
                } else {
                    EXPECT_EQ(holders.fetch_add(1), 0);
                    holders.fetch_sub(1);
                }
                held = {};
                handlers.done();
            };
            target.async_acquire(
                limit, boost::asio::bind_cancellation_slot(
                           self->signal.slot(), boost::asio::bind_executor(self->strand, std::move(handler))));
        });
    }
    void cancel() {
        boost::asio::post(strand,
                          [self = shared_from_this()] { self->signal.emit(boost::asio::cancellation_type::terminal); });
    }

    boost::asio::strand<boost::asio::any_io_executor> strand;
    boost::asio::cancellation_signal signal;
    std::atomic<int> calls{0};
};

TEST(async_race, cancellation_timeout_and_completion_meet) {
    pool threads(3);
    pending handlers;
    {
        memory_provider provider({.executor = threads.executor()});
        const lock target = provider.make_lock("name");
        std::atomic<int> holders{0};
        const span test(2s);
        together(starters, [&](int seed) {
            dice rolled(seed);
            while (test.lasts()) {
                if (handlers.left() > most_pending) {
                    std::this_thread::yield();
                    continue;
                }
                const auto one = std::make_shared<cancelled_acquire>(threads.executor());
                handlers.add();
                one->start(target, any_limit(rolled), handlers, holders);
                if (rolled.roll(3) != 0) one->cancel();
                if (rolled.roll(4) == 0) one->cancel();
            }
        });
        EXPECT_TRUE(handlers.wait());
        EXPECT_TRUE(target.try_acquire());
    }
}

TEST(async_race, blocking_and_asynchronous_waiters_share_a_queue) {
    pool threads(2);
    pending handlers;
    {
        memory_provider provider({.executor = threads.executor()});
        const lock target = provider.make_lock("name");
        int counted = 0;
        const span test;
        together(starters, [&](int seed) {
            dice rolled(seed);
            while (test.lasts()) {
                if (rolled.roll(2) == 0) {
                    if (const auto held = target.try_acquire(5ms)) ++counted;
                } else if (handlers.left() < most_pending) {
                    handlers.add();
                    target.async_try_acquire(5ms, [&](error_code code, std::optional<lock_handle> held) {
                        EXPECT_FALSE(code) << code;
                        if (held) ++counted;
                        held.reset();
                        handlers.done();
                    });
                }
            }
        });
        EXPECT_TRUE(handlers.wait());
        EXPECT_GT(counted, 0);
        EXPECT_TRUE(target.try_acquire());
    }
}

TEST(async_race, handles_end_on_the_librarys_own_thread) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    pending handlers;
    const span test;
    together(starters, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            if (handlers.left() > most_pending) {
                std::this_thread::yield();
                continue;
            }
            handlers.add();
            target.async_acquire(any_limit(rolled), [&handlers](error_code, lock_handle held) {
                held = {};
                handlers.done();
            });
            (void)target.try_acquire();
        }
    });
    EXPECT_TRUE(handlers.wait());
    EXPECT_TRUE(target.try_acquire());
}

}  // namespace
}  // namespace holdfast
