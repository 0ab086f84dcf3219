#include <core/provider_state.hpp>
#include <core/runner.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::core {
namespace {

/// Waits until it is woken once.
class one_wait final : public operation {
public:
    action resume(const event& happened, boottime::time_point) override {
        if (happened.kind == event_kind::woken) return finish_well();
        action next;
        next.kind = action_kind::await_wake;
        return next;
    }
};

struct told {
    std::string name;
    detail::delivery how;
    bool operator==(const told&) const = default;
};

class waiting final : public async_runner {
public:
    waiting(std::shared_ptr<provider_state> provider, std::string name, std::vector<told>& log)
        : async_runner(std::move(provider), wait_, {}, nullptr), name_(std::move(name)), log_(log) {}

private:
    void finish(detail::delivery how_told) override {
        settle(false);
        log_.push_back({name_, how_told});
    }

    one_wait wait_;
    const std::string name_;
    std::vector<told>& log_;
};

class runners : public testing::Test {
protected:
    std::shared_ptr<provider_state> provider_on(boost::asio::io_context& io) {
        const auto& state = memory_.get().state();
        provider_settings settings;
        settings.executor = io.get_executor();
        return provider_state::make({state, &state->backend()}, settings);
    }
    std::shared_ptr<waiting> begin(boost::asio::io_context& io, const std::string& name) {
        auto made = std::make_shared<waiting>(provider_on(io), name, log_);
        made->start();
        return made;
    }

    memory_provider memory_;
    boost::asio::io_context here_;
    boost::asio::io_context elsewhere_;
    std::vector<told> log_;
};

TEST_F(runners, gathered_ones_run_when_told_to_and_only_the_last_with_its_handler) {
    const auto first = begin(here_, "first");
    const auto second = begin(here_, "second");
    const auto third = begin(here_, "third");
    boost::asio::post(here_, [&] {
        gathered_rousings roused(here_.get_executor());
        first->notify(signal_wake);
        second->notify(signal_wake);
        second->notify(signal_wake);
        third->notify(signal_wake);
        EXPECT_TRUE(log_.empty());
        roused.run();
        const std::vector<told> expected{{"first", detail::delivery::post},
                                         {"second", detail::delivery::post},
                                         {"third", detail::delivery::dispatch}};
        EXPECT_EQ(log_, expected);
    });
    EXPECT_EQ(here_.run(), 1U);
}

TEST_F(runners, one_of_another_executor_is_posted_there) {
    const auto other = begin(elsewhere_, "other");
    boost::asio::post(here_, [&] {
        gathered_rousings roused(here_.get_executor());
        other->notify(signal_wake);
        roused.run();
    });
    here_.run();
    EXPECT_TRUE(log_.empty());
    elsewhere_.run();
    EXPECT_EQ(log_, (std::vector<told>{{"other", detail::delivery::dispatch}}));
}

TEST_F(runners, those_that_an_exception_leaves_behind_are_posted) {
    const auto left = begin(here_, "left");
    boost::asio::post(here_, [&] {
        const gathered_rousings roused(here_.get_executor());
        left->notify(signal_wake);
        throw std::runtime_error("out of memory, say");
    });
    EXPECT_THROW(here_.run(), std::runtime_error);
    EXPECT_TRUE(log_.empty());
    here_.restart();
    here_.run();
    EXPECT_EQ(log_, (std::vector<told>{{"left", detail::delivery::dispatch}}));
}

TEST_F(runners, what_is_roused_while_gathered_ones_run_is_posted) {
    const auto first = begin(here_, "first");
    const auto second = begin(here_, "second");
    boost::asio::post(here_, [&] {
        {
            gathered_rousings roused(here_.get_executor());
            roused.run();
            first->notify(signal_wake);
        }
        second->notify(signal_wake);
        EXPECT_TRUE(log_.empty());
    });
    EXPECT_EQ(here_.run(), 3U);
    EXPECT_EQ(log_.size(), 2U);
}

}  // namespace
}  // namespace holdfast::core
