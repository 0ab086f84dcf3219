// What becomes of locks, and of those who wait for them, where the system has nothing left to give.
#include <support/shortage.hpp>

#include <holdfast/memory.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

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

}  // namespace
}  // namespace holdfast
