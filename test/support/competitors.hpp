// Threads that want one lock, in either style, and count who is inside.
#ifndef HOLDFAST_TEST_SUPPORT_COMPETITORS_HPP
#define HOLDFAST_TEST_SUPPORT_COMPETITORS_HPP

#include <support/attempt.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::fakes {

/// Four threads that take a lock and give it back until they are stopped, each with a provider of its own.
class competitors {
public:
    enum class outages { none, allowed };

    /// @param make the same name each time, of a new provider
    /// @param expected with `allowed` an acquire may end because there is no server, or in doubt, and a release in
    ///        whatever way
    competitors(style how, outages expected, timeout limit, std::function<lock()> make)
        : how_(how), expected_(expected), limit_(limit), make_(std::move(make)) {
        for (int count = 0; count < 4; ++count) threads_.emplace_back([this] { compete(); });
    }
    competitors(const competitors&) = delete;
    competitors& operator=(const competitors&) = delete;
    ~competitors() { stop(); }

    /// How often the lock was had.
    int done() const noexcept { return done_; }
    /// How often by two at once.
    int overlaps() const noexcept { return overlaps_; }
    void stop() {
        stop_ = true;
        for (auto& each : threads_) each.join();
        threads_.clear();
    }

private:
    void compete() {
        handler_thread handlers;
        const lock one = make_();
        while (!stop_) {
            attempt how = acquire(handlers, how_, one, limit_);
            if (how.code) {
                const bool is_outage = how.code == errc::unavailable || how.code == errc::in_doubt;
                EXPECT_TRUE(expected_ == outages::allowed && is_outage) << how.code.message() << how.diag.message;
                continue;
            }
            if (++inside_ != 1) ++overlaps_;
            if (expected_ == outages::none) {
                EXPECT_EQ(how.handle.state(), held_state::held);
            }
            // Another one that is in here, or thinks for a moment that it may be, has the time to show.
            if (done_ % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            if (--inside_ != 0) ++overlaps_;
            const attempt back = release(how_, std::move(how.handle));
            EXPECT_TRUE(expected_ == outages::allowed || !back.code) << back.code.message();
            ++done_;
        }
    }

    const style how_;
    const outages expected_;
    const timeout limit_;
    const std::function<lock()> make_;
    std::atomic<bool> stop_{false};
    std::atomic<int> done_{0};
    std::atomic<int> inside_{0};
    std::atomic<int> overlaps_{0};
    std::vector<std::thread> threads_;
};

}  // namespace holdfast::fakes

#endif
