// Masters of a cluster that fail, and replicas that take over.
#include <support/attempt.hpp>
#include <support/certificates.hpp>
#include <support/competitors.hpp>
#include <support/redis_cluster.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_client;
using test::redis_cluster;
using test::redis_server;

class redis_cluster_failover : public testing::TestWithParam<style> {
protected:
    redis_cluster_failover() {
        options_.servers.clear();
        for (std::size_t number = 0; number < group_.size(); ++number) {
            options_.servers.push_back({.port = group_.node(number).port()});
        }
        options_.cluster = true;
        options_.expiry = 15s;
        options_.min_validity = 12s;
        options_.extension_cadence = 200ms;
    }
    /// One that is in the slots of the first master.
    std::string name_of(const std::string& what) const { return group_.name_at(0, what); }
    bool has_taken_over() {
        return fakes::eventually(
            [&] {
                return group_.node(3)({"INFO", "replication"}).text.find("role:master") != std::string::npos;
            },
            60s);
    }
    attempt acquire(const lock& one, timeout limit) { return fakes::acquire(handlers_, GetParam(), one, limit); }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }
    /// A new replica confirms nothing in its first second.
    attempt acquire_confirmed(const lock& one) {
        attempt how;
        (void)fakes::eventually(
            [&] {
                how = acquire(one, 5s);
                return !how.code;
            },
            20s);
        return how;
    }
    static bool is_renewed(const lock_handle& held) {
        const auto before = held.valid_until();
        return fakes::eventually([&] { return held.valid_until() > before + 500ms; }, 20s);
    }
    /// What the replica has is kept by a failover.
    void await_replica() {
        EXPECT_TRUE(fakes::eventually([&] {
            redis_client client(group_.node(0).socket_path());
            client({"SET", name_of("probe"), "x", "PX", "1"});
            return client({"WAIT", "1", "1000"}).integer == 1;
        }));
    }

    fakes::handler_thread handlers_;
    redis_cluster group_{true};
    redis::options options_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_cluster_failover, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_cluster_failover, is_followed_under_load) {
    const std::string name = name_of("name");
    const provider holder = redis::make_provider(options_);
    const std::string kept_name = name_of("kept");
    attempt kept = acquire(holder.make_lock(kept_name), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    await_replica();
    fakes::competitors crowd(GetParam(), fakes::competitors::outages::allowed, 30s,
                             [&] { return redis::make_provider(options_).make_lock(name); });
    ASSERT_TRUE(fakes::eventually([&] { return crowd.done() > 200; }));
    group_.node(0).kill();
    const auto killed = boottime::now();
    EXPECT_TRUE(has_taken_over());
    const auto replaced = boottime::now();
    const int before = crowd.done();
    EXPECT_TRUE(fakes::eventually([&] { return crowd.done() > before + 200; }, 30s)) << "nobody found the new master";
    const auto in_ms = [](auto span) {
        return static_cast<long long>(std::chrono::ceil<std::chrono::milliseconds>(span).count());
    };
    std::printf("%s: %lld ms from the master's death to the new one, %lld ms more to 200 acquisitions; %d overlaps\n",
                fakes::name_of(GetParam()), in_ms(replaced - killed), in_ms(boottime::now() - replaced),
                crowd.overlaps());
    crowd.stop();
    // The lock that was replicated has survived, and is still renewed.
    EXPECT_TRUE(is_renewed(kept.handle)) << "not renewed";
    EXPECT_EQ(kept.handle.state(), held_state::held);
    EXPECT_EQ(acquire(holder.make_lock(kept_name), 50ms).code, errc::timed_out);
    EXPECT_FALSE(release(std::move(kept.handle)).code);
    // The old one comes back, as a replica, and nobody takes it for the master.
    group_.node(0).start();
    attempt how = acquire(holder.make_lock(name), 20s);
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_cluster_failover, takes_waiters_along) {
    options_.min_busy_wait = options_.max_busy_wait = 60s;
    options_.expiry = 60s;
    options_.min_validity = 50s;
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    fakes::pending_acquire waiter(handlers_, GetParam(), redis::make_provider(options_).make_lock(name), 50s);
    const auto listens_at = [&](std::size_t number) {
        return fakes::eventually(
            [&] {
                for (const auto& each : group_.node(number)({"PUBSUB", "SHARDCHANNELS"}).elements) {
                    if (each.text.ends_with("}:" + name)) return true;
                }
                return false;
            },
            30s);
    };
    EXPECT_TRUE(listens_at(0));
    await_replica();
    group_.node(0).kill();
    EXPECT_TRUE(has_taken_over());
    EXPECT_TRUE(listens_at(3));
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_FALSE(waiter.get().code);
}

TEST_P(redis_cluster_failover, loses_what_the_replica_did_not_have_and_says_so) {
    const std::string name = name_of("name");
    redis_server& master = group_.node(0);
    master({"ACL", "SETUSER", "default", "-psync", "-sync"});
    master({"CLIENT", "KILL", "TYPE", "replica"});
    attempt first = acquire(redis::make_provider(options_).make_lock(name), 5s);
    ASSERT_FALSE(first.code) << first.diag.message;
    const auto lost = first.handle.lost_token();
    master.kill();
    attempt second = acquire(redis::make_provider(options_).make_lock(name), 30s);
    ASSERT_FALSE(second.code) << second.diag.message;
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }, 15s));
    EXPECT_EQ(first.handle.state(), held_state::lost);
    EXPECT_EQ(release(std::move(first.handle)).code, errc::lost);
    EXPECT_EQ(second.handle.state(), held_state::held) << "the loser has taken it away";
    EXPECT_FALSE(release(std::move(second.handle)).code);
}

