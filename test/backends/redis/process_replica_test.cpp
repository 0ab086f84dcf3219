// Locks that replicas must have as well.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <memory>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_client;
using test::redis_server;

class redis_replicas : public testing::TestWithParam<style> {
protected:
    redis_replicas() {
        options_.servers.front().port = master_.port();
        options_.expiry = 4s;
        options_.min_validity = 2s;
        options_.extension_cadence = 100ms;
        options_.min_replicas = 1;
        // A replica that has just come tells of its own accord once in a second.
        options_.replica_timeout = 1900ms;
        have_one_more();
    }
    void have_one_more() {
        replicas_.push_back(std::make_unique<redis_server>(std::vector<std::string>{
            "--replicaof", "127.0.0.1", std::to_string(master_.port()), "--repl-diskless-sync-delay", "0"}));
        EXPECT_TRUE(fakes::eventually([&] {
            redis_client client(master_.socket_path());
            client({"SET", "probe", "x", "PX", "1"});
            return client({"WAIT", std::to_string(replicas_.size()), "100"}).integer ==
                   static_cast<long long>(replicas_.size());
        }));
    }
    redis_server& replica(std::size_t number) { return *replicas_[number]; }
    attempt acquire(const lock& one, timeout limit) { return fakes::acquire(handlers_, GetParam(), one, limit); }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    fakes::handler_thread handlers_;
    const redis_server master_{{"--repl-diskless-sync-delay", "0"}};
    std::vector<std::unique_ptr<redis_server>> replicas_;
    redis::options options_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_replicas, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_replicas, have_a_lock_when_it_is_acquired) {
    const provider locks = redis::make_provider(options_);
    for (int round = 0; round < 50; ++round) {
        attempt how = acquire(locks.make_lock("name"), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_EQ(replica(0)({"EXISTS", "name"}).integer, 1);
        EXPECT_FALSE(release(std::move(how.handle)).code);
    }
    const reader_writer_lock table = locks.make_reader_writer_lock("table");
    {
        const auto one = table.acquire_read(5s);
        const auto other = table.acquire_read(5s);
        EXPECT_EQ(replica(0)({"SCARD", "table.readers"}).integer, 2);
    }
    {
        const auto writer = table.acquire_write(5s);
        EXPECT_EQ(replica(0)({"EXISTS", "table.writer"}).integer, 1);
    }
    const auto ticket = locks.make_semaphore("tickets", 2).acquire(5s);
    EXPECT_EQ(replica(0)({"ZCARD", "tickets"}).integer, 1);
}

TEST_P(redis_replicas, that_do_not_answer_make_an_acquire_fail_and_leave_nothing) {
    options_.replica_timeout = 500ms;
    const provider locks = redis::make_provider(options_);
    // Whatever else there is to do goes on meanwhile.
    attempt held;
    // A new replica confirms nothing in its first second.
    ASSERT_TRUE(fakes::eventually([&] {
        held = acquire(locks.make_lock("held"), 5s);
        return !held.code;
    })) << held.diag.message;
    replica(0).signal(SIGSTOP);
    fakes::pending_acquire asking(handlers_, GetParam(), locks.make_lock("name"), 5s);
    const auto before = held.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return held.handle.valid_until() > before; }, 300ms)) << "renewals had to wait";
    const attempt how = asking.get();
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message() << how.diag.message;
    EXPECT_NE(how.diag.message.find("0 of 1 replicas"), std::string::npos) << how.diag.message;
    EXPECT_GE(how.took, 450ms);
    EXPECT_LT(how.took, 2s);
    EXPECT_EQ(master_({"EXISTS", "name"}).integer, 0) << "left behind";
    error_code code;
    (void)locks.make_reader_writer_lock("table").acquire_read(5s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
    (void)locks.make_reader_writer_lock("table").acquire_write(5s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
    (void)locks.make_semaphore("tickets", 2).acquire(5s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_EQ(master_({"DBSIZE"}).integer, 1) << "left behind";
    replica(0).signal(SIGCONT);
    EXPECT_FALSE(release(std::move(held.handle)).code);
    EXPECT_TRUE(fakes::eventually([&] {
        attempt again = acquire(locks.make_lock("name"), 5s);
        return !again.code && !release(std::move(again.handle)).code;
    }));
}

TEST_P(redis_replicas, must_be_as_many_as_are_asked_for) {
    options_.min_replicas = 2;
    const provider locks = redis::make_provider(options_);
    const attempt how = acquire(locks.make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message() << how.diag.message;
    EXPECT_NE(how.diag.message.find("1 of 2 replicas"), std::string::npos) << how.diag.message;
    EXPECT_EQ(master_({"DBSIZE"}).integer, 0);
    have_one_more();
    EXPECT_FALSE(acquire(locks.make_lock("name"), 5s).code);
}

TEST_P(redis_replicas, are_not_believed_in_when_the_connection_is_lost) {
    const provider locks = redis::make_provider(options_);
    replica(0).signal(SIGSTOP);
    fakes::pending_acquire asking(handlers_, GetParam(), locks.make_lock("name"), 5s);
    ASSERT_TRUE(fakes::eventually([&] {
        return master_({"CLIENT", "LIST", "TYPE", "normal"}).text.find("cmd=wait") != std::string::npos;
    }));
    master_({"CLIENT", "KILL", "TYPE", "normal"});
    const attempt how = asking.get();
    EXPECT_TRUE(how.code);
    EXPECT_TRUE(fakes::eventually([&] { return master_({"DBSIZE"}).integer == 0; })) << "left behind";
    replica(0).signal(SIGCONT);
}

}  // namespace
}  // namespace holdfast
