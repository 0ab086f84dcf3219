// What becomes of locks, and of those who wait for them, where the system has nothing left to give.
#include <support/shortage.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

/// Until the thread of those who lost a lock, which ends by itself, is gone.
void await_end_of_lost_thread() {
    for (bool found = true; found; std::this_thread::yield()) {
        found = false;
        for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
            std::string name;
            std::getline(std::ifstream(each.path() / "comm") >> std::ws, name);
            found = found || name == "holdfast-lost";
        }
    }
}

/// Tells of a token's stop.
class stop_seen {
public:
    explicit stop_seen(std::stop_token token) : called_(std::move(token), [this] { told_.set_value(); }) {}
    bool wait() { return told_.get_future().wait_for(10s) == std::future_status::ready; }

private:
    std::promise<void> told_;
    std::stop_callback<std::function<void()>> called_;
};

/// A provider on an executor that has asked the system for nothing yet.
class shortage : public testing::Test {
protected:
    std::optional<error_code> outcome() {
        // Ends with the last handler.
        io_.run_for(10s);
        return code_;
    }

    boost::asio::io_context io_;
    memory_provider memory_{{.executor = io_.get_executor()}};
    std::optional<error_code> code_;
};

TEST_F(shortage, an_acquire_that_cannot_begin_to_wait_fails_and_leaves_the_name_to_others) {
    HOLDFAST_NEEDS_NO_DESCRIPTORS();
    const lock name = memory_.get().make_lock("a");
    auto held = name.acquire();
    {
        const test::no_descriptors none;
        name.async_acquire(1h, [this](error_code code, const lock_handle&) { code_ = code; });
    }
    EXPECT_EQ(outcome(), errc::unavailable);
    held.release();
    EXPECT_TRUE(name.try_acquire(10s));
}

TEST_F(shortage, an_upgrade_that_cannot_begin_to_wait_leaves_what_it_was_to_upgrade) {
    HOLDFAST_NEEDS_NO_DESCRIPTORS();
    const auto name = memory_.get().make_upgradeable_reader_writer_lock("a");
    auto upgrading = name.acquire_upgradeable_read();
    std::optional reader(name.acquire_read());
    {
        const test::no_descriptors none;
        upgrading.async_upgrade(1h, [this](error_code code) { code_ = code; });
    }
    EXPECT_EQ(outcome(), errc::unavailable);
    EXPECT_EQ(upgrading.state(), held_state::held);
    // It was to be the next writer, which keeps readers out.
    EXPECT_TRUE(name.try_acquire_read());
    reader.reset();
    EXPECT_TRUE(upgrading.try_upgrade());
    upgrading.release();
    EXPECT_TRUE(name.try_acquire_write());
}

TEST_F(shortage, a_loss_is_told_where_no_thread_can_be_started) {
    auto held = memory_.make_lock("a").acquire();
    stop_seen stopped(held.lost_token());
    held.async_wait_lost([this](error_code code) { code_ = code; });
    {
        const test::no_threads none;
        memory_.lose("a");
        EXPECT_EQ(held.state(), held_state::lost);
        EXPECT_TRUE(stopped.wait());
        EXPECT_EQ(outcome(), error_code());
    }
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
}

void expect_no_token_without_threads(const lock_handle& held) {
    const test::no_threads none;
    try {
        (void)held.lost_token();
        ADD_FAILURE() << "given";
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::unavailable) << refused.what();
    }
}

TEST_F(shortage, a_lost_token_that_no_thread_would_stop_is_refused_until_there_is_one) {
    await_end_of_lost_thread();
    auto held = memory_.make_lock("a").acquire();
    expect_no_token_without_threads(held);
    stop_seen stopped(held.lost_token());
    memory_.lose("a");
    io_.run_for(1ms);
    EXPECT_TRUE(stopped.wait());
}

TEST_F(shortage, a_watch_for_a_loss_that_failed_is_begun_again) {
    // Keeps the thread there that stops tokens.
    const auto other = memory_.make_lock("b").acquire();
    const auto others = other.lost_token();
    memory_provider on_its_own_thread;
    const auto held = on_its_own_thread.make_lock("a").acquire();
    expect_no_token_without_threads(held);
    stop_seen stopped(held.lost_token());
    on_its_own_thread.lose("a");
    EXPECT_TRUE(stopped.wait());
}

}  // namespace
}  // namespace holdfast
