#include <core/alarm_queue.hpp>
#include <core/provider_state.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

class alarm_queues : public testing::Test {
protected:
    class bell final : public alarm, public std::enable_shared_from_this<bell> {
    public:
        explicit bell(std::function<void()> rings) : rings_(std::move(rings)) {}

    private:
        std::shared_ptr<void> alive() noexcept override { return weak_from_this().lock(); }
        void ring() noexcept override { rings_(); }

        const std::function<void()> rings_;
    };

    alarm_queues() {
        const auto& state = memory_.get().state();
        provider_settings settings;
        settings.executor = io_.get_executor();
        provider_ = provider_state::make({state, &state->backend()}, settings);
    }
    ~alarm_queues() override {
        for (const auto& each : bells_) queue().take_out(*each);
    }
    alarm_queue& queue() { return provider_->alarms(); }
    std::shared_ptr<bell> make(const std::string& name) {
        bells_.push_back(std::make_shared<bell>([this, name] {
            rung_.push_back(name);
            rung_at_.push_back(boottime::now());
        }));
        return bells_.back();
    }

    memory_provider memory_;
    boost::asio::io_context io_;
    std::shared_ptr<provider_state> provider_;
    std::vector<std::shared_ptr<bell>> bells_;
    std::vector<std::string> rung_;
    std::vector<boottime::time_point> rung_at_;
};

using names = std::vector<std::string>;

TEST_F(alarm_queues, ring_each_at_its_time_whatever_the_order_they_were_set_in) {
    const auto now = boottime::now();
    queue().set(*make("third"), now + 30ms);
    queue().set(*make("first"), now + 10ms);
    queue().set(*make("second"), now + 20ms);
    io_.run();
    EXPECT_EQ(rung_, (names{"first", "second", "third"}));
    for (std::size_t at = 0; at < rung_at_.size(); ++at) {
        EXPECT_GE(rung_at_[at], now + (at + 1) * 10ms);
    }
}

TEST_F(alarm_queues, one_that_is_taken_out_does_not_ring_and_leaves_the_executor_without_work) {
    const auto only = make("only");
    queue().set(*only, boottime::now() + 1h);
    queue().take_out(*only);
    io_.run_for(10s);
    EXPECT_TRUE(io_.stopped()) << "it must not have work for an hour";
    EXPECT_TRUE(rung_.empty());
    queue().take_out(*only);
}

TEST_F(alarm_queues, the_last_time_that_is_set_counts) {
    const auto now = boottime::now();
    const auto moved = make("moved");
    queue().set(*moved, now + 1h);
    queue().set(*moved, now + 20ms);
    queue().set(*make("other"), now + 10ms);
    io_.run();
    EXPECT_EQ(rung_, (names{"other", "moved"}));
    queue().set(*moved, boottime::time_point::max());
    io_.restart();
    io_.run_for(100ms);
    EXPECT_EQ(rung_.size(), 2U) << "never is not a time";
}

TEST_F(alarm_queues, one_that_rings_may_be_set_again) {
    std::shared_ptr<bell> again;
    int times = 0;
    again = std::make_shared<bell>([&] {
        if (++times < 3) queue().set(*again, boottime::now() + 1ms);
    });
    bells_.push_back(again);
    queue().set(*again, boottime::now());
    io_.run();
    EXPECT_EQ(times, 3);
}

TEST_F(alarm_queues, a_past_time_is_now) {
    queue().set(*make("past"), boottime::time_point());
    queue().set(*make("just over"), boottime::now());
    io_.run();
    EXPECT_EQ(rung_, (names{"past", "just over"}));
}

TEST_F(alarm_queues, very_many_that_come_and_go_move_the_timer_rarely) {
    // As operations do whose answers come in time: a later alarm never waits for the timer of an earlier one for good.
    const auto end = make("end");
    queue().set(*end, boottime::now() + 50ms);
    for (int count = 0; count < 10'000; ++count) {
        const auto passing = std::make_shared<bell>([] { FAIL() << "was taken out"; });
        queue().set(*passing, boottime::now() + 15s);
        queue().take_out(*passing);
    }
    io_.run();
    EXPECT_EQ(rung_, (names{"end"}));
}

}  // namespace
}  // namespace holdfast::core
