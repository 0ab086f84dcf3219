// Answers that belong to nothing, addresses that do not answer, and answers that are lost on their way.
#include <support/attempt.hpp>
#include <support/loopback.hpp>
#include <support/redis_server.hpp>
#include <support/tcp_proxy.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace {

constexpr const char* two_faced = "two-faced.holdfast.test";

int lookup(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
    static const auto real = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(host, port, hints, found);
}

}  // namespace

/// A host of two addresses, of which nobody listens at the first.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library has reserved names
extern "C" int getaddrinfo(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
    if (host == nullptr || std::strcmp(host, two_faced) != 0) return lookup(host, port, hints, found);
    addrinfo* second = nullptr;
    int failed = lookup("127.0.0.1", port, hints, &second);
    if (failed == 0) failed = lookup("127.0.0.2", port, hints, found);
    if (failed != 0) return failed;
    addrinfo* last = *found;
    while (last->ai_next != nullptr) last = last->ai_next;
    last->ai_next = second;
    return 0;
}

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_server;
using test::tcp_proxy;

/// Speaks Redis as far as a lock needs it, and adds to its answers what a test wants.
class liar {
public:
    liar() {
        const test::loopback_listener made = test::listen_on_loopback(16);
        listener_ = made.descriptor;
        port_ = made.port;
        thread_ = std::thread([this] {
            for (int one = 0; (one = ::accept(listener_, nullptr, nullptr)) >= 0;) {
                const int on = 1;
                ::setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                connections_.emplace_back([this, one] { serve(one); });
                const std::lock_guard guard(mutex_);
                sockets_.push_back(one);
            }
        });
    }
    liar(const liar&) = delete;
    liar& operator=(const liar&) = delete;
    ~liar() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        for (const int one : sockets_) ::shutdown(one, SHUT_RDWR);
        for (auto& each : connections_) each.join();
        for (const int one : sockets_) ::close(one);
        ::close(listener_);
    }

    redis::options options() const {
        redis::options made;
        made.servers.front().port = port_;
        made.expiry = 4s;
        made.min_validity = 3s;
        made.extension_cadence = 2900ms;
        return made;
    }
    /// Comes after the answer to the next command, in the same breath.
    void add_to_next_answer(std::string text) {
        const std::lock_guard guard(mutex_);
        surplus_ = std::move(text);
    }
    /// Comes now, on every connection.
    void say(const std::string& text) {
        const std::lock_guard guard(mutex_);
        for (const int one : sockets_) (void)!::send(one, text.data(), text.size(), MSG_NOSIGNAL);
    }
    void grant_to_somebody_else() {
        const std::lock_guard guard(mutex_);
        holder_ = "somebody";
    }
    std::string holder() {
        const std::lock_guard guard(mutex_);
        return holder_;
    }

private:
    void serve(int socket) {
        std::string in;
        char chunk[4096];
        for (;;) {
            const auto size = ::recv(socket, chunk, sizeof chunk, 0);
            if (size <= 0) return;
            in.append(chunk, static_cast<std::size_t>(size));
            for (std::vector<std::string> words; take(in, words); words.clear()) {
                const std::lock_guard guard(mutex_);
                const std::string said = answer(words) + std::exchange(surplus_, {});
                (void)!::send(socket, said.data(), said.size(), MSG_NOSIGNAL);
            }
        }
    }
    static bool take(std::string& in, std::vector<std::string>& words) {
        std::size_t at = 0;
        const auto line = [&](std::string& found) {
            const auto end = in.find("\r\n", at);
            if (end == std::string::npos) return false;
            found = in.substr(at, end - at);
            at = end + 2;
            return true;
        };
        std::string text;
        if (!line(text)) return false;
        for (int left = std::stoi(text.substr(1)); left > 0; --left) {
            if (!line(text)) return false;
            const auto size = std::stoul(text.substr(1));
            if (in.size() < at + size + 2) return false;
            words.push_back(in.substr(at, size));
            at += size + 2;
        }
        in.erase(0, at);
        return true;
    }
    std::string answer(const std::vector<std::string>& words) {
        if (words[0] == "SET") {
            if (!holder_.empty()) return "$-1\r\n";
            holder_ = words[2];
            return "+OK\r\n";
        }
        if (words.size() < 6) return "-ERR unknown command\r\n";
        const std::string& id = words[4];
        const bool releases = words[5].rfind("holdfast:", 0) == 0;
        if (releases) {
            if (holder_ != id) return ":0\r\n";
            holder_.clear();
            return ":1\r\n";
        }
        if (!holder_.empty() && holder_ != id) return "*3\r\n:0\r\n:60000\r\n:0\r\n";
        holder_ = id;
        return "*1\r\n:1\r\n";
    }

    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::mutex mutex_;
    std::string surplus_;
    std::string holder_;
    std::vector<int> sockets_;
    std::list<std::thread> connections_;
    std::thread thread_;
};

