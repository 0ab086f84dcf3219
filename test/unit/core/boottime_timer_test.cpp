#include <core/boottime_timer.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

class boottime_timers : public testing::Test {
protected:
    boottime_timers() {
        timer_ = boottime_timer::make(io_.get_executor(), [this] {
            timer_->fired();
            fired_at_.push_back(boottime::now());
            if (on_fired_) on_fired_();
        });
    }

    boost::asio::io_context io_;
    std::shared_ptr<boottime_timer> timer_;
    std::vector<boottime::time_point> fired_at_;
    std::function<void()> on_fired_;
};

TEST_F(boottime_timers, fire_once_at_their_time_and_leave_the_executor_without_work) {
    const auto when = boottime::now() + 20ms;
    timer_->set(when);
    io_.run();
    ASSERT_EQ(fired_at_.size(), 1U);
    EXPECT_GE(fired_at_.front(), when);
}

TEST_F(boottime_timers, a_past_time_is_now) {
    for (const auto when : {boottime::time_point(), boottime::now() - 1h}) {
        timer_->set(when);
        io_.restart();
        io_.run();
    }
    EXPECT_EQ(fired_at_.size(), 2U);
}

TEST_F(boottime_timers, the_last_time_that_is_set_counts) {
    const auto began = boottime::now();
    timer_->set(began + 1h);
    timer_->set(began + 5ms);
    timer_->set(began + 30ms);
    io_.run();
    ASSERT_EQ(fired_at_.size(), 1U);
    EXPECT_GE(fired_at_.front(), began + 30ms);
}

TEST_F(boottime_timers, can_be_set_again_when_they_have_fired) {
    on_fired_ = [this] {
        if (fired_at_.size() < 3) timer_->set(boottime::now() + 1ms);
    };
    timer_->set(boottime::now());
    io_.run();
    EXPECT_EQ(fired_at_.size(), 3U);
}

TEST_F(boottime_timers, set_anew_after_the_time_but_before_the_work_they_fire_again) {
    timer_->set(boottime::now());
    boottime::time_point second;
    on_fired_ = [&] {
        if (second != boottime::time_point()) return;
        second = boottime::now() + 20ms;
        timer_->set(second);
    };
    io_.run();
    ASSERT_GE(fired_at_.size(), 2U);
    EXPECT_GE(fired_at_.back(), second);
}

#if defined(__linux__)
/// A suspend cannot be had in a test; that the kernel counts it can be seen.
TEST_F(boottime_timers, count_on_the_clock_that_a_suspend_does_not_stop) {
    timer_->set(boottime::now() + 1h);
    int found = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream file(each.path());
        const std::string text(std::istreambuf_iterator<char>(file), {});
        // CLOCK_BOOTTIME, absolute; Asio's own is on CLOCK_MONOTONIC.
        if (text.find("clockid: 7\n") != std::string::npos && text.find("settime flags: 01") != std::string::npos)
            ++found;
    }
    EXPECT_EQ(found, 1);
    timer_->set(boottime::now());
    io_.run();
}
#endif

}  // namespace
}  // namespace holdfast::core
