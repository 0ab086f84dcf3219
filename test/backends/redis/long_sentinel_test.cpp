// A master that fails, and sentinels that make another one.
#include <support/attempt.hpp>
#include <support/certificates.hpp>
#include <support/competitors.hpp>
#include <support/redis_sentinels.hpp>
#include <support/stranger.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <string>
#include <thread>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_sentinels;
using test::redis_server;

/// What one says that has been cut off from the others since the beginning. Not a real one, which learns from what
/// waits for it.
std::string stale_words(std::uint16_t master) {
    const std::string port = std::to_string(master);
    const std::string address = "*2\r\n$9\r\n127.0.0.1\r\n$" + std::to_string(port.size()) + "\r\n" + port + "\r\n";
    return address + "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n0\r\n";
}

class redis_sentinel : public testing::TestWithParam<style> {
protected:
    static redis::options options_for(const redis_sentinels& group) {
        redis::options made;
        made.servers.clear();
        for (const std::uint16_t port : group.ports()) made.servers.push_back({.port = port});
        made.sentinel_master = "shop";
        made.expiry = 10s;
        made.min_validity = 8s;
        made.extension_cadence = 200ms;
        return made;
    }
    attempt acquire(const lock& one, timeout limit) { return fakes::acquire(handlers_, GetParam(), one, limit); }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_sentinel, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_sentinel, leads_to_the_master_with_a_password_of_its_own) {
    redis_sentinels group("guarded");
    redis::options opts = options_for(group);
    attempt how = acquire(redis::make_provider(opts).make_lock("name"), timeout::zero());
    EXPECT_EQ(how.code, errc::permission) << how.code.message();
    EXPECT_NE(how.diag.message.find("password"), std::string::npos) << how.diag.message;
    opts.sentinel_password = "guarded";
    // One that is dead is passed over.
    group.kill_sentinel(0);
    const provider locks = redis::make_provider(opts);
    how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_EQ(group.server(0)({"EXISTS", "name"}).integer, 1);
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
    EXPECT_TRUE(fakes::eventually([&] {
        return group.server(0)({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer == 1;
    }));
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_FALSE(waiter.get().code);
    EXPECT_EQ(locks.list().size(), 0);
    opts.sentinel_master = "unknown";
    how = acquire(redis::make_provider(opts).make_lock("name"), timeout::zero());
    EXPECT_EQ(how.code, errc::invalid_options) << how.code.message();
    EXPECT_NE(how.diag.message.find("not known"), std::string::npos) << how.diag.message;
}

TEST_P(redis_sentinel, is_followed_when_the_master_dies_under_load) {
    redis_sentinels group;
    const redis::options opts = options_for(group);
    const provider holder = redis::make_provider(opts);
    attempt kept = acquire(holder.make_lock("kept"), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    // What replicas have is kept by the failover.
    test::redis_client(group.server(0).socket_path())({"WAIT", "2", "5000"});
    std::this_thread::sleep_for(300ms);

    fakes::competitors crowd(GetParam(), fakes::competitors::outages::allowed, 20s,
                             [&] { return redis::make_provider(opts).make_lock("name"); });
    ASSERT_TRUE(fakes::eventually([&] { return crowd.done() > 200; }));
    const std::uint16_t first = group.master();
    group.server(0).kill();
    const auto killed = boottime::now();
    ASSERT_TRUE(fakes::eventually([&] { return group.master() != first; }, 30s)) << "no failover";
    const int before = crowd.done();
    EXPECT_TRUE(fakes::eventually([&] { return crowd.done() > before + 200; }, 20s)) << "nobody found the new master";
    std::printf("%s: %lld ms from the master's death until 200 more acquisitions; %d overlaps\n",
                fakes::name_of(GetParam()),
                static_cast<long long>(std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - killed).count()),
                crowd.overlaps());
    crowd.stop();
    // The lock that was replicated has survived, and is still renewed.
    const auto until = kept.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return kept.handle.valid_until() > until; })) << "not renewed";
    EXPECT_EQ(kept.handle.state(), held_state::held);
    EXPECT_EQ(acquire(holder.make_lock("kept"), 50ms).code, errc::timed_out);
    EXPECT_FALSE(release(std::move(kept.handle)).code);
    // The old one comes back, as a replica, and nobody takes it for the master.
    group.server(0).start();
    attempt how = acquire(holder.make_lock("name"), 20s);
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_sentinel, is_followed_when_the_master_hangs) {
    redis_sentinels group;
    redis::options opts = options_for(group);
    opts.fencing = true;
    const provider locks = redis::make_provider(opts);
    attempt kept = acquire(locks.make_lock("kept"), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    ASSERT_TRUE(kept.handle.fencing_token().has_value());
    const auto token = kept.handle.fencing_token()->value();
    const auto lost = kept.handle.lost_token();
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("kept"), 60s);
    ASSERT_TRUE(fakes::eventually([&] {
        return group.server(0)({"PUBSUB", "NUMSUB", "holdfast:1:0:kept"}).elements[1].integer == 1;
    }));
    test::redis_client(group.server(0).socket_path())({"WAIT", "2", "5000"});
    const std::uint16_t first = group.master();
    // Its kernel goes on taking what it is sent: no connection ever ends.
    group.server(0).signal(SIGSTOP);
    const auto stopped = boottime::now();
    attempt next = acquire(locks.make_lock("name"), 15s);
    EXPECT_FALSE(next.code) << next.diag.message;
    EXPECT_GT(next.handle.fencing_token()->value(), token) << "the replica had the counter, too";
    EXPECT_NE(group.master(), first);
    EXPECT_TRUE(fakes::eventually([&] { return kept.handle.valid_until() > stopped + 12s; })) << "not renewed";
    EXPECT_FALSE(lost.stop_requested());
    EXPECT_FALSE(release(std::move(kept.handle)).code);
    const auto released = boottime::now();
    attempt had = waiter.get();
    EXPECT_FALSE(had.code) << had.diag.message;
    std::printf(
        "%s: a waiter has it %lld ms after its release at the new master\n", fakes::name_of(GetParam()),
        static_cast<long long>(std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - released).count()));
    // The old one still takes itself for the master.
    group.server(0).signal(SIGCONT);
    EXPECT_EQ(acquire(locks.make_lock("name"), 50ms).code, errc::timed_out);
}

