// A cancel that meets the signal: the signal may not be swallowed.
#include <support/attempt.hpp>

#include <backends/system/windows/wait_object.hpp>

#include <holdfast/backends/system.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace holdfast {
namespace {

using fakes::attempt;
using fakes::style;
using system::wait_object;

int rounds() {
    const char* const text = std::getenv("HOLDFAST_RACE_ROUNDS");
    return text == nullptr ? 1000 : std::atoi(text);
}

std::string unique_name() {
    static int count = 0;
    return "race-" + std::to_string(::GetCurrentProcessId()) + "-" + std::to_string(++count);
}

/// Up to a few tens of microseconds, so that the two meet at another point each time.
void dawdle(std::minstd_rand& random) {
    for (auto left = random() % 20000; left > 0; --left) std::atomic_signal_fence(std::memory_order_seq_cst);
}

class WindowsRace : public testing::TestWithParam<style> {
protected:
    /** @param kept another handle of the object: without it the object would end with the last of ours, and be made
                    anew, free, whatever had become of its signal
        @return how often the grant won
    */
    template <class Lock>
    int race(const Lock& holders, const Lock& waiters, wait_object& kept) {
        fakes::handler_thread handlers;
        std::minstd_rand random(7);
        int granted = 0;
        int lost = 0;
        for (int round = 0; round < rounds(); ++round) {
            error_code code;
            lock_handle held = holders.acquire(timeout::zero(), {}, code);
            EXPECT_TRUE(held) << round;
            fakes::pending_acquire waiting(handlers, GetParam(), waiters, timeout::infinite());
            // At all stages of the waiting.
            for (auto naps = random() % 12; naps > 0; --naps) dawdle(random);
            std::jthread releasing([&held, seed = random()] {
                std::minstd_rand mine(seed);
                dawdle(mine);
                held.release();
            });
            dawdle(random);
            waiting.cancel();
            {
                attempt made = waiting.get();
                releasing.join();
                EXPECT_TRUE(!made.code || made.code == errc::cancelled) << made.code.message();
                granted += made.code ? 0 : 1;
            }
            // Given back by whoever had it last.
            if (kept.try_take() != WAIT_OBJECT_0) ++lost;
            EXPECT_EQ(kept.give_back(), 0U);
        }
        std::printf("%d rounds: %d granted, %d cancelled, %d signals lost\n", rounds(), granted, rounds() - granted,
                    lost);
        EXPECT_EQ(lost, 0);
        return granted;
    }
};

TEST_P(WindowsRace, OfCancelAndSignalLosesNoLock) {
    const std::string name = unique_name();
    const provider mine = system::make_provider();
    wait_object kept(wait_object::kind::event, L"Global\\" + std::wstring(name.begin(), name.end()), 1);
    ASSERT_EQ(kept.open(), 0U);
    race(system::make_provider().make_lock(name), mine.make_lock(name), kept);
}

TEST_P(WindowsRace, OfCancelAndSignalLosesNoTicket) {
    const std::string name = unique_name();
    const provider mine = system::make_provider();
    wait_object kept(wait_object::kind::semaphore, L"Global\\" + std::wstring(name.begin(), name.end()), 1);
    ASSERT_EQ(kept.open(), 0U);
    const semaphore counted = mine.make_semaphore(name, 1);
    race(system::make_provider().make_semaphore(name, 1), counted, kept);
    EXPECT_EQ(counted.current_count(), 1);
}

INSTANTIATE_TEST_SUITE_P(styles, WindowsRace, testing::Values(style::sync, style::async),
                         [](const auto& param) { return std::string(fakes::name_of(param.param)); });

}  // namespace
}  // namespace holdfast
