// Many waiters at once: one subscription connection, and no threads.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::redis_server;

std::vector<std::string> threads() {
    std::vector<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::getline(std::ifstream(each.path() / "comm"), names.emplace_back());
    }
    return names;
}

std::size_t descriptors() {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        (void)each;
        ++count;
    }
    return count;
}

std::size_t connections(const redis_server& server, const std::string& type) {
    const std::string all = server({"CLIENT", "LIST", "TYPE", type}).text;
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
}

TEST(redis_waiters, ten_thousand_share_one_subscription_and_need_no_threads) {
    constexpr int count = 10'000;
    const redis_server server;
    redis::options opts;
    opts.servers.front().port = server.port();
    opts.expiry = 120s;
    // Only news can wake them in time.
    opts.min_busy_wait = opts.max_busy_wait = 60s;
    const provider holder = redis::make_provider(opts);
    const provider waiters = redis::make_provider(opts);
    std::vector<lock_handle> held;
    for (int each = 0; each < count; ++each) {
        held.push_back(holder.make_lock("name" + std::to_string(each)).acquire(20s));
    }
    // So that its own thread and connections are there.
    (void)waiters.make_lock("other").acquire(5s);

    std::atomic<int> acquired{0};
    std::atomic<int> failed{0};
    std::vector<lock> locks;
    for (int each = 0; each < count; ++each) locks.push_back(waiters.make_lock("name" + std::to_string(each)));
    for (const lock& each : locks) {
        each.async_acquire(100s, [&](error_code code, lock_handle granted) {
            ++(code ? failed : acquired);
            granted.async_release([](error_code) {});
        });
    }
    ASSERT_TRUE(fakes::eventually(
        [&] {
            return server({"PUBSUB", "CHANNELS", "holdfast:*"}).elements.size() == count;
        },
        60s));
    EXPECT_EQ(connections(server, "pubsub"), 1);
    EXPECT_LE(connections(server, "normal"), 8);
    EXPECT_LE(threads().size(), 4U) << testing::PrintToString(threads());
    EXPECT_LE(descriptors(), 40);
    EXPECT_EQ(acquired, 0);

    const auto began = boottime::now();
    for (lock_handle& each : held) each.release();
    EXPECT_TRUE(fakes::eventually([&] { return acquired + failed == count; }, 60s));
    const auto took = std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - began);
    EXPECT_EQ(failed, 0);
    EXPECT_LT(took, 40s);
    std::printf("%d releases and hand-offs in %lld ms\n", count, static_cast<long long>(took.count()));
    EXPECT_TRUE(fakes::eventually([&] { return server({"DBSIZE"}).integer == 0; }, 20s));
    // Nobody listens any more, and nobody is subscribed for.
    EXPECT_TRUE(fakes::eventually([&] { return server({"PUBSUB", "CHANNELS", "*"}).elements.empty(); }, 20s));
}

}  // namespace
}  // namespace holdfast