TEST_P(redis_sentinel, is_not_led_back_by_a_sentinel_that_knows_of_no_failover) {
    redis_sentinels group;
    redis::options opts = options_for(group);
    // As a partition does it: the old master and one sentinel on one side, and the clients on both.
    const std::uint16_t old_master = group.server(0).port();
    const test::stranger stale(stale_words(old_master));
    opts.servers.back().port = stale.port();
    const provider first = redis::make_provider(opts);
    const provider second = redis::make_provider(opts);
    group.server(0).signal(SIGSTOP);
    ASSERT_TRUE(fakes::eventually([&] { return group.master() != old_master; }, 30s)) << "no failover";
    attempt held = acquire(first.make_lock("name"), 20s);
    ASSERT_FALSE(held.code) << held.diag.message;
    ASSERT_EQ(acquire(second.make_lock("name"), 3s).code, errc::timed_out);
    const std::uint16_t new_master = group.master();
    for (std::size_t each = 0; each < 3; ++each) group.kill_sentinel(each);
    group.server(0).signal(SIGCONT);
    ASSERT_EQ(test::redis_client("127.0.0.1", old_master)({"ROLE"}).elements[0].text, "master");
    test::redis_client("127.0.0.1", new_master)({"CLIENT", "KILL", "TYPE", "normal"});
    attempt refused = acquire(second.make_lock("name"), 3s);
    EXPECT_EQ(refused.code, errc::unavailable) << refused.code.message() << ": two holders";
    EXPECT_NE(refused.diag.message.find("replaced"), std::string::npos) << refused.diag.message;
    EXPECT_EQ(test::redis_client("127.0.0.1", old_master)({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_sentinel, an_asynchronous_failover_loses_what_replicas_did_not_have) {
    redis_sentinels group;
    const redis::options opts = options_for(group);
    redis_server& master = group.server(0);
    // From now on nothing reaches the replicas; the sentinels see nothing of it for a while.
    master({"ACL", "SETUSER", "default", "-psync", "-sync"});
    master({"CLIENT", "KILL", "TYPE", "replica"});
    attempt first = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    ASSERT_FALSE(first.code) << first.diag.message;
    const auto lost = first.handle.lost_token();
    const auto promised = first.handle.valid_until();
    master.kill();
    attempt second = acquire(redis::make_provider(opts).make_lock("name"), 20s);
    ASSERT_FALSE(second.code) << second.diag.message;
    // Two holders: by its own clock the first one could have gone on. Its next renewal tells it the truth.
    EXPECT_LT(boottime::now(), promised);
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }, 5s));
    EXPECT_EQ(first.handle.state(), held_state::lost);
    EXPECT_EQ(release(std::move(first.handle)).code, errc::lost);
    EXPECT_EQ(second.handle.state(), held_state::held) << "the loser has taken it away";
    EXPECT_FALSE(release(std::move(second.handle)).code);
}

