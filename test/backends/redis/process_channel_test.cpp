// What channels, and those who ask over them, make of servers that are stopped, replaced or lost.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <backends/redis/leftovers.hpp>
#include <backends/redis/sentinels.hpp>

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

/// Until it is done.
void drive(channel& over, const request& one) {
    ASSERT_TRUE(fakes::eventually([&] {
        over.drive(boottime::now(), true);
        return one.done;
    }));
}

TEST(redis_channel, leaves_a_master_that_answers_when_another_one_is_known) {
    const redis_server old_master;
    const redis_server new_master;
    const auto address = [](const redis_server& of) { return server_at(of).address; };
    server group;
    group.master_name = "shop";
    group.sentinels = std::make_shared<sentinels>("shop", std::vector<server>(1));
    group.sentinels->found(address(old_master), 0);
    resolver names;
    channel over(group, names);
    request first;
    first.first = format({"SET", "name", "first"});
    over.submit(first, boottime::now());
    drive(over, first);
    EXPECT_EQ(old_master({"GET", "name"}).text, "first");

    // One that is idle sends nothing there any more.
    group.sentinels->found(address(new_master), 0);
    request second;
    second.first = format({"SET", "name", "second"});
    over.submit(second, boottime::now());
    drive(over, second);
    EXPECT_NE(second.answer, nullptr) << second.why.text;
    EXPECT_EQ(old_master({"GET", "name"}).text, "first");
    EXPECT_EQ(new_master({"GET", "name"}).text, "second");

    // An answer that is on its way is not believed, but asked for again.
    request third;
    third.first = format({"GET", "name"});
    over.submit(third, boottime::now());
    over.drive(boottime::now(), false);
    ASSERT_TRUE(third.sent);
    std::this_thread::sleep_for(20ms);
    over.await_answer();
    group.sentinels->found(address(old_master), 0);
    drive(over, third);
    ASSERT_NE(third.answer, nullptr) << third.why.text;
    EXPECT_EQ(text_of(*third.answer), "first");
}

}  // namespace
}  // namespace holdfast::redis
