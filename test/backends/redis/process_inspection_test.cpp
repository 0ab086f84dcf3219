// What list and examine tell of servers of the test's own.
#include <support/attempt.hpp>
#include <support/redis_cluster.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::redis_server;

redis::options options_for(const redis_server& server) {
    redis::options made;
    made.servers.front().port = server.port();
    return made;
}

TEST(redis_inspection, lists_holders_and_waiters_and_nothing_else) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.key_prefix = "a*";
    const provider locks = redis::make_provider(opts);
    server({"SET", "a*settings", "blue"});
    server({"LPUSH", "a*queue", "x"});
    server({"SET", "ab", "host_1_0123456789abcdef0123456789abcdef"});
    server({"SET", "a*dotnet", "host_7_0123456789abcdef0123456789abcdef", "PX", "60000"});
    const auto one = locks.make_lock("lock").acquire();
    const auto ticket = locks.make_semaphore("tickets", 2).acquire();
    const reader_writer_lock table = locks.make_reader_writer_lock("table");
    const auto reader = table.acquire_read();
    fakes::handler_thread handlers;
    const std::jthread writer([&](const std::stop_token& stop) {
        error_code code;
        (void)table.acquire_write(20s, stop, code);
    });
    ASSERT_TRUE(fakes::eventually([&] { return server({"EXISTS", "a*table.writer"}).integer == 1; }));
    const auto found = locks.list();
    ASSERT_EQ(found.size(), 5);
    const std::string self = "process " + std::to_string(::getpid()) + " on ";
    const struct {
        const char* key;
        const char* access;
        lock_entry::status state;
    } rows[] = {{"a*dotnet", "exclusive", lock_entry::status::held},
                {"a*lock", "exclusive", lock_entry::status::held},
                {"a*table.readers", "read", lock_entry::status::held},
                {"a*table.writer", "exclusive", lock_entry::status::waiting},
                {"a*tickets", "ticket", lock_entry::status::held}};
    for (std::size_t at = 0; at < found.size(); ++at) {
        EXPECT_EQ(found[at].key, rows[at].key);
        EXPECT_EQ(found[at].access, rows[at].access);
        EXPECT_EQ(found[at].state, rows[at].state);
        EXPECT_EQ(found[at].holder.rfind(at == 0 ? "process 7 on host" : self, 0), 0) << found[at].holder;
    }
    EXPECT_EQ(locks.list({.key = "a*lock"}).front().state, lock_entry::status::held);
    EXPECT_EQ(locks.list({.key = "a*nobody"}).front().state, lock_entry::status::free);
}

/// To all of its clients.
long long bytes_said_by(const redis_server& server) {
    constexpr std::string_view field = "total_net_output_bytes:";
    const std::string stats = server({"INFO", "stats"}).text;
    return std::stoll(stats.substr(stats.find(field) + field.size()));
}

TEST(redis_inspection, lists_locks_beside_great_values_of_others_without_reading_them) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    server({"SETRANGE", "text", "70000000", "x"});
    server({"EVAL", "for i = 1, 600000 do redis.call('zadd', KEYS[1], i, 'player' .. i) end", "1", "scores"});
    const auto one = locks.make_lock("lock").acquire();
    const auto ticket = locks.make_semaphore("tickets", 2).acquire();
    const auto before = bytes_said_by(server);
    const auto found = locks.list();
    EXPECT_LT(bytes_said_by(server) - before, 10000);
    ASSERT_EQ(found.size(), 2);
    EXPECT_EQ(found[0].key, "lock");
    EXPECT_EQ(found[1].key, "tickets");
    const auto text = locks.list({.key = "text"});
    ASSERT_EQ(text.size(), 1);
    EXPECT_EQ(text[0].state, lock_entry::status::held) << "nobody else gets a lock of that name";
    EXPECT_LT(text[0].holder.size(), 1000);
}

TEST(redis_inspection, lists_entries_of_locks_among_a_thousand_others) {
    const std::string id = "host_7_0123456789abcdef0123456789abcdef";
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    server({"SADD", "many.readers", id});
    server({"EVAL", "for i = 1, 5000 do redis.call('sadd', KEYS[1], 'x' .. i) end", "1", "many.readers"});
    // Of one score, and of many; ours is the last of all, and in the middle.
    const std::string soon = std::to_string(std::stoll(server({"TIME"}).elements[0].text) * 1000 + 600000);
    const std::string add = "for i = 1, 3500 do redis.call('zadd', KEYS[1], ARGV[1] + i * ARGV[2], 'a' .. i) end ";
    server({"EVAL", add + "redis.call('zadd', KEYS[1], ARGV[1], ARGV[3])", "1", "same", soon, "0", id});
    server({"EVAL", add + "redis.call('zadd', KEYS[1], ARGV[1] + 2000.5, ARGV[3])", "1", "spread", soon, "1", id});
    const auto found = locks.list();
    ASSERT_EQ(found.size(), 3);
    const char* const keys[] = {"many.readers", "same", "spread"};
    for (std::size_t at = 0; at < found.size(); ++at) {
        EXPECT_EQ(found[at].key, keys[at]);
        EXPECT_EQ(found[at].holder, "process 7 on host");
    }
    EXPECT_EQ(locks.list({.key = "spread"}).size(), 3501) << "whoever takes room is told, once";
}

