// Servers that are given by the name of their host.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>
#include <support/silent_names.hpp>

#include <holdfast/backends/redis.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::redis_server;

redis::options by_name(const redis_server& server) {
    redis::options opts;
    opts.servers.front().host = "localhost";
    opts.servers.front().port = server.port();
    return opts;
}

// The executor may not run, or run the call itself.
TEST(redis_host, is_found_by_a_caller_without_the_executor) {
    const redis_server server;
    boost::asio::io_context user;
    const provider from = redis::make_provider(by_name(server), {.executor = user.get_executor()});
    EXPECT_TRUE(from.make_lock("nobody runs it").try_acquire(2s));
    const provider within = redis::make_provider(by_name(server), {.executor = user.get_executor()});
    bool done = false;
    boost::asio::post(user, [&] { done = within.make_lock("it runs this").try_acquire(2s).has_value(); });
    user.run_for(4s);
    EXPECT_TRUE(done);
}

TEST(redis_host, whose_name_server_is_silent_holds_nobody_up) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to make a namespace";
    EXPECT_EQ(test::in_child([] {
                  const test::silent_names silence;
                  redis::options opts;
                  opts.servers.front().host = "redis.example";
                  const provider from = redis::make_provider(opts);
                  const auto began = boottime::now();
                  error_code code;
                  (void)from.make_lock("name").acquire(timeout::zero(), {}, code);
                  test::require(code == errc::unavailable, "no clear error");
                  test::require(boottime::now() - began < 6s, "too late");
              }),
              "");
}

TEST(redis_host, that_is_not_there_is_a_clear_error_for_all_who_ask_at_once) {
    redis::options opts;
    opts.servers.front().host = "no-such-host.invalid";
    const provider from = redis::make_provider(opts);
    constexpr int count = 20;
    std::atomic<int> left{count};
    std::vector<diagnostics> details(count);
    std::vector<error_code> codes(count);
    for (std::size_t i = 0; i < count; ++i) {
        from.make_lock("name" + std::to_string(i)).async_acquire(0ms, details[i], [&, i](error_code code, lock_handle) {
            codes[i] = code;
            --left;
        });
    }
    ASSERT_TRUE(fakes::eventually([&] { return left == 0; }, 20s));
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(codes[i], errc::unavailable);
        EXPECT_NE(details[i].message.find("cannot find no-such-host.invalid"), std::string::npos) << details[i].message;
    }
    error_code code;
    diagnostics diag;
    (void)from.make_lock("name").acquire(timeout::zero(), {}, code, &diag);
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_NE(diag.message.find("cannot find no-such-host.invalid"), std::string::npos) << diag.message;
}

}  // namespace
}  // namespace holdfast
