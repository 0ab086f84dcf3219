#include "races.hpp"

#include <atomic>
#include <future>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr int racers = 4;

/// Runs @p round so often, on several names at once, and adds up how they ended.
template <class Round>
race_result run(int rounds, Round round) {
    std::atomic<int> granted{0};
    std::atomic<int> not_granted{0};
    std::atomic<int> wrong{0};
    std::vector<std::jthread> threads;
    for (int racer = 0; racer < racers; ++racer) {
        threads.emplace_back([&, racer] {
            std::minstd_rand random(static_cast<unsigned>(racer + 1));
            const std::string name = "race " + std::to_string(racer);
            for (int count = 0; count < rounds / racers; ++count) {
                switch (round(name, random)) {
                    case 1: ++granted; break;
                    case 0: ++not_granted; break;
                    default: ++wrong;
                }
            }
        });
    }
    threads.clear();
    return {granted, not_granted, wrong};
}

/// 1 when the lock that was got is as it should be.
int given_back(lock_handle& got, const counted_provider& from) {
    const bool drawn = from.locks.capabilities().fencing != fencing_support::none;
    if (got.fencing_token().has_value() != drawn) return -1;
    error_code code;
    got.release(code);
    return code ? -1 : 1;
}

void pause_for(std::chrono::microseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    std::this_thread::sleep_until(until);
}

}  // namespace

void check(const race_result& how, int rounds) {
    EXPECT_EQ(how.wrong, 0);
    EXPECT_GT(how.granted, rounds / 100);
    EXPECT_GT(how.not_granted, rounds / 100);
}

race_result race_timeouts(const counted_provider& holders, const counted_provider& waiters, int rounds) {
    return run(rounds, [&](const std::string& name, auto& random) {
        auto held = holders.locks.make_lock(name).acquire(60s);
        std::jthread releaser([&, wait = std::chrono::microseconds(1000 + random() % 2500)] {
            pause_for(wait);
            held.release();
        });
        error_code code;
        auto got = waiters.locks.make_lock(name).acquire(2ms, {}, code);
        releaser.join();
        if (code) return code == errc::timed_out ? 0 : -1;
        return given_back(got, waiters);
    });
}

race_result race_cancels(const counted_provider& holders, const counted_provider& waiters, int rounds) {
    return run(rounds, [&](const std::string& name, auto& random) {
        auto held = holders.locks.make_lock(name).acquire(60s);
        std::stop_source stop;
        const auto release_after = std::chrono::microseconds(500 + random() % 700);
        const auto cancel_after = std::chrono::microseconds(400 + random() % 700);
        std::jthread releaser([&] {
            pause_for(release_after);
            held.release();
        });
        std::jthread canceller([&] {
            pause_for(cancel_after);
            stop.request_stop();
        });
        error_code code;
        auto got = waiters.locks.make_lock(name).acquire(60s, stop.get_token(), code);
        releaser.join();
        canceller.join();
        if (code) return code == errc::cancelled ? 0 : -1;
        return given_back(got, waiters);
    });
}

}  // namespace holdfast
