#include <core/provider_state.hpp>
#include <core/runner.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::core {
namespace {

/// Waits until it is woken once.
class one_wait final : public operation {
public:
    action resume(const event& happened, const core::moment&) override {
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

TEST_F(runners, several_gathered_ones_run_in_order_and_their_handlers_are_posted) {
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
        const std::vector<told> expected{
            {"first", detail::delivery::post}, {"second", detail::delivery::post}, {"third", detail::delivery::post}};
        EXPECT_EQ(log_, expected);
    });
    EXPECT_EQ(here_.run(), 1U);
}

TEST_F(runners, one_that_is_alone_runs_with_its_handler) {
    const auto only = begin(here_, "only");
    boost::asio::post(here_, [&] {
        gathered_rousings roused(here_.get_executor());
        only->notify(signal_wake);
        roused.run();
        EXPECT_EQ(log_, (std::vector<told>{{"only", detail::delivery::dispatch}}));
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

/// Whether a handler that is dispatched on an executor's thread runs there, at once.
template <class Wrap>
bool runs_from_within(boost::asio::io_context& io, Wrap wrap) {
    std::promise<std::thread::id> ran_on;
    bool at_once = false;
    boost::asio::post(io, [&] {
        auto ran = ran_on.get_future();
        const auto completion = detail::erase_completion<detail::no_result>(
            wrap([&](const error_code&) { ran_on.set_value(std::this_thread::get_id()); }), io.get_executor());
        completion->complete({}, {}, detail::delivery::dispatch);
        at_once = ran.wait_for(std::chrono::seconds(0)) == std::future_status::ready &&
                  ran.get() == std::this_thread::get_id();
    });
    io.restart();
    io.run();
    return at_once;
}

TEST_F(runners, a_handler_of_its_own_executor_is_never_run_by_ours) {
    EXPECT_TRUE(runs_from_within(here_, [](auto handler) { return handler; }));
    EXPECT_TRUE(runs_from_within(here_, [this](auto handler) {
        return boost::asio::bind_executor(boost::asio::any_io_executor(here_.get_executor()), std::move(handler));
    }));
    // Each of these would run from within if it were dispatched to its executor.
    const auto strand = boost::asio::make_strand(here_);
    EXPECT_FALSE(
        runs_from_within(here_, [&](auto handler) { return boost::asio::bind_executor(strand, std::move(handler)); }));
    EXPECT_FALSE(runs_from_within(here_, [&](auto handler) {
        return boost::asio::bind_executor(boost::asio::any_io_executor(strand), std::move(handler));
    }));
}

TEST_F(runners, the_executor_has_work_while_anything_waits_whose_handler_is_another_s) {
    memory_provider mine({.executor = here_.get_executor()});
    auto held = mine.make_lock("a").acquire();
    std::vector<error_code> ends;
    const auto note = [&](error_code code) { ends.push_back(code); };
    mine.make_lock("a").async_acquire(
        timeout::infinite(),
        boost::asio::bind_executor(elsewhere_, [&](error_code code, const lock_handle&) { note(code); }));
    here_.poll();
    EXPECT_FALSE(here_.stopped());
    held.release();
    here_.run();
    elsewhere_.run();
    EXPECT_EQ(ends, std::vector<error_code>(1));

    here_.restart();
    elsewhere_.restart();
    held = mine.make_lock("a").acquire();
    held.async_wait_lost(boost::asio::bind_executor(elsewhere_, note));
    here_.poll();
    EXPECT_FALSE(here_.stopped());
    mine.lose("a");
    here_.run();
    elsewhere_.run();
    EXPECT_EQ(ends, std::vector<error_code>(2));
}

}  // namespace
}  // namespace holdfast::core
