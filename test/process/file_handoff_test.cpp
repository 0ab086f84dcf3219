// A lock that another process holds: seen, waited for, and had at once whatever way that process ends holding it.
#include "support/file_waiters.hpp"
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <gtest/gtest.h>

#include <signal.h>

#include <filesystem>
#include <memory>
#include <tuple>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr auto at_once = 500ms;

enum class ending { release, abandon, exit, leave, kill };

std::string name_of(ending how) {
    switch (how) {
        case ending::release: return "release";
        case ending::abandon: return "abandon";
        case ending::exit: return "exit";
        case ending::leave: return "leave";
        case ending::kill: break;
    }
    return "kill";
}

const char* command_of(ending how) {
    switch (how) {
        case ending::abandon: return "abandon";
        case ending::exit: return "exit";
        case ending::leave: return "leave";
        case ending::release:
        case ending::kill: break;
    }
    return "hold";
}

boottime::time_point time_of(const std::string& said) {
    return boottime::time_point(boottime::duration(std::stoll(said)));
}

class HeldElsewhere : public testing::TestWithParam<std::tuple<bool, ending, way>> {
protected:
    static bool kept() { return std::get<0>(GetParam()); }

    HeldElsewhere() {
        file::options options;
        options.directory = directory_.path();
        options.keep_files = kept();
        url_ = "file://" + directory_.path() + (kept() ? "?keep" : "");
        provider_settings settings;
        settings.observer = seen_;
        lock_ = std::make_unique<lock>(file::make_provider(options, settings).make_lock("shared"));
    }

    std::unique_ptr<second_process> start_holder(const char* what) const {
        auto made = std::make_unique<second_process>(
            std::vector<std::string>{helper_program("LOCK_HOLDER"), url_, "shared", what});
        made->expect("held");
        return made;
    }

    /// Ends the other's hold. @return when
    static boottime::time_point end(second_process& holder, ending how) {
        if (how == ending::kill) {
            const auto now = boottime::now();
            holder.signal(SIGKILL);
            return now;
        }
        holder.send("now");
        const auto when = time_of(holder.expect("releasing"));
        if (how == ending::release || how == ending::abandon) holder.expect("released");
        return when;
    }

    temporary_directory directory_;
    std::shared_ptr<notices> seen_ = std::make_shared<notices>();
    std::string url_;
    std::unique_ptr<lock> lock_;
};

TEST_P(HeldElsewhere, IsHadAtOnceWhenTheHolderEnds) {
    const auto [keeps, how, waiting] = GetParam();
    distribution latency;
    for (int round = 0; round < 6; ++round) {
        auto holder = start_holder(command_of(how));
        ASSERT_FALSE(lock_->try_acquire());
        const int before = seen_->waits();
        waiter_thread waiter(waiting, *lock_);
        ASSERT_TRUE(seen_->await_waiting(before + 1));
        // Every other round after so long that a helper thread stands in the kernel.
        if (round % 2 == 1 && waiting != way::sync_infinite) {
            ASSERT_TRUE(eventually([] { return count_threads("holdfast-flock") == 1; }));
        }
        const auto ended = end(*holder, how);
        auto got = waiter.get();
        ASSERT_FALSE(got.code) << got.diag.message;
        EXPECT_LT(got.at - ended, at_once);
        latency.add(got.at - ended);
        EXPECT_EQ(got.held.state(), held_state::held);
        got.held.release();
    }
    latency.print(std::string(keeps ? "kept " : "deleted ") + name_of(how) + " -> " + name_of(waiting));
    EXPECT_TRUE(seen_->texts().empty()) << seen_->texts().front();
    EXPECT_EQ(count_threads("holdfast-flock"), 0);
    EXPECT_EQ(std::filesystem::exists(lock_->mapped_name()), keeps);
}

INSTANTIATE_TEST_SUITE_P(Files, HeldElsewhere,
                         testing::Combine(testing::Bool(),
                                          testing::Values(ending::release, ending::abandon, ending::exit, ending::leave,
                                                          ending::kill),
                                          testing::ValuesIn(all_ways)),
                         [](const auto& one) {
                             return std::string(std::get<0>(one.param) ? "kept_" : "deleted_") +
                                    name_of(std::get<1>(one.param)) + "_" + name_of(std::get<2>(one.param));
                         });

class HeldByAStoppedProcess : public HeldElsewhere {};

TEST_P(HeldByAStoppedProcess, StaysHeldUntilThatGoesOnAndReleases) {
    const way waiting = std::get<2>(GetParam());
    auto holder = start_holder("hold");
    waiter_thread waiter(waiting, *lock_);
    ASSERT_TRUE(seen_->await_waiting(1));
    holder->signal(SIGSTOP);
    holder->await_stopped();
    EXPECT_FALSE(waiter.is_over_within(200ms));
    EXPECT_FALSE(lock_->try_acquire());
    holder->signal(SIGCONT);
    holder->send("state");
    holder->expect("held");
    EXPECT_FALSE(waiter.is_over_within(0ms));
    const auto ended = end(*holder, ending::release);
    auto got = waiter.get();
    ASSERT_FALSE(got.code) << got.diag.message;
    EXPECT_LT(got.at - ended, at_once);
    EXPECT_TRUE(seen_->texts().empty());
}

INSTANTIATE_TEST_SUITE_P(Files, HeldByAStoppedProcess,
                         testing::Combine(testing::Bool(), testing::Values(ending::release),
                                          testing::ValuesIn(all_ways)),
                         [](const auto& one) {
                             return std::string(std::get<0>(one.param) ? "kept_" : "deleted_") +
                                    name_of(std::get<2>(one.param));
                         });

TEST(HeldHere, IsBusyForAnotherProcessUntilReleased) {
    const temporary_directory directory;
    file::options options;
    options.directory = directory.path();
    const lock mine = file::make_provider(options).make_lock("x");
    second_process other({helper_program("LOCK_HOLDER"), "file://" + directory.path(), "x", "try"});
    other.expect("ready");
    for (int round = 0; round < 20; ++round) {
        auto held = mine.acquire();
        other.send("try");
        other.expect("busy");
        held.release();
        other.send("try");
        other.expect("got");
    }
}

/// Four waiting processes: all have it in the end, one after another.
TEST(HeldHere, GoesToEachWaitingProcessInTurn) {
    const temporary_directory directory;
    file::options options;
    options.directory = directory.path();
    const lock mine = file::make_provider(options).make_lock("x");
    auto held = mine.acquire();
    std::vector<std::unique_ptr<second_process>> others;
    for (int i = 0; i < 4; ++i) {
        others.push_back(std::make_unique<second_process>(
            std::vector<std::string>{helper_program("LOCK_HOLDER"), "file://" + directory.path(), "x", "hold"}));
        others.back()->send("now");
    }
    held.release();
    for (auto& other : others) {
        other->expect("held");
        other->expect("releasing");
        other->expect("released");
    }
}

}  // namespace
}  // namespace holdfast::test
