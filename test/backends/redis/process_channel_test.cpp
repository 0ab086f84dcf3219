// What channels, and those who ask over them, make of servers that are stopped, replaced or lost.
#include <support/attempt.hpp>
#include <support/loopback.hpp>
#include <support/redis_server.hpp>
#include <support/shortage.hpp>
#include <support/tcp_proxy.hpp>

#include <backends/redis/leftovers.hpp>
#include <backends/redis/sentinels.hpp>
#include <backends/redis/shared_channel.hpp>
#include <backends/redis/subscriber.hpp>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;
using test::redis_server;
using test::tcp_proxy;

server server_at(std::uint16_t port) {
    server made;
    made.address.host = "127.0.0.1";
    made.address.port = port;
    return made;
}
server server_at(const redis_server& real) {
    return server_at(real.port());
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

/// Asks for that, until it is done.
void ask(channel& over, request& one, std::initializer_list<std::string_view> words) {
    one.first = format(words);
    over.submit(one, boottime::now());
    drive(over, one);
}

TEST(redis_channel, leaves_a_master_that_answers_when_another_one_is_known) {
    const redis_server old_master;
    const redis_server new_master;
    const auto address = [](const redis_server& of) { return server_at(of).address; };
    server group;
    group.master_name = "shop";
    group.sentinels = std::make_shared<sentinels>("shop", std::vector<server>(1), 30s);
    group.sentinels->found(address(old_master), std::nullopt, 0, boottime::now());
    resolver names;
    channel over(group, names);
    request first;
    ask(over, first, {"SET", "name", "first"});
    EXPECT_EQ(old_master({"GET", "name"}).text, "first");

    // One that is idle sends nothing there any more.
    group.sentinels->found(address(new_master), std::nullopt, 0, boottime::now());
    request second;
    ask(over, second, {"SET", "name", "second"});
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
    group.sentinels->found(address(old_master), std::nullopt, 0, boottime::now());
    drive(over, third);
    ASSERT_NE(third.answer, nullptr) << third.why.text;
    EXPECT_EQ(text_of(*third.answer), "first");
}

class redis_silent_channel : public testing::Test {
protected:
    redis_silent_channel() { to_.longest_silence = 200ms; }

    redis_server real_;
    tcp_proxy proxy_{real_.port()};
    server to_ = server_at(proxy_.port());
    resolver names_;
};

TEST_F(redis_silent_channel, leaves_a_connection_that_is_dead_without_a_word) {
    channel over(to_, names_);
    request first;
    ask(over, first, {"SET", "name", "first"});
    proxy_.silence();
    request second;
    second.first = format({"GET", "name"});
    const auto began = boottime::now();
    over.submit(second, began);
    drive(over, second);
    ASSERT_NE(second.answer, nullptr) << second.why.text;
    EXPECT_EQ(text_of(*second.answer), "first");
    EXPECT_EQ(second.losses, 1);
    EXPECT_GE(boottime::now() - began, to_.longest_silence) << "whoever is a little late is not dead";
}

TEST_F(redis_silent_channel, keeps_the_connection_to_a_server_that_is_stopped) {
    channel over(to_, names_);
    request first;
    ask(over, first, {"SET", "name", "first"});
    real_.signal(SIGSTOP);
    request second;
    second.first = format({"GET", "name"});
    over.submit(second, boottime::now());
    const auto until = boottime::now() + 2s;
    while (boottime::now() < until) {
        over.drive(boottime::now(), true);
        EXPECT_FALSE(second.done);
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_LT(over.again_at(), core::never) << "it is not looked whether the server has come back elsewhere";
    real_.signal(SIGCONT);
    drive(over, second);
    ASSERT_NE(second.answer, nullptr) << second.why.text;
    // What is sent over another connection may be carried out before what was sent over this one.
    EXPECT_EQ(second.losses, 0);
    EXPECT_EQ(over.again_at(), core::never);
    const std::string said = real_({"INFO", "stats"}).text;
    const auto at = said.find("total_connections_received:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LE(std::stoi(said.substr(said.find(':', at) + 1)), 10) << "a stopped server is asked all the time";
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

/// One of many is not waited for when a majority has answered.
TEST(redis_channel, tells_one_of_many_the_scripts_that_it_does_not_know) {
    const redis_server real;
    const server to = server_at(real);
    resolver names;
    channel over(to, names);
    const auto submit = [&](request& one) {
        one.first_script = &scripts::lock_release();
        one.first = one.first_script->call({"name"}, {"id", ""});
        one.one_of_many = true;
        over.submit(one, boottime::now());
    };
    const auto unknown = [&] {
        const std::string said = real({"INFO", "errorstats"}).text;
        const std::string_view field = "errorstat_NOSCRIPT:count=";
        const auto at = said.find(field);
        return at == std::string::npos ? 0 : std::stoi(said.substr(at + field.size()));
    };
    request first;
    submit(first);
    drive(over, first);
    EXPECT_NE(first.answer, nullptr) << first.why.text;
    EXPECT_EQ(unknown(), 0) << "a new connection may be one to a server that was started anew";

    real({"SCRIPT", "FLUSH"});
    request forgotten;
    submit(forgotten);
    over.drive(boottime::now(), false);
    ASSERT_TRUE(forgotten.sent);
    over.forget(forgotten);
    request ping;
    ask(over, ping, {"PING"});
    EXPECT_EQ(unknown(), 1);
    request last;
    submit(last);
    drive(over, last);
    EXPECT_NE(last.answer, nullptr) << last.why.text;
    EXPECT_EQ(unknown(), 1) << "it has not learned from what was forgotten";
}

TEST(redis_channel, doubts_what_was_sent_to_a_server_that_had_greeted) {
    for (const bool greets : {true, false}) {
        const scripted odd(greets ? std::vector<std::string>{"+OK\r\n", "nonsense\r\n"}
                                  : std::vector<std::string>{"nonsense\r\n"});
        server to = server_at(odd.port());
        to.database = greets ? 1 : 0;
        resolver names;
        channel over(to, names);
        request one;
        ask(over, one, {"SET", "name", "id"});
        EXPECT_EQ(one.answer, nullptr);
        EXPECT_EQ(one.why.code, errc::protocol) << one.why.text;
        EXPECT_EQ(one.sent, greets);
    }
}

/// What a sentinel answers to both of a guide's questions.
std::string naming(int port, const char* epoch) {
    return format({"127.0.0.1", std::to_string(port)}) + format({"name", "shop", "config-epoch", epoch});
}

/// Asks sentinels, one after the other, when it is known that the fifth configuration names port 7001.
/// @param ago when that was confirmed last
/// @return the port that they lead to; unset: to none
std::optional<std::uint16_t> guided_by(const std::vector<std::string>& answers, std::chrono::seconds ago = 1s) {
    std::vector<std::unique_ptr<scripted>> all;
    std::vector<server> addresses;
    for (const std::string& each : answers) {
        all.push_back(std::make_unique<scripted>(std::vector<std::string>{each}));
        addresses.push_back(server_at(all.back()->port()));
    }
    sentinels known("shop", addresses, 30s);
    known.found(server_at(7001).address, 5, 0, boottime::now() - ago);
    resolver names;
    guide one(known, names, nullptr, [] {});
    guide::status how = guide::status::looking;
    fakes::eventually([&] { return (how = one.drive(boottime::now())) != guide::status::looking; });
    if (how != guide::status::found) return std::nullopt;
    EXPECT_EQ(known.known()->port, one.where().port);
    return one.where().port;
}

constexpr const char* busy = "-ERR busy\r\n";

TEST(redis_guide, is_not_led_back_by_a_sentinel_that_is_cut_off_from_the_others) {
    EXPECT_EQ(guided_by({naming(7000, "4"), naming(7001, "5"), naming(7001, "5")}), 7001);
    EXPECT_EQ(guided_by({naming(7000, "4"), naming(7002, "6"), busy}), 7002);
    EXPECT_EQ(guided_by({naming(7000, "4"), busy, busy}), std::nullopt);
}

TEST(redis_guide, believes_most_of_the_sentinels_when_they_have_been_set_up_anew) {
    const std::vector<std::string> anew{naming(7003, "1"), naming(7002, "0"), busy};
    EXPECT_EQ(guided_by(anew, 31s), 7003) << "the later of them knows better";
    EXPECT_EQ(guided_by(anew, 29s), std::nullopt) << "somebody may still have a lock at the one that was known";
}

TEST(redis_guide, believes_a_sentinel_that_may_not_tell_the_epoch) {
    EXPECT_EQ(guided_by({format({"127.0.0.1", "7002"}) + "-NOPERM this user has no permissions\r\n"}), 7002);
}

TEST(redis_channel, does_not_repeat_a_password_that_it_is_told) {
    const std::string told = "-ERR unknown command 'AUTH', with args beginning with: 'bob' 'topsecret'\r\n";
    const std::vector<std::string> rows[] = {
        // Who speaks first has answered AUTH before he hears it.
        {"+OK ready\r\n" + told},
        {"+OK ready\r\n", told},
        {"+OK ready\r\n", "-ERR unknown command 'bob' 'topsecret'\r\n"},
        {"+OK ready\r\n", "+OK to serve\r\n", told},
    };
    for (const auto& answers : rows) {
        const scripted odd(answers);
        server to = server_at(odd.port());
        to.user = "bob";
        to.password = "topsecret";
        resolver names;
        channel over(to, names);
        std::string why;
        for (int round = 0; round < 2 && why.empty(); ++round) {
            request one;
            ask(over, one, {"SET", "name", "id"});
            why = one.why.text;
        }
        EXPECT_NE(why, "");
        EXPECT_EQ(why.find("topsecret"), std::string::npos) << why;
    }
}

TEST(redis_channel, does_not_repeat_a_password_to_a_node_of_a_cluster) {
    const scripted odd({"+OK ready\r\n-NOAUTH 'bob' 'topsecret'\r\n"});
    server to = server_at(odd.port());
    to.user = "bob";
    to.password = "topsecret";
    to.identity = std::make_shared<node_identity>();
    resolver names;
    channel over(to, names);
    request one;
    ask(over, one, {"SET", "name", "id"});
    EXPECT_EQ(one.why.code, errc::permission);
    EXPECT_EQ(one.why.text.find("topsecret"), std::string::npos) << one.why.text;
}

TEST(redis_channel, tells_in_full_what_a_user_may_not_do) {
    const redis_server real;
    real({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "-set"});
    server to = server_at(real);
    to.user = "ann";
    to.password = "secret";
    resolver names;
    channel over(to, names);
    request one;
    ask(over, one, {"SET", "name", "id"});
    EXPECT_NE(one.why.text.find("'set'"), std::string::npos) << one.why.text;
}

TEST(redis_shared_connections, need_descriptors_and_say_so) {
    HOLDFAST_NEEDS_NO_DESCRIPTORS();
    boost::asio::io_context context;
    const redis_server real;
    const auto to = std::make_shared<const server>(server_at(real));
    const auto names = std::make_shared<resolver>();
    {
        const test::no_descriptors none;
        EXPECT_THROW(shared_channel::make(to, names, context.get_executor()), std::exception);
        EXPECT_THROW(subscriber::make(to, names, context.get_executor(), nullptr, false), std::exception);
    }
    EXPECT_NE(shared_channel::make(to, names, context.get_executor()), nullptr);
    EXPECT_NE(subscriber::make(to, names, context.get_executor(), nullptr, false), nullptr);
}

}  // namespace
}  // namespace holdfast::redis