TEST_P(redis_cluster_failover, of_a_master_that_is_silent_is_noticed) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    await_replica();
    // Its connections stand, and nothing ends them.
    group_.node(0).signal(SIGSTOP);
    EXPECT_TRUE(has_taken_over());
    EXPECT_TRUE(is_renewed(how.handle)) << "nobody looked for another master";
    // It carries out, and answers, what it was sent when it was the master.
    group_.node(0).signal(SIGCONT);
    EXPECT_TRUE(is_renewed(how.handle));
    EXPECT_EQ(how.handle.state(), held_state::held);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_EQ(group_.node(3)({"EXISTS", name}).integer, 0);
}

TEST_P(redis_cluster_failover, that_is_asked_for_loses_nothing) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_FALSE(group_.node(3)({"CLUSTER", "FAILOVER"}).is_error);
    EXPECT_TRUE(has_taken_over());
    EXPECT_TRUE(is_renewed(how.handle));
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
    EXPECT_FALSE(release(std::move(how.handle)).code);
}

TEST_P(redis_cluster_failover, that_does_not_come_ends_calls_in_time) {
    options_.expiry = 6s;
    options_.min_validity = 5s;
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    const std::string kept_name = name_of("kept");
    attempt kept = acquire(locks.make_lock(kept_name), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    const auto lost = kept.handle.lost_token();
    // Neither it nor its replica; after a while all nodes refuse.
    group_.node(3).kill();
    group_.node(0).kill();
    attempt how = acquire(locks.make_lock(name), timeout::zero());
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
    how = acquire(locks.make_lock(name), 500ms);
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
    EXPECT_LT(how.took, 10s);
    EXPECT_TRUE(fakes::eventually(
        [&] {
            return group_.node(1)({"CLUSTER", "INFO"}).text.find("cluster_state:fail") != std::string::npos;
        },
        20s));
    how = acquire(redis::make_provider(options_).make_lock("any"), 200ms);
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
    EXPECT_NE(how.diag.message.find("CLUSTERDOWN"), std::string::npos) << how.diag.message;
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }, 20s));
    EXPECT_EQ(kept.handle.state(), held_state::lost);
}

TEST_P(redis_cluster_failover, is_survived_by_what_replicas_must_have) {
    options_.min_replicas = 1;
    options_.replica_timeout = 2900ms;
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    attempt how = acquire_confirmed(locks.make_lock(name));
    ASSERT_FALSE(how.code) << how.diag.message;
    group_.node(0).kill();
    EXPECT_TRUE(has_taken_over());
    EXPECT_TRUE(is_renewed(how.handle));
    EXPECT_FALSE(release(std::move(how.handle)).code);
    // Its only replica is the master now.
    how = acquire(locks.make_lock(name), 10s);
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
    EXPECT_NE(how.diag.message.find("0 of 1 replicas"), std::string::npos) << how.diag.message;
    EXPECT_EQ(group_.node(3)({"EXISTS", name}).integer, 0) << "left behind";
}

TEST_P(redis_cluster_failover, replicas_of_the_node_that_a_slot_moves_to_confirm_as_well) {
    options_.min_replicas = 1;
    options_.replica_timeout = 2900ms;
    const provider locks = redis::make_provider(options_);
    const std::string name = name_of("name");
    const long long slot = group_.slot_of(name);
    group_.begin_move(slot, 0, 1);
    attempt how = acquire_confirmed(locks.make_lock(name));
    ASSERT_FALSE(how.code) << how.diag.message;
    group_.end_move(slot, 1);
    EXPECT_EQ(group_.node(1)({"EXISTS", name}).integer, 1);
    EXPECT_TRUE(is_renewed(how.handle));
    EXPECT_FALSE(release(std::move(how.handle)).code);
}

class redis_cluster_resharding : public testing::TestWithParam<style> {};

