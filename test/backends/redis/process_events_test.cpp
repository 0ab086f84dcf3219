// Releases by others, of which only the server itself tells.
#include <support/attempt.hpp>
#include <support/notices.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_server;

constexpr const char* somebody = "dotnet_1_00000000000000000000000000000000";

class redis_events : public testing::TestWithParam<style> {
protected:
    /// Asks so seldom that only news can be what wakes a waiter.
    static redis::options options_for(const redis_server& server) {
        redis::options made;
        made.servers.front().port = server.port();
        made.expiry = 120s;
        made.min_busy_wait = made.max_busy_wait = 30s;
        return made;
    }
    static bool listens(const redis_server& server, const std::string& channel) {
        return fakes::eventually([&] { return server({"PUBSUB", "NUMSUB", channel}).elements[1].integer == 1; }, 5s);
    }
    /// How long after the change the acquire that waits for it is done.
    template <class Lock>
    std::chrono::milliseconds wake(const redis_server& server, const Lock& one, const std::string& key,
                                   const std::vector<std::string>& change) {
        fakes::pending_acquire waiter(handlers_, GetParam(), one, 20s);
        EXPECT_TRUE(listens(server, "__keyspace@0__:" + key));
        // The waiter asks once more when it listens; that is to be over.
        std::this_thread::sleep_for(50ms);
        const auto began = boottime::now();
        EXPECT_FALSE(server(change).is_error);
        const attempt how = waiter.get();
        EXPECT_FALSE(how.code) << how.diag.message;
        return std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - began);
    }

    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_events, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_events, wake_a_waiter_when_another_library_releases) {
    const redis_server server({"--notify-keyspace-events", "KA"});
    const provider locks = redis::make_provider(options_for(server));
    server({"SET", "name", somebody, "PX", "600000"});
    EXPECT_LT(wake(server, locks.make_lock("name"), "name", {"DEL", "name"}), 1s);
    server({"ZADD", "tickets", "9000000000000", somebody});
    const semaphore tickets = locks.make_semaphore("tickets", 1);
    EXPECT_LT(wake(server, tickets, "tickets", {"ZREM", "tickets", somebody}), 1s);
}

TEST_P(redis_events, tell_of_an_expiry_that_came_early) {
    const redis_server server({"--notify-keyspace-events", "Kgx"});
    const provider locks = redis::make_provider(options_for(server));
    server({"SET", "name", somebody, "PX", "600000"});
    EXPECT_LT(wake(server, locks.make_lock("name"), "name", {"PEXPIRE", "name", "50"}), 1s);
}

TEST_P(redis_events, wake_a_writer_when_the_last_reader_goes) {
    const redis_server server({"--notify-keyspace-events", "Kgx"});
    const provider locks = redis::make_provider(options_for(server));
    server({"SADD", "table.readers", somebody});
    server({"PEXPIRE", "table.readers", "600000"});
    const reader_writer_lock table = locks.make_reader_writer_lock("table");
    error_code code;
    lock_handle held;
    std::thread writer([&] { held = table.acquire_write(20s, {}, code); });
    EXPECT_TRUE(listens(server, "__keyspace@0__:table.readers"));
    std::this_thread::sleep_for(50ms);
    const auto began = boottime::now();
    server({"SREM", "table.readers", somebody});
    writer.join();
    EXPECT_FALSE(code) << code.message();
    EXPECT_LT(boottime::now() - began, 1s);
}

TEST_P(redis_events, are_not_listened_to_where_the_server_has_none) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    attempt first = fakes::acquire(handlers_, GetParam(), locks.make_lock("name"), 5s);
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
    EXPECT_TRUE(listens(server, "holdfast:1:0:name"));
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(server({"PUBSUB", "CHANNELS", "__key*"}).elements.size(), 0);
    EXPECT_FALSE(fakes::release(GetParam(), std::move(first.handle)).code);
    EXPECT_FALSE(waiter.get().code);
}

TEST_P(redis_events, may_be_forbidden_without_a_loss_of_our_own_news) {
    const redis_server server({"--notify-keyspace-events", "KA"});
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "-config", "resetchannels", "&holdfast:*"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    const auto told = std::make_shared<test::notices>();
    const provider locks = redis::make_provider(opts, {.observer = told});
    for (int round = 0; round < 3; ++round) {
        attempt first = fakes::acquire(handlers_, GetParam(), locks.make_lock("name"), 5s);
        ASSERT_FALSE(first.code) << first.diag.message;
        fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
        EXPECT_TRUE(listens(server, "holdfast:1:0:name"));
        std::this_thread::sleep_for(50ms);
        EXPECT_FALSE(fakes::release(GetParam(), std::move(first.handle)).code);
        attempt second = waiter.get();
        EXPECT_FALSE(second.code) << second.diag.message;
        EXPECT_LT(second.took, 5s);
    }
    EXPECT_EQ(told->texts().size(), 0);
}

}  // namespace
}  // namespace holdfast