class redis_answers : public testing::TestWithParam<style> {
protected:
    attempt acquire(const lock& one, timeout limit) { return fakes::acquire(handlers_, GetParam(), one, limit); }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_answers, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_answers, one_too_many_is_not_the_answer_to_the_next_command) {
    for (const char* surplus : {"+OK\r\n", "*1\r\n:1\r\n", ":1\r\n", "+O", "-ERR what\r\n"}) {
        liar server;
        const lock one = redis::make_provider(server.options()).make_lock("name");
        attempt how = acquire(one, 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        server.add_to_next_answer(surplus);
        EXPECT_FALSE(release(std::move(how.handle)).code) << surplus;
        server.grant_to_somebody_else();
        how = acquire(one, timeout::zero());
        EXPECT_EQ(how.code, errc::timed_out) << surplus << how.code.message() << how.diag.message;
        EXPECT_EQ(server.holder(), "somebody");
    }
}

TEST_P(redis_answers, what_an_idle_connection_is_told_is_not_the_answer_to_the_next_command) {
    for (const char* surplus : {"+OK\r\n", "*1\r\n:1\r\n", "+O", "-ERR what\r\n"}) {
        liar server;
        const lock one = redis::make_provider(server.options()).make_lock("name");
        attempt how = acquire(one, 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_FALSE(release(std::move(how.handle)).code) << surplus;
        server.grant_to_somebody_else();
        server.say(surplus);
        how = acquire(one, timeout::zero());
        EXPECT_EQ(how.code, errc::timed_out) << surplus << how.code.message() << how.diag.message;
    }
}

TEST_P(redis_answers, two_answers_to_one_question_are_not_believed) {
    liar server;
    server.grant_to_somebody_else();
    const lock one = redis::make_provider(server.options()).make_lock("name");
    // "Refused" and "granted" in one breath: which of them is meant?
    server.add_to_next_answer("+OK\r\n");
    attempt how = acquire(one, timeout::zero());
    EXPECT_EQ(how.code, errc::timed_out) << how.code.message() << how.diag.message;
    EXPECT_FALSE(how.handle);
    EXPECT_EQ(server.holder(), "somebody");
}

TEST_P(redis_answers, the_second_address_of_a_host_is_tried) {
    const redis_server server;
    redis::options opts;
    opts.servers.front() = {.host = two_faced, .port = server.port()};
    opts.expiry = 2s;
    opts.min_validity = 1s;
    opts.extension_cadence = 100ms;
    const lock one = redis::make_provider(opts).make_lock("name");
    attempt how = acquire(one, timeout::zero());
    ASSERT_FALSE(how.code) << how.diag.message;
    for (int round = 0; round < 3; ++round) {
        server({"CLIENT", "KILL", "TYPE", "normal"});
        const auto before = how.handle.valid_until();
        EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before + 200ms; })) << "not renewed";
    }
    fakes::pending_acquire waiter(handlers_, GetParam(), one, 20s);
    EXPECT_TRUE(fakes::eventually([&] {
        return server({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer == 1;
    })) << "the subscription did not find its way";
    EXPECT_FALSE(release(std::move(how.handle)).code);
    how = waiter.get();
    EXPECT_FALSE(how.code) << how.diag.message;
    EXPECT_LT(how.took, 5s);
}

class redis_lost_answers : public redis_answers {
protected:
    redis_lost_answers() {
        for (int each = 0; each < 3; ++each) servers_.push_back(std::make_unique<redis_server>());
        proxy_ = std::make_unique<tcp_proxy>(servers_[0]->port());
        options_.servers.clear();
        options_.servers.push_back({.port = proxy_->port()});
        for (const std::size_t each : {1U, 2U}) options_.servers.push_back({.port = servers_[each]->port()});
        options_.expiry = 60s;
        options_.connect_timeout = 500ms;
    }
    redis_server& server(std::size_t number) { return *servers_[number]; }
    /// The first one may be granted before there is a connection to all; the next request would be a greeting then.
    attempt acquire_from_all(const lock& one, const std::string& key) {
        attempt how;
        EXPECT_TRUE(fakes::eventually([&] {
            how = {};
            how = acquire(one, 5s);
            return server(0)({"EXISTS", key}).integer == 1;
        }));
        return how;
    }

    std::vector<std::unique_ptr<redis_server>> servers_;
    std::unique_ptr<tcp_proxy> proxy_;
    redis::options options_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_lost_answers, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_lost_answers, a_vote_whose_answer_was_lost_is_taken_back_when_the_server_can_be_reached) {
    const provider all = redis::make_provider(options_);
    attempt how = acquire_from_all(all.make_lock("first"), "first");
    EXPECT_FALSE(release(std::move(how.handle)).code);
    ASSERT_TRUE(fakes::eventually([&] { return server(0)({"DBSIZE"}).integer == 0; }));
    for (std::size_t other : {1U, 2U}) {
        server(other)({"SET", "name", "somebody", "PX", "60000"});
        // So that the vote is not decided before the first server has granted its own.
        server(other)({"CLIENT", "PAUSE", "200", "ALL"});
    }
    proxy_->cut_at_next_answer(700ms);
    how = acquire(all.make_lock("name"), timeout::zero());
    EXPECT_TRUE(how.code == errc::timed_out || how.code == errc::unavailable) << how.code.message();
    EXPECT_EQ(proxy_->cuts(), 1);
    EXPECT_EQ(server(0)({"EXISTS", "name"}).integer, 1) << "the test has lost nothing";
    EXPECT_TRUE(fakes::eventually([&] { return server(0)({"EXISTS", "name"}).integer == 0; }, 8s)) << "left behind";
}

TEST_P(redis_lost_answers, a_waiter_gets_its_lock_in_spite_of_them) {
    const provider all = redis::make_provider(options_);
    for (std::size_t other : {1U, 2U}) server(other)({"SET", "name", "somebody", "PX", "60000"});
    fakes::pending_acquire waiter(handlers_, GetParam(), all.make_lock("name"), 20s);
    for (int round = 0; round < 3; ++round) {
        std::this_thread::sleep_for(100ms);
        proxy_->cut_at_next_answer(50ms);
    }
    std::this_thread::sleep_for(100ms);
    for (std::size_t other : {1U, 2U}) server(other)({"DEL", "name"});
    attempt how = waiter.get();
    ASSERT_FALSE(how.code) << how.diag.message;
    // Nothing that is taken back late takes this away.
    std::this_thread::sleep_for(1200ms);
    EXPECT_EQ(server(1)({"EXISTS", "name"}).integer + server(2)({"EXISTS", "name"}).integer, 2);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    for (std::size_t each : {0U, 1U, 2U}) {
        EXPECT_TRUE(fakes::eventually([&] { return server(each)({"EXISTS", "name"}).integer == 0; })) << each;
    }
}

TEST_P(redis_lost_answers, a_release_reaches_a_server_that_was_away) {
    const provider all = redis::make_provider(options_);
    attempt how = acquire_from_all(all.make_lock("name"), "name");
    proxy_->cut_at_next_request(700ms);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_TRUE(fakes::eventually([&] { return proxy_->cuts() == 1; }));
    EXPECT_EQ(server(0)({"EXISTS", "name"}).integer, 1) << "the test has lost nothing";
    EXPECT_TRUE(fakes::eventually([&] { return server(0)({"EXISTS", "name"}).integer == 0; }, 8s)) << "left behind";
}

TEST_P(redis_lost_answers, a_writers_mark_is_withdrawn_when_the_server_can_be_reached) {
    // What is sent next after the mark is what takes it away.
    options_.min_busy_wait = options_.max_busy_wait = 60s;
    const provider all = redis::make_provider(options_);
    attempt how = acquire_from_all(all.make_lock("first"), "first");
    EXPECT_FALSE(release(std::move(how.handle)).code);
    const reader_writer_lock table = all.make_reader_writer_lock("table");
    const lock_handle reader = table.acquire_read();
    fakes::pending_acquire writer(handlers_, GetParam(), fakes::writing{table}, 60s);
    // Whoever answers a refused vote last is asked to forget it.
    EXPECT_TRUE(fakes::eventually([&] {
        for (std::size_t other : {1U, 2U}) server(other)({"CLIENT", "PAUSE", "50", "ALL"});
        return server(0)({"EXISTS", "table.writer"}).integer == 1;
    }));
    proxy_->cut_at_next_request(700ms);
    writer.cancel();
    EXPECT_EQ(writer.get().code, errc::cancelled);
    EXPECT_TRUE(fakes::eventually([&] { return proxy_->cuts() == 1; }));
    EXPECT_EQ(server(0)({"EXISTS", "table.writer"}).integer, 1) << "the test has lost nothing";
    for (std::size_t each : {0U, 1U, 2U}) {
        EXPECT_TRUE(fakes::eventually(
            [&] {
                return server(each)({"EXISTS", "table.writer"}).integer == 0;
            },
            8s))
            << "left behind";
    }
}

TEST_P(redis_lost_answers, a_vote_that_was_lost_is_not_sent_when_all_is_over) {
    // Semaphores are the first one's business.
    std::rotate(options_.servers.begin(), options_.servers.begin() + 1, options_.servers.end());
    const provider all = redis::make_provider(options_);
    attempt how = acquire_from_all(all.make_lock("first"), "first");
    EXPECT_FALSE(release(std::move(how.handle)).code);
    proxy_->cut_at_next_request(0ms);
    how = acquire(all.make_lock("name"), 5s);
    EXPECT_TRUE(fakes::eventually([&] { return proxy_->cuts() == 1; }));
    // Over other connections.
    const style other = GetParam() == style::sync ? style::async : style::sync;
    EXPECT_FALSE(fakes::release(other, std::move(how.handle)).code);
    EXPECT_TRUE(fakes::eventually([&] { return server(1)({"EXISTS", "name"}).integer == 0; }));
    const auto until = boottime::now() + 500ms;
    while (boottime::now() < until) EXPECT_EQ(all.make_semaphore("tickets", 1).current_count(), 1);
    EXPECT_EQ(server(0)({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_lost_answers, one_server_under_two_addresses_has_one_vote) {
    options_.servers[0] = {.socket_path = server(1).socket_path()};
    const provider all = redis::make_provider(options_);
    server(2).kill();
    for (int round = 0; round < 5; ++round) {
        const attempt how = acquire(all.make_lock("name"), timeout::zero());
        EXPECT_TRUE(how.code == errc::unavailable || how.code == errc::invalid_options) << how.code.message();
    }
    const auto found = all.examine({.timeout = 1s});
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const finding& each) {
        return each.subject == "servers" && each.severity == finding::grade::fault;
    }));
    options_.servers.pop_back();
    const attempt how = acquire(redis::make_provider(options_).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::invalid_options) << how.code.message();
    EXPECT_NE(how.diag.message.find("listed twice"), std::string::npos) << how.diag.message;
    EXPECT_TRUE(fakes::eventually([&] { return server(1)({"EXISTS", "name"}).integer == 0; }));
}

/// What a firewall or a proxy that has forgotten them makes of connections.
class redis_silence : public testing::TestWithParam<style> {
protected:
    redis_silence() {
        options_.servers.front().port = proxy_.port();
        options_.expiry = 4s;
        options_.min_validity = 3s;
        options_.extension_cadence = 500ms;
    }

    redis_server server_;
    tcp_proxy proxy_{server_.port()};
    redis::options options_;
    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_silence, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_silence, of_all_connections_costs_no_lock_and_is_over_soon) {
    const provider locks = redis::make_provider(options_);
    attempt kept = fakes::acquire(handlers_, GetParam(), locks.make_lock("kept"), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    ASSERT_FALSE(fakes::acquire(handlers_, GetParam(), locks.make_lock("other"), 5s).code);
    const auto lost = kept.handle.lost_token();
    proxy_.silence();
    const auto before = boottime::now();
    // Its answer is late after a second, and so is that of the renewal.
    attempt next = fakes::acquire(handlers_, GetParam(), locks.make_lock("next"), 4s);
    EXPECT_FALSE(next.code) << next.diag.message;
    EXPECT_TRUE(fakes::eventually([&] { return kept.handle.valid_until() > before + options_.expiry; }))
        << "not renewed";
    EXPECT_FALSE(lost.stop_requested());
    EXPECT_EQ(kept.handle.state(), held_state::held);
    EXPECT_EQ(server_({"EXISTS", "kept"}).integer, 1);
    attempt released = fakes::release(GetParam(), std::move(kept.handle));
    EXPECT_FALSE(released.code) << released.code.message();
    EXPECT_LT(released.took, 1s);
}

TEST_P(redis_lost_answers, servers_that_have_exchanged_their_addresses_have_their_votes_again) {
    tcp_proxy second(server(1).port());
    options_.servers[1].port = second.port();
    options_.expiry = 1s;
    options_.min_validity = 500ms;
    const provider all = redis::make_provider(options_);
    attempt how = acquire_from_all(all.make_lock("name"), "name");
    EXPECT_FALSE(release(std::move(how.handle)).code);
    // Two at once, so that afterwards one set of connections has nothing to do.
    for (std::size_t each : {0U, 1U}) server(each)({"CLIENT", "PAUSE", "200", "ALL"});
    fakes::pending_acquire one(handlers_, GetParam(), all.make_lock("one"), 5s);
    fakes::pending_acquire other(handlers_, GetParam(), all.make_lock("other"), 5s);
    for (fakes::pending_acquire* each : {&one, &other}) (void)release(std::move(each->get().handle));
    // Without the third one both votes are needed.
    server(2).kill();
    proxy_->lead_to(server(1).port());
    second.lead_to(server(0).port());
    EXPECT_TRUE(fakes::eventually(
        [&] {
            how = {};
            how = acquire(all.make_lock("name"), timeout::zero());
            return !how.code;
        },
        8s))
        << how.code.message() << how.diag.message;
    EXPECT_EQ(server(0)({"EXISTS", "name"}).integer + server(1)({"EXISTS", "name"}).integer, 2);
}

}  // namespace
}  // namespace holdfast
