// A cancel, or the end of its time, that meets the grant by another process's release: nothing may be left behind.
#include <support/attempt.hpp>
#include <support/second_process.hpp>

#include <holdfast/backends/system.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace holdfast {
namespace {

using fakes::attempt;
using fakes::style;

int rounds() {
    const char* const text = std::getenv("HOLDFAST_RACE_ROUNDS");
    return text == nullptr ? 1000 : std::atoi(text);
}

/// Spins for up to a few microseconds, so that the two meet at another point each time.
void dawdle(std::minstd_rand& random) {
    for (auto left = random() % 4000; left > 0; --left) std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// A writer as a lock, so that one test serves all.
struct writers {
    reader_writer_lock table;
    lock_handle acquire(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr) const {
        return table.acquire_write(limit, std::move(stop), code, diag);
    }
    template <class Token>
    auto async_acquire(timeout limit, diagnostics& diag, Token&& token) const {
        return table.async_acquire_write(limit, diag, std::forward<Token>(token));
    }
};

class SystemRace : public testing::TestWithParam<style> {
protected:
    provider open() const {
        system::options opts;
        opts.directory = here_ / "sets";
        return system::make_provider(opts);
    }

    /// @return how often the grant won
    template <class Lock>
    int race(const Lock& holders, const Lock& waiters) {
        fakes::handler_thread handlers;
        std::minstd_rand random(7);
        int granted = 0;
        for (int round = 0; round < rounds(); ++round) {
            error_code code;
            // What the round before has left behind would be in the way.
            lock_handle held = holders.acquire(timeout::zero(), {}, code);
            EXPECT_TRUE(held) << round;
            fakes::pending_acquire waiting(handlers, GetParam(), waiters, timeout::infinite());
            // At all stages of the waiting.
            for (auto naps = random() % 4; naps > 0; --naps) std::this_thread::sleep_for(std::chrono::microseconds(20));
            std::jthread releasing([&held, seed = random()] {
                std::minstd_rand mine(seed);
                dawdle(mine);
                held.release();
            });
            dawdle(random);
            waiting.cancel();
            const attempt made = waiting.get();
            releasing.join();
            EXPECT_TRUE(!made.code || made.code == errc::cancelled) << made.code.message();
            granted += made.code ? 0 : 1;
            if (testing::Test::HasFailure()) break;
        }
        std::printf("granted in %d of %d rounds\n", granted, rounds());
        return granted;
    }

    const test::temporary_directory here_{"/dev/shm"};
};

TEST_P(SystemRace, OfCancelAndGrantLosesNoLock) {
    race(open().make_lock("x"), open().make_lock("x"));
}

TEST_P(SystemRace, OfCancelAndGrantLosesNoTicket) {
    const semaphore counted = open().make_semaphore("x", 1);
    race(counted, open().make_semaphore("x", 1));
    EXPECT_EQ(counted.current_count(), 1);
}

TEST_P(SystemRace, OfCancelAndGrantLosesNoGate) {
    race(writers{open().make_reader_writer_lock("x")}, writers{open().make_reader_writer_lock("x")});
}

INSTANTIATE_TEST_SUITE_P(styles, SystemRace, testing::Values(style::sync, style::async),
                         [](const auto& param) { return std::string(fakes::name_of(param.param)); });

}  // namespace
}  // namespace holdfast
