// TLS, with a server and an authority of the test's own: what works, and what goes wrong and is told.
#include <support/attempt.hpp>
#include <support/certificates.hpp>
#include <support/redis_server.hpp>
#include <support/second_process.hpp>
#include <support/stranger.hpp>

#include <holdfast/backends/redis.hpp>
#include <holdfast/holdfast.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::certificates;
using test::redis_server;

const certificates& issued() {
    static const certificates made;
    static const bool added = [] {
        made.add("server", "IP:127.0.0.1,DNS:localhost");
        made.add("client", "DNS:client");
        return true;
    }();
    (void)added;
    return made;
}

redis::options options_for(const redis_server& server) {
    redis::options made;
    made.servers.front().port = server.port();
    made.tls = redis::tls_options{.ca_file = issued().authority()};
    made.expiry = 2s;
    made.min_validity = 1s;
    made.extension_cadence = 100ms;
    return made;
}

class redis_tls : public testing::TestWithParam<style> {
protected:
    attempt acquire(const redis::options& opts, timeout limit) {
        return fakes::acquire(handlers_, GetParam(), redis::make_provider(opts).make_lock("name"), limit);
    }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_tls, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

void take_hand_over_and_renew(fakes::handler_thread& handlers, style how, const redis_server& server,
                              const redis::options& opts) {
    const provider locks = redis::make_provider(opts);
    const lock one = locks.make_lock("name");
    attempt first = fakes::acquire(handlers, how, one, 5s);
    ASSERT_FALSE(first.code) << first.diag.message;
    const auto before = first.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return first.handle.valid_until() > before + 300ms; })) << "not renewed";
    fakes::pending_acquire waiter(handlers, how, one, 20s);
    EXPECT_TRUE(fakes::eventually([&] {
        return server({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer == 1;
    })) << "no subscription";
    EXPECT_FALSE(fakes::release(how, std::move(first.handle)).code);
    attempt second = waiter.get();
    ASSERT_FALSE(second.code) << second.diag.message;
    EXPECT_FALSE(fakes::release(how, std::move(second.handle)).code);
    for (int round = 0; round < 100; ++round) {
        attempt again = fakes::acquire(handlers, how, one, 5s);
        ASSERT_FALSE(again.code) << again.diag.message;
        ASSERT_FALSE(fakes::release(how, std::move(again.handle)).code);
    }
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_tls, locks_are_taken_renewed_and_handed_over) {
    const redis_server server(issued().server_options("no"));
    take_hand_over_and_renew(handlers_, GetParam(), server, options_for(server));
}

TEST_P(redis_tls, a_time_shorter_than_connecting_takes_is_enough_for_a_free_lock) {
    const redis_server server(issued().server_options("no"));
    server.signal(SIGSTOP);
    // The kernel takes the connection, and nobody answers until the caller's time is long over.
    fakes::pending_acquire caller(handlers_, GetParam(), redis::make_provider(options_for(server)).make_lock("name"),
                                  2ms);
    std::this_thread::sleep_for(100ms);
    server.signal(SIGCONT);
    attempt how = caller.get();
    ASSERT_FALSE(how.code) << how.code.message() << how.diag.message;
    EXPECT_FALSE(release(std::move(how.handle)).code);
}

TEST_P(redis_tls, a_client_certificate_is_shown) {
    const redis_server server(issued().server_options("yes"));
    redis::options opts = options_for(server);
    opts.tls->cert_file = issued().certificate("client");
    opts.tls->key_file = issued().key("client");
    opts.servers.front().host = "localhost";
    take_hand_over_and_renew(handlers_, GetParam(), server, opts);
}

TEST_P(redis_tls, older_servers_speak_its_version_1_2) {
    auto settings = issued().server_options("no");
    settings.insert(settings.end(), {"--tls-protocols", "TLSv1.2"});
    const redis_server server(settings);
    take_hand_over_and_renew(handlers_, GetParam(), server, options_for(server));
}

TEST_P(redis_tls, a_majority_of_three_servers_works_over_it) {
    std::vector<std::unique_ptr<redis_server>> all;
    redis::options opts;
    for (int each = 0; each < 3; ++each) {
        all.push_back(std::make_unique<redis_server>(issued().server_options("no")));
        if (each == 0) {
            opts = options_for(*all.back());
        } else {
            opts.servers.push_back({.port = all.back()->port()});
        }
    }
    attempt how = acquire(opts, 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before + 300ms; })) << "not renewed";
    EXPECT_FALSE(release(std::move(how.handle)).code);
}

