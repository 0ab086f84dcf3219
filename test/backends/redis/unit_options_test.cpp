// Options of the Redis backend: what a URL says, and what is refused.
#include <backends/redis/options.hpp>

#include <gtest/gtest.h>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

options from(const char* text) {
    return checked(options_from(url::parse(text)));
}

std::string refusal(const char* text) {
    try {
        from(text);
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::invalid_options);
        return refused.what();
    }
    ADD_FAILURE() << text << " was accepted";
    return {};
}

TEST(redis_url, names_a_server) {
    const options plain = from("redis://cache.example:6380/2?prefix=shop:");
    EXPECT_EQ(plain.servers.front().host, "cache.example");
    EXPECT_EQ(plain.servers.front().port, 6380);
    EXPECT_EQ(plain.database, 2);
    EXPECT_EQ(plain.key_prefix, "shop:");
    EXPECT_FALSE(plain.user || plain.password);
    EXPECT_EQ(from("redis://[::1]:6380").servers.front().host, "::1");
    EXPECT_EQ(from("redis://localhost").servers.front().port, 6379);
    EXPECT_EQ(from("redis://localhost/").database, 0);
    EXPECT_EQ(from("redis://localhost?database=3").database, 3);
}

TEST(redis_url, names_several_servers) {
    const options made = from("redis://a,b:6380,[::1]:6381/1");
    ASSERT_EQ(made.servers.size(), 3);
    EXPECT_EQ(made.servers[1].host, "b");
    EXPECT_EQ(made.servers[1].port, 6380);
    EXPECT_EQ(made.servers[2].host, "::1");
    EXPECT_EQ(made.database, 1);
    EXPECT_EQ(from("redis://a:1,a:2").servers.size(), 2) << "two ports are two servers";
}

TEST(redis_url, names_a_user) {
    const options both = from("redis://ann:s%40cret@localhost");
    EXPECT_EQ(both.user, "ann");
    EXPECT_EQ(both.password, "s@cret");
    const options password_only = from("redis://:secret@localhost");
    EXPECT_FALSE(password_only.user);
    EXPECT_EQ(password_only.password, "secret");
}

TEST(redis_url, names_a_socket) {
    for (const char* text : {"unix:///run/redis.sock?database=1", "redis+unix:///run/redis.sock?database=1"}) {
        const options made = from(text);
        EXPECT_EQ(made.servers.front().socket_path, "/run/redis.sock");
        EXPECT_EQ(made.database, 1);
    }
}

TEST(redis_url, speaks_tls) {
    const options made = from("rediss://ann:secret@a,b:6380/1?ca_file=/ca&cert_file=/c&key_file=/k&server_name=n");
    ASSERT_TRUE(made.tls.has_value());
    EXPECT_EQ(made.tls->ca_file, "/ca");
    EXPECT_EQ(made.tls->cert_file, "/c");
    EXPECT_EQ(made.tls->key_file, "/k");
    EXPECT_EQ(made.tls->server_name, "n");
    EXPECT_EQ(made.servers[1].port, 6380);
    EXPECT_EQ(made.database, 1);
    EXPECT_TRUE(from("rediss://h").tls.has_value());
    EXPECT_FALSE(from("redis://h").tls.has_value());
}

TEST(redis_url, names_sentinels) {
    const options made = from("redis+sentinel://ann:secret@a,b:26380,c/2?master=shop&sentinel_password=other&fencing");
    ASSERT_EQ(made.servers.size(), 3);
    EXPECT_EQ(made.servers[0].port, 26379);
    EXPECT_EQ(made.servers[1].port, 26380);
    EXPECT_EQ(made.sentinel_master, "shop");
    EXPECT_EQ(made.password, "secret");
    EXPECT_EQ(made.sentinel_password, "other");
    EXPECT_FALSE(made.sentinel_user);
    EXPECT_EQ(made.database, 2);
    EXPECT_EQ(from("redis+sentinel://a").sentinel_master, "mymaster");
}

TEST(redis_url, names_nodes_of_a_cluster) {
    const options made = from("redis+cluster://ann:secret@a,b:6380?prefix={shop}:&fencing&min_replicas=1");
    EXPECT_TRUE(made.cluster);
    ASSERT_EQ(made.servers.size(), 2);
    EXPECT_EQ(made.servers[0].port, 6379);
    EXPECT_EQ(made.servers[1].port, 6380);
    EXPECT_EQ(made.user, "ann");
    EXPECT_FALSE(from("redis://a,b").cluster);
    EXPECT_TRUE(from("rediss+cluster://a?ca_file=/ca").cluster);
    EXPECT_EQ(from("rediss+cluster://a?ca_file=/ca").tls->ca_file, "/ca");
    EXPECT_EQ(from("rediss+sentinel://a?ca_file=/ca").sentinel_master, "mymaster");
    EXPECT_EQ(from("rediss+sentinel://a?ca_file=/ca").tls->ca_file, "/ca");
}

TEST(redis_url, has_times) {
    const options made = from("redis://h?expiry=1m&min_validity=50s&extension_cadence=1500ms&connect_timeout=1s");
    EXPECT_EQ(made.expiry, 60s);
    EXPECT_EQ(made.min_validity, 50s);
    EXPECT_EQ(made.extension_cadence, 1500ms);
    EXPECT_EQ(made.connect_timeout, 1s);
}