TEST(redis_inspection, says_of_what_it_cannot_read_that_it_cannot) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    const auto one = locks.make_lock("lock").acquire();
    server({"EVAL", "redis.call('sadd', KEYS[1], string.rep('x', 70000000))", "1", "great.readers"});
    const auto found = locks.list();
    ASSERT_EQ(found.size(), 2);
    EXPECT_EQ(found[0].key, "great.readers");
    ASSERT_FALSE(found[0].details.empty());
    EXPECT_EQ(found[0].details.back().first, "remark");
    EXPECT_EQ(found[1].key, "lock");
}

TEST(redis_inspection, tells_of_a_foreign_value_only_that_it_is_there) {
    const std::string digits(32, '0');
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    for (const std::string& value :
         {std::string("secret\nholdfast: forged"), "forged\n_1_" + digits, "\xff_1_" + digits,
          std::string(600, 'x') + "_1_" + digits, std::string("machine_pid_") + digits, std::string()}) {
        server({"SET", "text", value});
        const auto found = locks.list({.key = "text"});
        ASSERT_EQ(found.size(), 1);
        EXPECT_EQ(found[0].state, lock_entry::status::held) << "nobody gets a lock of that name";
        EXPECT_EQ(found[0].holder, "something that is no lock");
        ASSERT_EQ(found[0].details.size(), 1);
        EXPECT_EQ(found[0].details[0].first, "remaining");
    }
}

testing::AssertionResult says(const std::vector<finding>& found, const char* subject, finding::grade severity) {
    for (const finding& each : found) {
        if (each.subject != subject) continue;
        if (each.severity == severity) return testing::AssertionSuccess();
        return testing::AssertionFailure() << each.text;
    }
    return testing::AssertionFailure() << "nothing about " << subject;
}

TEST(redis_inspection, examines_what_makes_a_server_unfit) {
    using grade = finding::grade;
    const redis_server server({"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"});
    const auto found = redis::make_provider(options_for(server)).examine();
    EXPECT_TRUE(says(found, "version", grade::good));
    EXPECT_TRUE(says(found, "latency", grade::good));
    EXPECT_TRUE(says(found, "memory", grade::fault));
    EXPECT_TRUE(says(found, "persistence", grade::warning));
    EXPECT_TRUE(says(found, "channels", grade::good));
    EXPECT_TRUE(says(found, "events", grade::good));
    EXPECT_EQ(server({"DBSIZE"}).integer, 0) << "the examination left something behind";
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "resetchannels"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "channels", grade::warning));
    opts.password = "wrong";
    EXPECT_TRUE(says(redis::make_provider(opts).examine({.timeout = 2s}), "connection", grade::fault));
}

TEST(redis_inspection, lists_what_the_others_have_where_one_of_several_servers_is_away) {
    const redis_server one;
    redis_server away;
    const redis_server other;
    redis::options opts;
    opts.servers.clear();
    for (const std::uint16_t port : {away.port(), one.port(), other.port()}) opts.servers.emplace_back().port = port;
    const provider locks = redis::make_provider(opts);
    away.kill();
    const auto held = locks.make_lock("name").acquire(10s);
    for (const list_query& query : {list_query{}, list_query{.key = "name"}}) {
        const auto found = locks.list(query);
        ASSERT_EQ(found.size(), 3);
        EXPECT_EQ(found[0].key, "name");
        EXPECT_EQ(found[1].key, "name");
        ASSERT_EQ(found[2].details.size(), 1);
        EXPECT_EQ(found[2].details[0].first, "failure");
        EXPECT_NE(found[2].details[0].second.find(std::to_string(away.port())), std::string::npos);
    }
    EXPECT_EQ(locks.list({.key = "nobody"}).size(), 1) << "whether it is free is not known";
    opts.password = "wrong";
    opts.servers.erase(opts.servers.begin());
    try {
        (void)redis::make_provider(opts).list();
        ADD_FAILURE() << "nobody lets us in";
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::permission);
    }
}

