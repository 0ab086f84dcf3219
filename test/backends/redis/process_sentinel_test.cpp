// What sentinels refuse. Those that answer are in long_sentinel_test.cpp, where they lead failovers.
#include <support/loopback.hpp>
#include <support/redis_server.hpp>
#include <support/stranger.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::stranger;

constexpr const char* wrong_password = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
/// To the question for its address.
constexpr const char* unknown_master = "*-1\r\n";
constexpr const char* not_now = "-LOADING Redis is loading the dataset in memory\r\n";

/// Where nobody listens.
std::uint16_t port_of_nobody() {
    const auto made = test::listen_on_loopback(1);
    ::close(made.descriptor);
    return made.port;
}

redis::options options_for(const std::vector<std::uint16_t>& sentinels) {
    redis::options made;
    made.servers.clear();
    for (const std::uint16_t port : sentinels) made.servers.emplace_back().port = port;
    made.sentinel_master = "shop";
    return made;
}

struct refusal {
    error_code code;
    diagnostics diag;
    boottime::duration took{};
};

refusal refused(const redis::options& opts, timeout limit) {
    refusal made;
    const auto began = boottime::now();
    const auto held = redis::make_provider(opts).make_lock("name").acquire(limit, {}, made.code, &made.diag);
    made.took = boottime::now() - began;
    EXPECT_FALSE(held);
    return made;
}

TEST(redis_sentinel, a_wrong_password_is_told_at_once) {
    const stranger one(wrong_password);
    const stranger other("-NOAUTH Authentication required.\r\n");
    for (const bool with_password : {true, false}) {
        redis::options opts = options_for({one.port(), port_of_nobody(), other.port()});
        if (with_password) opts.sentinel_password = "hunter2";
        const refusal how = refused(opts, 20s);
        EXPECT_EQ(how.code, errc::permission) << how.diag.message;
        EXPECT_LT(how.took, 10s);
        EXPECT_EQ(how.diag.message.find("hunter2"), std::string::npos);
    }
}

TEST(redis_sentinel, a_wrong_name_is_told_at_once_by_all_that_answer) {
    const stranger one(unknown_master);
    const stranger other(unknown_master);
    const refusal how = refused(options_for({one.port(), port_of_nobody(), other.port()}), 20s);
    EXPECT_EQ(how.code, errc::invalid_options) << how.diag.message;
    EXPECT_NE(how.diag.message.find("not known there"), std::string::npos) << how.diag.message;
    EXPECT_LT(how.took, 10s);
}

TEST(redis_sentinel, what_one_does_not_know_another_may_know) {
    const stranger one(unknown_master);
    const stranger another(wrong_password);
    const stranger loading(not_now);
    EXPECT_EQ(refused(options_for({one.port(), another.port(), loading.port()}), 300ms).code, errc::unavailable);

    const test::redis_server server;
    const std::string port = std::to_string(server.port());
    const stranger knowing("*2\r\n$9\r\n127.0.0.1\r\n$" + std::to_string(port.size()) + "\r\n" + port +
                           "\r\n-NOPERM no\r\n");
    const auto locks = redis::make_provider(options_for({one.port(), another.port(), knowing.port()}));
    EXPECT_EQ(locks.make_lock("name").acquire(10s).state(), held_state::held);
}

TEST(redis_sentinel, those_that_are_away_say_nothing) {
    EXPECT_EQ(refused(options_for({port_of_nobody(), port_of_nobody()}), 300ms).code, errc::unavailable);
}

}  // namespace
}  // namespace holdfast
