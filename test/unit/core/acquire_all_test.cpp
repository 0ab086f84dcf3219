// What the contract cannot ask of composite handles, since it takes a callback of a loss that is still running.
#include <holdfast/acquire_all.hpp>
#include <holdfast/memory.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <stop_token>
#include <utility>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using callback = std::stop_callback<std::function<void()>>;

class composites : public testing::Test {
protected:
    memory_provider memory_;
    composite_handle both_ = acquire_all({memory_.make_lock("a"), memory_.make_lock("b")});
};

TEST_F(composites, may_be_released_and_destroyed_while_their_loss_is_being_told) {
    std::promise<void> told;
    std::promise<void> go_on;
    std::promise<std::future_status> went_on;
    {
        const callback on_loss(both_.lost_token(), [&] {
            told.set_value();
            went_on.set_value(go_on.get_future().wait_for(10s));
        });
        ASSERT_EQ(memory_.lose("a"), 1);
        told.get_future().wait();
        error_code code;
        both_.release(code);
        EXPECT_EQ(code, errc::lost);
        both_ = composite_handle();
        go_on.set_value();
        EXPECT_EQ(went_on.get_future().get(), std::future_status::ready);
    }
}

TEST_F(composites, may_be_destroyed_by_the_first_of_several_callbacks) {
    struct job {
        composite_handle locks;
        std::optional<callback> first;
        std::optional<callback> second;
    };
    auto* const mine = new job{std::move(both_), {}, {}};
    std::promise<void> ended;
    const auto end = [mine, &ended] {
        // Goes with what it destroys.
        auto& told = ended;
        delete mine;
        told.set_value();
    };
    mine->first.emplace(mine->locks.lost_token(), end);
    mine->second.emplace(mine->locks.lost_token(), end);
    ASSERT_EQ(memory_.lose("a"), 1);
    EXPECT_EQ(ended.get_future().wait_for(10s), std::future_status::ready);
}

}  // namespace
}  // namespace holdfast