TEST(redis_inspection, sees_slots_of_a_cluster_that_nobody_serves) {
    using grade = finding::grade;
    test::redis_cluster cluster(false, {"--cluster-require-full-coverage", "no", "--cluster-node-timeout", "500"});
    redis::options opts;
    opts.servers.front().port = cluster.node(0).port();
    opts.cluster = true;
    const provider locks = redis::make_provider(opts);
    EXPECT_TRUE(says(locks.examine(), "cluster", grade::good));
    const auto held = locks.make_lock(cluster.name_at(0)).acquire(10s);
    cluster.node(1).kill();
    ASSERT_TRUE(fakes::eventually([&] {
        return cluster.node(0)({"CLUSTER", "INFO"}).text.find("cluster_slots_fail:0") == std::string::npos;
    }));
    EXPECT_TRUE(says(locks.examine(), "cluster", grade::fault));
    const auto found = locks.list();
    ASSERT_EQ(found.size(), 2);
    EXPECT_EQ(found[0].key, cluster.name_at(0));
    EXPECT_EQ(found[1].details.front().first, "failure");
}

/// What is said of the subject; empty: nothing.
std::string text_of(const std::vector<finding>& found, const char* subject) {
    for (const finding& each : found) {
        if (each.subject == subject) return each.text;
    }
    return {};
}

TEST(redis_inspection, tells_in_the_servers_words_what_it_refuses) {
    // Both ask until they have an answer, or for as long as this.
    constexpr auto patience = 60s;
    const redis_server server({"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes"});
    const provider locks = redis::make_provider(options_for(server));
    const auto began = boottime::now();
    EXPECT_NE(text_of(locks.examine({.timeout = patience}), "rights").find("READONLY"), std::string::npos);
    server({"CONFIG", "SET", "replica-serve-stale-data", "no"});
    EXPECT_NE(text_of(locks.examine({.timeout = patience}), "connection").find("MASTERDOWN"), std::string::npos);
    try {
        (void)locks.list({.timeout = patience});
        ADD_FAILURE() << "it has listed what it cannot read";
    } catch (const error& refused) {
        EXPECT_NE(refused.diag().message.find("MASTERDOWN"), std::string::npos) << refused.diag().message;
    }
    EXPECT_LT(boottime::now() - began, 30s);
}

TEST(redis_inspection, tells_at_once_that_nobody_is_there) {
    constexpr auto patience = 60s;
    redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    server.kill();
    const auto began = boottime::now();
    EXPECT_NE(text_of(locks.examine({.timeout = patience}), "connection").find("refused"), std::string::npos);
    EXPECT_THROW((void)locks.list({.timeout = patience}), error);
    EXPECT_LT(boottime::now() - began, 30s);
}

TEST(redis_inspection, tells_of_a_missing_right_only_where_it_is_one) {
    using grade = finding::grade;
    const redis_server server({"--rename-command", "CONFIG", "HIDDEN"});
    const auto found = redis::make_provider(options_for(server)).examine();
    EXPECT_TRUE(says(found, "events", grade::warning));
    EXPECT_NE(text_of(found, "events").find("unknown command"), std::string::npos);
}

TEST(redis_inspection, tells_of_a_user_who_may_not_ask_for_events_or_subscribe) {
    using grade = finding::grade;
    const redis_server server;
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all", "-config", "-subscribe"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    const auto found = redis::make_provider(opts).examine();
    EXPECT_TRUE(says(found, "events", grade::good));
    EXPECT_EQ(text_of(found, "events"), "this user may not ask whether keyspace events are on");
    EXPECT_TRUE(says(found, "channels", grade::warning));
    EXPECT_NE(text_of(found, "channels").find("may not subscribe"), std::string::npos);
}

TEST(redis_inspection, examines_what_the_options_ask_for) {
    using grade = finding::grade;
    const redis_server server;
    redis::options opts = options_for(server);
    EXPECT_EQ(text_of(redis::make_provider(opts).examine(), "min_replicas"), "");
    EXPECT_EQ(text_of(redis::make_provider(opts).examine(), "fencing"), "");
    opts.min_replicas = 1;
    opts.fencing = true;
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "min_replicas", grade::fault));
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "fencing", grade::good));
    const redis_server replica({"--replicaof", "127.0.0.1 " + std::to_string(server.port())});
    ASSERT_TRUE(fakes::eventually([&] {
        return server({"INFO", "replication"}).text.find("state=online") != std::string::npos;
    }));
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "min_replicas", grade::good));
    opts.min_replicas = 2;
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "min_replicas", grade::fault));
    server({"SET", "holdfast:fencing", "17"});
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "fencing", grade::good));
    server({"SET", "holdfast:fencing", ""});
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "fencing", grade::fault));
    server({"SET", "holdfast:fencing", "17x"});
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "fencing", grade::fault));
    server({"DEL", "holdfast:fencing"});
    server({"LPUSH", "holdfast:fencing", "17"});
    EXPECT_TRUE(says(redis::make_provider(opts).examine(), "fencing", grade::fault));
}

}  // namespace
}  // namespace holdfast