TEST_P(redis_tls, connections_that_are_killed_are_made_anew) {
    const redis_server server(issued().server_options("no"));
    const lock one = redis::make_provider(options_for(server)).make_lock("name");
    for (int round = 0; round < 20; ++round) {
        attempt how = fakes::acquire(handlers_, GetParam(), one, 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        server({"CLIENT", "KILL", "TYPE", "normal"});
        EXPECT_FALSE(release(std::move(how.handle)).code);
    }
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_tls, a_missing_client_certificate_is_told) {
    const redis_server server(issued().server_options("yes"));
    const attempt how = acquire(options_for(server), 5s);
    EXPECT_EQ(how.code, errc::permission) << how.code.message() << how.diag.message;
    EXPECT_NE(how.diag.message.find("certificate"), std::string::npos) << how.diag.message;
    EXPECT_LT(how.took, 3s);
}

TEST_P(redis_tls, an_unknown_authority_is_told_and_no_password_sent) {
    const redis_server server(issued().server_options("no"));
    const certificates others;
    redis::options opts = options_for(server);
    opts.password = "hunter2";
    for (const std::string& file : {others.authority(), std::string()}) {
        opts.tls->ca_file = file;
        const attempt how = acquire(opts, 5s);
        EXPECT_EQ(how.code, errc::permission) << how.code.message() << how.diag.message;
        EXPECT_NE(how.diag.message.find("not trusted"), std::string::npos) << how.diag.message;
        EXPECT_LT(how.took, 3s);
    }
    EXPECT_EQ(server({"INFO", "commandstats"}).text.find("cmdstat_auth"), std::string::npos);
}

TEST_P(redis_tls, a_certificate_of_another_host_is_told) {
    const redis_server server(issued().server_options("no"));
    redis::options opts = options_for(server);
    opts.tls->server_name = "redis.example";
    attempt how = acquire(opts, 5s);
    EXPECT_EQ(how.code, errc::permission) << how.code.message() << how.diag.message;
    EXPECT_NE(how.diag.message.find("mismatch"), std::string::npos) << how.diag.message;
    opts.tls->server_name = "127.0.0.2";
    how = acquire(opts, 5s);
    EXPECT_EQ(how.code, errc::permission) << how.code.message() << how.diag.message;
    opts.tls->server_name = "localhost";
    how = acquire(opts, 5s);
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_tls, a_port_without_it_is_told) {
    const redis_server server;
    attempt how = acquire(options_for(server), 3s);
    EXPECT_TRUE(how.code) << how.code.message();
    EXPECT_NE(how.diag.message.find("TLS"), std::string::npos) << how.diag.message;
    EXPECT_LT(how.took, 6s);
    const test::stranger web("HTTP/1.1 400 Bad Request\r\n\r\n");
    redis::options opts = options_for(server);
    opts.servers.front().port = web.port();
    how = acquire(opts, 5s);
    EXPECT_EQ(how.code, errc::protocol) << how.code.message() << how.diag.message;
    EXPECT_NE(how.diag.message.find("TLS"), std::string::npos) << how.diag.message;
    EXPECT_LT(how.took, 3s);
}

TEST_P(redis_tls, a_port_that_wants_it_is_told) {
    const redis_server server(issued().server_options("no"));
    redis::options opts = options_for(server);
    opts.tls.reset();
    const attempt how = acquire(opts, 2s);
    EXPECT_TRUE(how.code);
    EXPECT_NE(how.diag.message.find("rediss"), std::string::npos) << how.code.message() << how.diag.message;
    EXPECT_LT(how.took, 8s);
}

TEST_P(redis_tls, a_forked_child_says_nothing_to_the_server) {
    const redis_server server(issued().server_options("no"));
    const lock one = redis::make_provider(options_for(server)).make_lock("name");
    attempt how = fakes::acquire(handlers_, GetParam(), one, 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_EQ(test::in_child([&] { how.handle = {}; }), "");
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before; })) << "not renewed after the fork";
    EXPECT_FALSE(release(std::move(how.handle)).code);
}

TEST(redis_tls_url, opens_it) {
    const redis_server server(issued().server_options("yes"));
    registry known;
    redis::add_to(known);
    const provider locks =
        known.open("rediss://127.0.0.1:" + std::to_string(server.port()) + "/1?ca_file=" + issued().authority() +
                   "&cert_file=" + issued().certificate("client") + "&key_file=" + issued().key("client"));
    EXPECT_TRUE(locks.make_lock("name").try_acquire().has_value());
    EXPECT_EQ(locks.list().size(), 0);
    for (const finding& each : locks.examine()) EXPECT_NE(each.severity, finding::grade::fault) << each.text;
}

TEST(redis_tls_options, are_checked_before_anything_is_sent) {
    const std::string garbage = issued().authority() + ".garbage";
    std::ofstream(garbage) << "no certificate\n";
    const struct {
        redis::tls_options opts;
        const char* says;
    } rows[] = {
        {{.ca_file = "/nonexistent"}, "'ca_file'"},
        {{.ca_file = garbage}, "'ca_file'"},
        {{.cert_file = issued().certificate("client")}, "go together"},
        {{.server_name = std::string(256, 'x')}, "'server_name'"},
        {{.key_file = issued().key("client")}, "go together"},
        {{.cert_file = garbage, .key_file = issued().key("client")}, "'cert_file'"},
        {{.cert_file = issued().certificate("client"), .key_file = garbage}, "'key_file'"},
        {{.cert_file = issued().certificate("client"), .key_file = issued().key("server")}, "'key_file'"},
    };
    for (const auto& row : rows) {
        redis::options opts;
        opts.tls = row.opts;
        try {
            (void)redis::make_provider(opts);
            ADD_FAILURE() << row.says << " was accepted";
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_options);
            EXPECT_NE(std::string(refused.what()).find(row.says), std::string::npos) << refused.what();
        }
    }
    redis::options by_socket;
    by_socket.servers.front().socket_path = "/run/redis.sock";
    by_socket.tls.emplace();
    EXPECT_THROW((void)redis::make_provider(by_socket), error);
}

}  // namespace
}  // namespace holdfast
