// What channels, and those who ask over them, make of servers that are stopped, replaced or lost.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <backends/redis/leftovers.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <memory>
#include <thread>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;
using test::redis_server;

server server_at(const redis_server& real) {
    server made;
    made.address.host = "127.0.0.1";
    made.address.port = real.port();
    return made;
}

class redis_leftovers : public testing::Test {
protected:
    std::shared_ptr<const request> take_back() {
        return rest_.take_back(0, "owner", scripts::lock_release().call({"name"}, {"id", ""}), scripts::lock_release(),
                               boottime::now() + 50ms);
    }

    redis_server server_;
    fakes::handler_thread handlers_;
    leftovers rest_{[this] {
        return leftovers::channels{shared_channel::make(std::make_shared<const server>(server_at(server_)),
                                                        std::make_shared<resolver>(), handlers_.executor())};
    }};
};

TEST_F(redis_leftovers, are_not_settled_by_time_while_they_are_on_their_way) {
    server_({"SET", "name", "id"});
    server_.signal(SIGSTOP);
    const auto taken = take_back();
    ASSERT_NE(taken, nullptr);
    std::this_thread::sleep_for(200ms);
    EXPECT_FALSE(rest_.is_settled(0, *taken)) << "it may still arrive";
    server_.signal(SIGCONT);
    EXPECT_TRUE(fakes::eventually([&] { return rest_.is_settled(0, *taken); }));
    EXPECT_EQ(server_({"EXISTS", "name"}).integer, 0);
}

TEST_F(redis_leftovers, that_were_lost_on_their_way_are_never_settled) {
    server_.signal(SIGSTOP);
    const auto taken = take_back();
    ASSERT_NE(taken, nullptr);
    std::this_thread::sleep_for(200ms);
    server_.kill();
    server_.start();
    std::this_thread::sleep_for(200ms);
    EXPECT_FALSE(rest_.is_settled(0, *taken));
}

}  // namespace
}  // namespace holdfast::redis