TEST(redis_options, have_the_defaults_of_dotnet) {
    const options made = checked({});
    EXPECT_EQ(made.expiry, 30s);
    EXPECT_EQ(made.min_validity, 27s);
    EXPECT_EQ(made.extension_cadence, 9s);
    EXPECT_EQ(made.min_busy_wait, 10ms);
    EXPECT_EQ(made.max_busy_wait, 800ms);
    EXPECT_EQ(made.min_replicas, 0);
    EXPECT_EQ(made.replica_timeout, 1s);
}

TEST(redis_options, leave_time_for_a_renewal_and_may_be_all_that_dotnet_can_use) {
    for (const char* text : {
             // What is next to the defaults' bounds, from the least expiry to the greatest.
             "redis://h?extension_cadence=26999ms",
             "redis://h?expiry=100ms&extension_cadence=89ms",
             "redis://h?expiry=2147483647ms&extension_cadence=1932735281ms",
             "redis://h?min_validity=29900ms&extension_cadence=29s",
             "redis://h?min_validity=29999ms",
             "redis://h?min_validity=10ms",
             "redis://h?expiry=5s&min_validity=4990ms&extension_cadence=4896ms",
         }) {
        const options made = from(text);
        EXPECT_LE(made.extension_cadence + 2 * lease_margin(made.expiry), made.expiry) << text;
    }
}

TEST(redis_url, is_refused_with_what_would_be_right) {
    const struct {
        const char* url;
        const char* says;
    } rows[] = {
        {"redis:", "host is missing"},
        {"redis://", "host is missing"},
        {"redis://a,", "host is missing"},
        {"redis://a,b,A:6379", "listed twice"},
        {"redis://a,b,c?fencing", "one server"},
        {"redis+cluster://a/1", "database 0 only"},
        {"redis+cluster://a?prefix=x{", "hash tag"},
        {"redis+cluster://a?prefix=x{}y", "hash tag"},
        {"redis+cluster://a,a", "listed twice"},
        {"redis+cluster://", "host is missing"},
        {"redis://h:0", "from 1 to 65535"},
        {"redis://h:70000", "from 1 to 65535"},
        {"redis://h:x", "from 1 to 65535"},
        {"redis://::1", "brackets"},
        {"redis://[::1", "']'"},
        {"redis://[::1]x", "':'"},
        {"redis://h/x", "the database is a number"},
        {"redis://h/-1", "the database is a number"},
        {"redis://h/1?database=1", "not in both"},
        {"redis://ann@h", "needs a password"},
        {"unix:redis.sock", "absolute"},
        {"unix:", "absolute"},
        {"unix://host/redis.sock", "no host"},
        {"redis://h?expiry=99ms", "at least 100ms"},
        {"redis://h?expiry=10", "500ms, 30s or 2m"},
        {"redis://h?expiry=s", "500ms, 30s or 2m"},
        {"redis://h?expiry=99999999m", "from 0 to"},
        {"redis://h?expiry=1s&min_validity=1s", "less than 'expiry'"},
        {"redis://h?min_validity=9s&extension_cadence=9s", "less than 'min_validity'"},
        {"redis://h?expiry=5s&min_validity=4990ms&extension_cadence=4980ms", "at most 4896ms"},
        {"redis://h?expiry=100ms&min_validity=99ms&extension_cadence=95ms", "at most 94ms"},
        {"redis://h?min_busy_wait=1s", "not less than 'min_busy_wait'"},
        {"redis://h?min_busy_wait=0s&max_busy_wait=0s", "more than zero"},
        {"redis://h?connect_timeout=0s", "more than zero"},
        {"redis://h?min_replicas=-1", "'min_replicas' is a number from 0 to"},
        {"redis://h?min_replicas=many", "'min_replicas' is a number from 0 to"},
        {"redis://a,b,c?min_replicas=1", "one server"},
        {"redis://h?replica_timeout=4s", "at most 'expiry' less"},
        {"redis://h?colour=red", "unknown option"},
        {"redis://h?master=m", "unknown option"},
        {"redis+sentinel://a,a:26379", "listed twice"},
        {"redis+sentinel://a?master=", "'master'"},
        {"redis+sentinel://a?sentinel_user=x", "needs a password"},
        {"redis://h?ca_file=/ca", "unknown option"},
        {"redis://default:x@a:1,default:x@b:2", "%40 for '@' and %2C for ','"},
        {"redis://:p@ss@a", "%40 for '@' and %2C for ','"},
        {"rediss://a:1,ann:x@b:2", "once, before the first host"},
        {"redis+sentinel://a:1,:x@b:2", "once, before the first host"},
    };
    for (const auto& row : rows) {
        const std::string text = refusal(row.url);
        EXPECT_NE(text.find(row.says), std::string::npos) << row.url << ": " << text;
    }
    EXPECT_NE(refusal(("unix:///" + std::string(200, 'x')).c_str()).find("too long"), std::string::npos);
}

TEST(redis_options, have_no_time_that_cannot_be_added_to_the_clock) {
    for (const auto which : {&options::expiry, &options::max_busy_wait, &options::connect_timeout}) {
        options made;
        made.*which = std::chrono::milliseconds::max();
        try {
            checked(made);
            FAIL() << "not refused";
        } catch (const error& refused) {
            EXPECT_NE(std::string(refused.what()).find("at most 2147483647ms"), std::string::npos) << refused.what();
        }
    }
}

TEST(redis_url, keeps_its_secrets_when_refused) {
    for (const char* text : {"redis://ann:hunter2@h:0", "redis://ann:hunter2@h?expiry=1ms", "redis://:hunter2@",
                             "redis://ann:hunter2@a,ann:hunter2@b", "redis://ann:hunt@hunter2@h"}) {
        EXPECT_EQ(refusal(text).find("hunter2"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace holdfast::redis