INSTANTIATE_TEST_SUITE_P(styles, redis_cluster_resharding, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_cluster_resharding, under_load_neither_loses_locks_nor_gives_them_twice) {
    const redis_cluster group(false);
    redis::options opts;
    opts.servers = {{.port = group.node(0).port()}};
    opts.cluster = true;
    opts.extension_cadence = 100ms;
    const std::string name = "name";
    fakes::competitors crowd(GetParam(), fakes::competitors::outages::none, 30s,
                             [&] { return redis::make_provider(opts).make_lock(name); });
    const long long slot = group.slot_of(name);
    for (int round = 0; round < 12; ++round) {
        const int before = crowd.done();
        const std::size_t from = group.owner_of(name);
        const std::size_t to = (from + 1) % redis_cluster::masters;
        group.begin_move(slot, from, to);
        // Some are granted and released where the slot goes.
        EXPECT_TRUE(fakes::eventually([&] { return crowd.done() > before + 20; }, 30s));
        while (!group.node(from)({"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), "10"}).elements.empty()) {
            group.move_key(name, from, to);
        }
        group.end_move(slot, to);
        EXPECT_TRUE(fakes::eventually([&] { return crowd.done() > before + 100; }, 30s));
    }
    crowd.stop();
    EXPECT_EQ(crowd.overlaps(), 0);
    EXPECT_EQ(group.ask(name, {"EXISTS", name}).integer, 0);
}

class redis_cluster_before_7 : public testing::TestWithParam<style> {};

INSTANTIATE_TEST_SUITE_P(styles, redis_cluster_before_7, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_cluster_before_7, tells_of_releases_by_plain_channels) {
    const redis_cluster group(false, {"--rename-command", "SSUBSCRIBE", "", "--rename-command", "SPUBLISH", ""});
    redis::options opts;
    opts.servers = {{.port = group.node(0).port()}};
    opts.cluster = true;
    // Only news can wake waiters in time.
    opts.min_busy_wait = opts.max_busy_wait = 60s;
    const provider locks = redis::make_provider(opts);
    fakes::handler_thread handlers;
    for (int count = 0; count < 10; ++count) {
        const std::string name = "name" + std::to_string(count);
        attempt how = fakes::acquire(handlers, GetParam(), locks.make_lock(name), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        fakes::pending_acquire waiter(handlers, GetParam(), locks.make_lock(name), 20s);
        EXPECT_TRUE(fakes::eventually([&] {
            const auto channels = group.node(group.owner_of(name))({"PUBSUB", "CHANNELS"}).elements;
            return std::any_of(channels.begin(), channels.end(),
                               [&](const auto& each) { return each.text.ends_with("}:" + name); });
        }));
        EXPECT_FALSE(fakes::release(GetParam(), std::move(how.handle)).code);
        const attempt then = waiter.get();
        EXPECT_FALSE(then.code) << then.code.message();
        EXPECT_LT(then.took, 10s);
    }
}

class redis_cluster_with_tls : public testing::TestWithParam<style> {};

INSTANTIATE_TEST_SUITE_P(styles, redis_cluster_with_tls, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_cluster_with_tls, is_spoken_to_with_tls_at_every_node) {
    const test::certificates issued;
    issued.add("server", "IP:127.0.0.1");
    auto server = issued.server_options("no");
    server.insert(server.end(), {"--tls-cluster", "yes", "--tls-replication", "yes"});
    const redis_cluster group(false, server);
    redis::options opts;
    opts.servers = {{.port = group.node(0).port()}};
    opts.cluster = true;
    opts.tls = redis::tls_options{.ca_file = issued.authority()};
    // Only news can wake waiters in time.
    opts.min_busy_wait = opts.max_busy_wait = 60s;
    opts.extension_cadence = 100ms;
    const provider locks = redis::make_provider(opts);
    fakes::handler_thread handlers;
    std::set<std::size_t> used;
    for (int count = 0; used.size() < redis_cluster::masters; ++count) {
        const std::string name = "name" + std::to_string(count);
        used.insert(group.owner_of(name));
        attempt how = fakes::acquire(handlers, GetParam(), locks.make_lock(name), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        fakes::pending_acquire waiter(handlers, GetParam(), locks.make_lock(name), 20s);
        EXPECT_TRUE(fakes::eventually([&] {
            return !group.node(group.owner_of(name))({"PUBSUB", "SHARDCHANNELS"}).elements.empty();
        }));
        const auto before = how.handle.valid_until();
        EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before; })) << "not renewed";
        EXPECT_FALSE(fakes::release(GetParam(), std::move(how.handle)).code);
        EXPECT_FALSE(waiter.get().code);
    }
    EXPECT_EQ(locks.list().size(), 0);
    opts.tls->ca_file.clear();
    const attempt how = fakes::acquire(handlers, GetParam(), redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::permission) << how.code.message() << how.diag.message;
}

}  // namespace
}  // namespace holdfast