TEST_P(redis_sentinel, is_survived_by_what_replicas_must_have) {
    redis_sentinels group;
    redis::options opts = options_for(group);
    opts.min_replicas = 1;
    opts.replica_timeout = 1900ms;
    const provider locks = redis::make_provider(opts);
    // A new replica confirms nothing in its first second.
    const auto acquire_confirmed = [&](const char* name) {
        attempt how;
        EXPECT_TRUE(fakes::eventually([&] { return !(how = acquire(locks.make_lock(name), 5s)).code; }, 20s))
            << how.diag.message;
        return how;
    };
    attempt kept = acquire_confirmed("kept");
    // Both, since nobody knows which of them will be the next master.
    test::redis_client(group.server(0).socket_path())({"WAIT", "2", "5000"});
    const std::uint16_t first = group.master();
    group.server(0).kill();
    ASSERT_TRUE(fakes::eventually([&] { return group.master() != first; }, 30s)) << "no failover";
    const auto replaced = boottime::now();
    EXPECT_TRUE(fakes::eventually([&] { return kept.handle.valid_until() > replaced + 8s; })) << "not renewed";
    EXPECT_FALSE(release(std::move(kept.handle)).code);
    // The other one follows the new master by then, and is the only one that can confirm.
    attempt next = acquire_confirmed("next");
    EXPECT_FALSE(release(std::move(next.handle)).code);
    redis_server& other = group.server(group.master() == group.server(1).port() ? 2 : 1);
    other.signal(SIGSTOP);
    const attempt refused = acquire(locks.make_lock("name"), 5s);
    EXPECT_EQ(refused.code, errc::unavailable) << refused.code.message();
    EXPECT_NE(refused.diag.message.find("0 of 1 replicas"), std::string::npos) << refused.diag.message;
    EXPECT_EQ(test::redis_client("127.0.0.1", group.master())({"EXISTS", "name"}).integer, 0) << "left behind";
    other.signal(SIGCONT);
}

TEST_P(redis_sentinel, a_master_that_is_made_a_replica_is_left) {
    redis_sentinels group;
    const provider locks = redis::make_provider(options_for(group));
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto first = group.master();
    test::redis_client sentinel("127.0.0.1", group.ports()[0]);
    ASSERT_TRUE(fakes::eventually([&] { return !sentinel({"SENTINEL", "FAILOVER", "shop"}).is_error; }));
    ASSERT_TRUE(fakes::eventually([&] { return group.master() != first; }, 30s));
    // Orderly: nothing is lost here, since the replicas had it all.
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before + 500ms; })) << "not renewed";
    EXPECT_FALSE(release(std::move(how.handle)).code);
    for (int round = 0; round < 20; ++round) {
        how = acquire(locks.make_lock("name"), 20s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_FALSE(release(std::move(how.handle)).code);
    }
}

TEST_P(redis_sentinel, speaks_tls_as_its_master_does) {
    const test::certificates issued;
    issued.add("server", "IP:127.0.0.1");
    auto server = issued.server_options("no");
    server.insert(server.end(), {"--tls-replication", "yes"});
    redis_sentinels group("guarded", server);
    redis::options opts = options_for(group);
    opts.sentinel_password = "guarded";
    opts.tls = redis::tls_options{.ca_file = issued.authority()};
    const provider locks = redis::make_provider(opts);
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_EQ(group.server(0)({"EXISTS", "name"}).integer, 1);
    const auto first = group.master();
    group.server(0).kill();
    ASSERT_TRUE(fakes::eventually([&] { return group.master() != first; }, 30s)) << "no failover";
    EXPECT_FALSE(acquire(locks.make_lock("other"), 20s).code);
    // Whom it does not trust it asks nothing.
    opts.tls->ca_file.clear();
    how = acquire(redis::make_provider(opts).make_lock("other"), timeout::zero());
    EXPECT_EQ(how.code, errc::permission) << how.code.message();
    EXPECT_NE(how.diag.message.find("certificate"), std::string::npos) << how.diag.message;
    opts.tls.reset();
    how = acquire(redis::make_provider(opts).make_lock("other"), timeout::zero());
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
}

}  // namespace
}  // namespace holdfast
