// Locks that are taken away while their holders ask, wait, release and upgrade.
#include "race.hpp"

#include <holdfast/memory.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::pool;
using race::span;
using race::together;

TEST(loss_race, every_lost_token_is_stopped_whenever_it_was_asked_for) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    constexpr int askers = 4;
    const span test;
    for (int round = 0; test.lasts(); ++round) {
        const lock_handle held = target.acquire();
        pending stops;
        stops.add(askers);
        std::array<std::optional<std::stop_token>, askers> tokens;
        together(askers + 1, [&](int number) {
            if (number == askers) {
                EXPECT_EQ(provider.lose("name"), 1);
                return;
            }
            // Somebody may have looked, and so seen the loss, before a token is asked for.
            if ((round + number) % 2 == 0) (void)held.state();
            tokens[static_cast<std::size_t>(number)] = held.lost_token();
        });
        using callback = std::stop_callback<std::function<void()>>;
        std::vector<std::unique_ptr<callback>> callbacks;
        callbacks.reserve(tokens.size());
        for (const auto& each : tokens) callbacks.push_back(std::make_unique<callback>(*each, [&] { stops.done(); }));
        ASSERT_TRUE(stops.wait()) << "round " << round;
        EXPECT_EQ(held.state(), held_state::lost);
    }
}

TEST(loss_race, no_lost_token_is_stopped_by_a_release) {
    memory_provider provider;
    const lock target = provider.make_lock("name");
    const span test;
    together(4, [&](int) {
        while (test.lasts()) {
            auto held = target.acquire();
            const std::stop_token token = held.lost_token();
            held.release();
            EXPECT_FALSE(token.stop_requested());
        }
    });
}

/// A wait for a loss, with its cancellation, on a strand of its own.
struct watched : std::enable_shared_from_this<watched> {
    watched(const boost::asio::any_io_executor& executor, lock_handle handle)
        : strand(executor), held(std::move(handle)) {}

    void wait(pending& handlers) {
        boost::asio::post(strand, [self = shared_from_this(), &handlers] {
            self->held.async_wait_lost(boost::asio::bind_cancellation_slot(
                self->signal.slot(), boost::asio::bind_executor(self->strand, [self, &handlers](error_code code) {
                    EXPECT_EQ(self->calls.fetch_add(1), 0);
                    EXPECT_TRUE(!code || code == errc::cancelled || code == errc::invalid_state) << code;
                    handlers.done();
                })));
        });
    }
    void cancel() {
        boost::asio::post(strand,
                          [self = shared_from_this()] { self->signal.emit(boost::asio::cancellation_type::partial); });
    }
    void release(int style, pending& handlers) {
        boost::asio::post(strand, [self = shared_from_this(), style, &handlers] {
            if (style == 0) {
                error_code code;
                self->held.release(code);
                EXPECT_TRUE(!code || code == errc::lost) << code;
            } else if (style == 1) {
                handlers.add();
                self->held.async_release([&handlers](error_code code) {
                    EXPECT_TRUE(!code || code == errc::lost) << code;
                    handlers.done();
                });
            } else {
                self->held = {};
            }
            handlers.done();
        });
    }

    boost::asio::strand<boost::asio::any_io_executor> strand;
    boost::asio::cancellation_signal signal;
    lock_handle held;
    std::atomic<int> calls{0};
};

TEST(loss_race, a_wait_for_loss_ends_once_by_loss_release_or_cancellation) {
    pool threads(3);
    pending handlers;
    {
        memory_provider provider({.executor = threads.executor()});
        const lock target = provider.make_lock("name");
        const span test(2s);
        together(3, [&](int seed) {
            dice rolled(seed);
            while (test.lasts()) {
                auto held = target.try_acquire(5ms);
                if (!held) continue;
                const auto one = std::make_shared<watched>(threads.executor(), std::move(*held));
                handlers.add(2);
                one->wait(handlers);
                if (rolled.roll(2) == 0) provider.lose("name");
                if (rolled.roll(2) == 0) one->cancel();
                one->release(rolled.roll(3), handlers);
                if (rolled.roll(2) == 0) one->cancel();
            }
        });
        EXPECT_TRUE(handlers.wait());
        EXPECT_TRUE(target.try_acquire(1s));
    }
}

TEST(loss_race, an_upgrade_meets_a_loss_and_a_wait_for_it) {
    pool threads(3);
    pending handlers;
    {
        memory_provider provider({.executor = threads.executor()});
        const auto target = provider.make_upgradeable_reader_writer_lock("name");
        const span test;
        together(3, [&](int seed) {
            dice rolled(seed);
            while (test.lasts()) {
                if (seed == 0) {
                    const auto reading = target.try_acquire_read(1ms);
                    provider.lose("name");
                    continue;
                }
                auto held = target.try_acquire_upgradeable_read(2ms);
                if (!held) continue;
                handlers.add();
                held->async_wait_lost([&handlers](error_code code) {
                    EXPECT_TRUE(!code || code == errc::cancelled) << code;
                    handlers.done();
                });
                error_code code;
                held->upgrade(rolled.roll(2) == 0 ? timeout::zero() : timeout(2ms), {}, code);
                EXPECT_TRUE(!code || code == errc::timed_out || code == errc::lost) << code;
            }
        });
        EXPECT_TRUE(handlers.wait());
        EXPECT_TRUE(target.try_acquire_write(1s));
    }
}

TEST(loss_race, a_token_asked_for_during_an_upgrade_is_stopped_by_a_later_loss) {
    memory_provider provider;
    const auto target = provider.make_upgradeable_reader_writer_lock("name");
    auto held = target.acquire_upgradeable_read();
    auto reading = target.acquire_read();
    pending upgraded;
    upgraded.add();
    held.async_upgrade(timeout::infinite(), [&upgraded](error_code code) {
        EXPECT_FALSE(code) << code;
        upgraded.done();
    });
    const std::stop_token token = held.lost_token();
    reading.release();
    ASSERT_TRUE(upgraded.wait());
    EXPECT_FALSE(token.stop_requested());
    pending stops;
    stops.add();
    const std::stop_callback stopped(token, [&stops] { stops.done(); });
    EXPECT_EQ(provider.lose("name"), 1);
    EXPECT_TRUE(stops.wait());
}

}  // namespace
}  // namespace holdfast
