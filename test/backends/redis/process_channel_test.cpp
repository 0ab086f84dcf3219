// What channels, and those who ask over them, make of servers that are stopped, replaced or lost.
#include <support/attempt.hpp>
#include <support/loopback.hpp>
#include <support/redis_server.hpp>

#include <backends/redis/leftovers.hpp>
#include <backends/redis/sentinels.hpp>
#include <backends/redis/shared_channel.hpp>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

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
        const auto now = boottime::now();
        return rest_.take_back(0, core::owner_id("owner"), scripts::lock_release().call({"name"}, {"id", ""}),
                               scripts::lock_release(), now + 50ms, now);
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

/// Answers one connection's commands with these, one after the other.
class scripted {
public:
    explicit scripted(std::vector<std::string> answers) {
        const test::loopback_listener made = test::listen_on_loopback(1);
        listener_ = made.descriptor;
        port_ = made.port;
        thread_ = std::thread([this, answers = std::move(answers)] {
            const int one = ::accept(listener_, nullptr, nullptr);
            char chunk[4096];
            for (const std::string& each : answers) {
                if (::recv(one, chunk, sizeof chunk, 0) <= 0) break;
                (void)!::send(one, each.data(), each.size(), MSG_NOSIGNAL);
            }
            ::close(one);
        });
    }
    scripted(const scripted&) = delete;
    scripted& operator=(const scripted&) = delete;
    ~scripted() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    std::uint16_t port() const noexcept { return port_; }

private:
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

TEST(redis_channel, doubts_what_was_sent_to_a_server_that_had_greeted) {
    for (const bool greets : {true, false}) {
        const scripted odd(greets ? std::vector<std::string>{"+OK\r\n", "nonsense\r\n"}
                                  : std::vector<std::string>{"nonsense\r\n"});
        server to;
        to.address.host = "127.0.0.1";
        to.address.port = odd.port();
        to.database = greets ? 1 : 0;
        resolver names;
        channel over(to, names);
        request one;
        one.first = format({"SET", "name", "id"});
        over.submit(one, boottime::now());
        drive(over, one);
        EXPECT_EQ(one.answer, nullptr);
        EXPECT_EQ(one.why.code, errc::protocol) << one.why.text;
        EXPECT_EQ(one.sent, greets);
    }
}

}  // namespace
}  // namespace holdfast::redis
