// What list and examine tell of servers of the test's own.
#include <support/attempt.hpp>
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

}  // namespace
}  // namespace holdfast
