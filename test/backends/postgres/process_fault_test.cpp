// Holders that die, servers that stop, and addresses that are wrong.
#include "postgres_fixture.hpp"

#include <support/loopback.hpp>
#include <support/silent_names.hpp>

#include <holdfast/open.hpp>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <iostream>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include <libpq-fe.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class postgres_fault : public postgres_test {
protected:
    int terminate_all() const {
        return server().count(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'holdfast/%'");
    }
};

/// Told once, and how long after @p from.
struct loss {
    explicit loss(const lock_handle& held) : callback(held.lost_token(), [this] { told.set_value(); }) {}
    bool comes() { return told.get_future().wait_for(10s) == std::future_status::ready; }

    std::promise<void> told;
    const std::stop_callback<std::function<void()>> callback;
};

TEST_F(postgres_fault, a_killed_holder_s_lock_goes_to_the_waiter) {
    // The server sees the end of the socket at once; on a loaded machine one of several shows it.
    auto soonest = std::chrono::steady_clock::duration::max();
    const auto from = make();
    for (int round = 0; round < 5; ++round) {
        const test::signal_pipe ready;
        test::forked_child holder([&] {
            const auto own = make();
            const auto held = own.locks.make_lock("killed").acquire(10s);
            ready.notify();
            ::pause();
        });
        ready.await();
        std::chrono::steady_clock::time_point granted;
        auto waiting = std::async(std::launch::async, [&] {
            auto got = from.locks.make_lock("killed").acquire(30s);
            granted = std::chrono::steady_clock::now();
            return got;
        });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        const auto killed = std::chrono::steady_clock::now();
        ::kill(holder.id(), SIGKILL);
        auto got = waiting.get();
        EXPECT_EQ(got.state(), held_state::held);
        soonest = std::min(soonest, granted - killed);
        got.release();
    }
    std::cout << "granted after " << std::chrono::duration<double, std::milli>(soonest).count() << " ms\n";
    EXPECT_LT(soonest, 10ms);
}

TEST_F(postgres_fault, a_killed_waiter_leaves_the_line) {
    const auto from = make();
    auto held = from.locks.make_lock("killed waiter").acquire();
    test::forked_child waiter([&] { make().locks.make_lock("killed waiter").acquire(60s); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    ::kill(waiter.id(), SIGKILL);
    EXPECT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 0; }));
}

// Behaviour 73.
TEST_F(postgres_fault, a_terminated_session_harms_its_own_handles_only) {
    const auto from = make();
    auto first = from.locks.make_lock("terminated 1").acquire();
    auto second = from.locks.make_lock("terminated 2").acquire();
    loss told(first);
    EXPECT_EQ(terminate_all(), 1);
    EXPECT_TRUE(told.comes());
    EXPECT_EQ(second.state(), held_state::lost);
    const auto again = from.locks.make_lock("terminated 1").acquire(10s);
    const auto other = from.locks.make_lock("another").acquire(10s);
    error_code code;
    first.release(code);
    EXPECT_EQ(code, errc::lost);
    diagnostics diag;
    second.release(code, &diag);
    EXPECT_EQ(code, errc::lost);
    EXPECT_NE(diag.message.find("57P01"), std::string::npos) << diag.message;
    EXPECT_EQ(again.state(), held_state::held);
}

TEST_F(postgres_fault, a_terminated_waiter_is_told) {
    const auto from = make();
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("terminated wait").acquire();
    auto waiting = std::async(std::launch::async, [&] {
        error_code code;
        auto got = from.locks.make_lock("terminated wait").acquire(30s, {}, code);
        return code;
    });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    server().query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    EXPECT_EQ(waiting.get(), errc::unavailable);
}

TEST_F(postgres_fault, an_administrator_s_cancel_ends_a_wait_and_leaves_nothing) {
    const auto from = make();
    const auto elsewhere = make();
    auto held = elsewhere.locks.make_lock("cancelled wait").acquire();
    auto waiting = std::async(std::launch::async, [&] {
        error_code code;
        auto got = from.locks.make_lock("cancelled wait").acquire(30s, {}, code);
        return code;
    });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    server().query("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    EXPECT_EQ(waiting.get(), errc::unavailable);
}

provider by_url(const std::string& url) {
    registry schemes;
    postgres::add_to(schemes);
    return schemes.open(url);
}

// libpq would look the name up itself, and block all of the provider's calls, and forks, until that is done.
TEST(postgres_host, whose_name_server_is_silent_holds_nobody_up) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to make a namespace";
    EXPECT_EQ(test::in_child([] {
                  const test::silent_names silence;
                  const auto from = by_url("postgres://db.example,other.example/app?connect_timeout=1500ms");
                  const lock wanted = from.make_lock("name");
                  const auto began = boottime::now();
                  auto blocking = std::async(std::launch::async, [&] {
                      error_code code;
                      (void)wanted.acquire(timeout::zero(), {}, code);
                      return code;
                  });
                  std::promise<error_code> done;
                  from.make_lock("other").async_acquire(100ms,
                                                        [&](error_code code, lock_handle) { done.set_value(code); });
                  std::this_thread::sleep_for(50ms);
                  const auto forks = boottime::now();
                  test::require(test::in_child([] {}).empty() && boottime::now() - forks < 1s, "no fork meanwhile");
                  test::require(blocking.get() == errc::unavailable, "blocking: no clear error");
                  test::require(done.get_future().get() == errc::unavailable, "asynchronous: no clear error");
                  test::require(boottime::now() - began < 6s, "too late");
              }),
              "");
}

TEST(postgres_host, that_cannot_be_looked_up_for_want_of_descriptors_is_a_clear_error) {
    EXPECT_EQ(test::in_child([] {
                  const auto from = by_url("postgres://db.example/app");
                  const lock wanted = from.make_lock("name");
                  const rlimit none{3, 3};
                  test::require(::setrlimit(RLIMIT_NOFILE, &none) == 0, "no limit");
                  error_code code;
                  diagnostics diag;
                  (void)wanted.acquire(timeout::zero(), {}, code, &diag);
                  test::require(code == errc::unavailable, code.message());
                  test::require(diag.message.find("Too many open files") != std::string::npos, diag.message);
              }),
              "");
}

TEST_F(postgres_fault, a_host_is_found_by_its_name_among_others_that_are_not) {
    const std::string port = std::to_string(server().port());
    const auto from = by_url("postgres://no-such-host.invalid:1,localhost:" + port + ",127.0.0.1:" + port +
                             "/postgres" + "?user=postgres");
    const auto held = from.make_lock("by name").acquire(10s);
    EXPECT_EQ(held.state(), held_state::held);
    error_code code;
    diagnostics diag;
    (void)by_url("postgres://no-such-host.invalid/app").make_lock("name").acquire(timeout::zero(), {}, code, &diag);
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_NE(diag.message.find("could not translate host name \"no-such-host.invalid\""), std::string::npos)
        << diag.message;
}

// Behaviour 71: such a killer of idle sessions stands in front of the server, or is somebody's job.
TEST_F(postgres_fault, a_keepalive_keeps_a_lock_that_would_be_killed_for_its_silence_otherwise) {
    postgres::options opts;
    opts.keepalive = 50ms;
    const auto kept_alive = make(opts);
    const auto silent = make();
    auto kept = kept_alive.locks.make_lock("kept alive").acquire();
    auto killed = silent.locks.make_lock("silent").acquire();
    EXPECT_TRUE(test::eventually([&] {
        server().query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast/%'"
            " AND state = 'idle' AND state_change < now() - interval '2 s'");
        return killed.state() == held_state::lost;
    }));
    error_code code;
    killed.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(kept.state(), held_state::held);
    kept.release();
}

// Without a keepalive: limits that the role has for its other sessions do not touch ours.
TEST_F(postgres_fault, the_role_s_own_timeouts_do_not_end_holds_or_waits) {
    server().query("CREATE ROLE hasty LOGIN");
    server().query("ALTER ROLE hasty SET statement_timeout = '50ms'");
    server().query("ALTER ROLE hasty SET lock_timeout = '40ms'");
    server().query("ALTER ROLE hasty SET idle_session_timeout = '60ms'");
    postgres::options opts;
    opts.connection = server().connection() + " user=hasty";
    const auto locks = postgres::make_provider(opts);
    const auto from = make();
    auto elsewhere = from.locks.make_lock("hasty wait").acquire();
    const auto held = locks.make_lock("hasty").acquire();
    auto waiting = std::async(std::launch::async, [&] { return locks.make_lock("hasty wait").acquire(); });
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(held.state(), held_state::held);
    elsewhere.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
}

class postgres_restart : public postgres_test, public testing::WithParamInterface<int> {
protected:
    const test::postgres_server& server() const override { return server_; }

    test::postgres_server server_;
};

INSTANTIATE_TEST_SUITE_P(, postgres_restart, testing::Values(SIGINT, SIGQUIT, SIGKILL), [](const auto& each) {
    return each.param == SIGINT ? "fast" : each.param == SIGQUIT ? "immediate" : "killed";
});

TEST_P(postgres_restart, tells_every_holder_and_every_waiter_and_then_everything_works_again) {
    const test::watchdog dog("a restart", 60s);
    constexpr int count = 100;
    const auto holder = make();
    const auto from = make();
    std::vector<lock_handle> held;
    std::vector<std::unique_ptr<loss>> losses;
    for (int i = 0; i < count; ++i) {
        held.push_back(holder.locks.make_lock("restart " + std::to_string(i)).acquire());
        losses.push_back(std::make_unique<loss>(held.back()));
    }
    std::vector<std::future<error_code>> waiting;
    for (int i = 0; i < count; ++i) {
        waiting.push_back(std::async(std::launch::async, [&from, i] {
            error_code code;
            auto got = from.locks.make_lock("restart " + std::to_string(i)).acquire(timeout::infinite(), {}, code);
            return code;
        }));
    }
    ASSERT_TRUE(test::eventually([&] {
        const auto now = from.count();
        return now.standing + now.in_room == count;
    }));
    server_.stop(GetParam());
    for (const auto& each : losses) EXPECT_TRUE(each->comes());
    // Some may be granted what a holder's session leaves behind, by a server that is about to end.
    for (auto& each : waiting) {
        const error_code code = each.get();
        EXPECT_TRUE(!code || code == errc::unavailable) << code.message();
    }
    for (lock_handle& each : held) {
        error_code code;
        each.release(code);
        EXPECT_EQ(code, errc::lost);
    }
    error_code code;
    auto none = from.locks.make_lock("restart 0").acquire(1s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
    server_.start();
    for (const counted_provider* each : {&holder, &from}) {
        const auto again = each->locks.make_lock("restart 0").acquire(10s);
        EXPECT_EQ(again.state(), held_state::held);
    }
}

TEST_F(postgres_restart, a_stopped_server_delays_but_loses_nothing) {
    const auto from = make();
    auto held = from.locks.make_lock("stopped").acquire();
    server_.signal_all(SIGSTOP);
    auto waiting = std::async(std::launch::async, [&] { return from.locks.make_lock("stopped too").acquire(30s); });
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(held.state(), held_state::held);
    server_.signal_all(SIGCONT);
    EXPECT_EQ(waiting.get().state(), held_state::held);
    held.release();
}

/// Has room for some hundred locks.
class postgres_small_table : public postgres_test {
protected:
    const test::postgres_server& server() const override { return server_; }

    test::postgres_server server_{{"max_connections=20", "max_locks_per_transaction=10", "autovacuum_max_workers=1",
                                   "max_worker_processes=0", "max_wal_senders=0"}};
};

TEST_F(postgres_small_table, a_server_without_room_for_locks_says_so_and_nothing_leaks) {
    // So many that the server's table of locks overflows.
    const auto from = make();
    std::vector<lock_handle> held;
    error_code code;
    diagnostics diag;
    constexpr int most = 10000;
    for (int i = 0; i < most && !code; ++i) {
        held.push_back(from.locks.make_lock("table " + std::to_string(i)).acquire(10s, {}, code, &diag));
    }
    // The one that was not granted.
    held.pop_back();
    held.pop_back();
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_NE(diag.message.find("max_locks_per_transaction"), std::string::npos) << diag.message;
    // Room for the question.
    constexpr std::size_t some = 100;
    ASSERT_GT(held.size(), some);
    held.resize(held.size() - some);
    EXPECT_EQ(in_server(" AND granted"), static_cast<int>(held.size()));
    for (const lock_handle& each : held) ASSERT_EQ(each.state(), held_state::held);
}

TEST_F(postgres_small_table, a_batch_that_fails_in_the_middle_leaves_nothing_and_harms_nobody) {
    const auto from = make();
    std::vector<lock_handle> held;
    held.push_back(from.locks.make_lock("before").acquire());
    // Asked for at once, so that they go together; more than the server has room for.
    constexpr int count = 3000;
    std::vector<lock_handle> handles(count);
    std::atomic<int> granted{0};
    std::atomic<int> left{count};
    for (std::size_t i = 0; i < handles.size(); ++i) {
        from.locks.make_lock("batch " + std::to_string(i)).async_acquire(60s, [&, i](error_code code, lock_handle got) {
            if (!code) ++granted;
            if (code && code != errc::unavailable) ADD_FAILURE() << code.message();
            handles[i] = std::move(got);
            --left;
        });
    }
    ASSERT_TRUE(test::eventually([&] { return left == 0; }, 60s));
    EXPECT_LT(granted, count);
    EXPECT_GT(granted, 0);
    // Room for the question.
    int freed = 0;
    for (lock_handle& each : handles) {
        if (freed == 200) break;
        if (each.state() == held_state::held) {
            each.release();
            ++freed;
        }
    }
    EXPECT_EQ(in_server(" AND granted"), granted - freed + 1);
    EXPECT_EQ(held.front().state(), held_state::held);
}

class postgres_limited : public postgres_test {
protected:
    const test::postgres_server& server() const override { return server_; }

    using connections = std::vector<std::unique_ptr<PGconn, decltype(&::PQfinish)>>;
    /// Others' connections, until the server has no room for one more of user `app`.
    connections take_what_room_is_left() const {
        const std::string as_app = server().connection() + " user=app";
        connections made;
        do {
            made.emplace_back(::PQconnectdb(as_app.c_str()), &::PQfinish);
        } while (::PQstatus(made.back().get()) == CONNECTION_OK);
        return made;
    }

    test::postgres_server server_{{"max_connections=8", "superuser_reserved_connections=4"}};
};

TEST_F(postgres_limited, a_full_server_lets_waiters_wait_without_a_connection) {
    server().query("CREATE ROLE app LOGIN");
    postgres::options opts;
    opts.connection = "user=app";
    const auto app = make(opts);
    const provider& locks = app.locks;
    const auto admin = make();
    std::vector<lock_handle> held;
    for (int i = 0; i < 10; ++i) held.push_back(admin.locks.make_lock("full " + std::to_string(i)).acquire());
    std::vector<std::future<lock_handle>> waiting;
    for (int i = 0; i < 10; ++i) {
        waiting.push_back(std::async(std::launch::async,
                                     [&, i] { return locks.make_lock("full " + std::to_string(i)).acquire(30s); }));
    }
    // Who has no connection yet when the others come would have none at all.
    ASSERT_TRUE(test::eventually([&] { return app.count().standing + app.count().in_room == 10; }));
    // Others take what room is left. One of the provider's connections stays for tries, so that what is free can be
    // had.
    auto others = take_what_room_is_left();
    EXPECT_TRUE(locks.make_lock("full 0, at once").acquire(10s).state() == held_state::held);
    EXPECT_FALSE(locks.make_lock("full 0").try_acquire());
    others.clear();
    held.clear();
    for (auto& each : waiting) EXPECT_EQ(each.get().state(), held_state::held);
}

// All that the provider has stands in the server, which has no room for more.
TEST_F(postgres_limited, a_wait_on_a_full_server_makes_way_for_a_lock_that_is_free_and_can_be_cancelled) {
    server().query("CREATE ROLE app LOGIN");
    postgres::options opts;
    opts.connection = "user=app";
    const auto one = make(opts);
    const auto two = make(opts);
    const auto admin = make();
    auto taken = admin.locks.make_lock("taken").acquire();
    std::stop_source stop;
    const auto wait = [&](const counted_provider& from, const std::stop_token& stopped) {
        auto made = std::async(std::launch::async, [&from, stopped] {
            error_code code;
            auto got = from.locks.make_lock("taken").acquire(timeout::infinite(), stopped, code);
            return code;
        });
        EXPECT_TRUE(test::eventually([&] { return from.count().standing == 1; }));
        return made;
    };
    auto granted = wait(one, {});
    auto cancelled = wait(two, stop.get_token());
    auto others = take_what_room_is_left();
    ASSERT_EQ(in_server(" AND NOT granted"), 2);
    // Somebody else's wait is over only when `taken` is released; that is no reason to wait for what is free.
    one.locks.make_lock("free").acquire(30s).release();
    EXPECT_EQ(one.count().connections, 1);
    EXPECT_EQ(one.count().in_room, 1);
    // There is no connection that it could be cancelled over.
    stop.request_stop();
    EXPECT_EQ(cancelled.get(), errc::cancelled);
    EXPECT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 0; }));
    taken.release();
    EXPECT_FALSE(granted.get());
}

// A lock that is held keeps a connection alive, so not everything is lost; but no other will come by waiting.
TEST_F(postgres_limited, whoever_is_not_let_in_hears_why_and_does_not_wait_for_room) {
    server().query("CREATE ROLE late LOGIN");
    postgres::options opts;
    opts.connection = server().connection() + " user=late";
    opts.multiplexing = false;
    const auto locks = postgres::make_provider(opts);
    const auto held = locks.make_lock("let in").acquire(10s);
    const auto fails = [&](timeout limit) {
        try {
            locks.make_lock("not let in").acquire(limit);
        } catch (const error& thrown) {
            return refusal{static_cast<errc>(thrown.boost_code().value()), thrown.what() + thrown.diag().message};
        }
        return refusal{errc::invalid_state, "it was granted"};
    };
    server().query("ALTER ROLE late NOLOGIN");
    const auto since = std::chrono::steady_clock::now();
    for (const timeout limit : {timeout(20s), timeout::infinite()}) {
        const refusal how = fails(limit);
        EXPECT_EQ(make_error_code(how.code), errc::permission) << how.text;
        EXPECT_NE(how.text.find("28000"), std::string::npos) << how.text;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - since, 10s);
    // For want of room one waits; but when nobody could ever be asked, nobody can say that somebody else has it.
    server().query("ALTER ROLE late LOGIN CONNECTION LIMIT 1");
    const refusal how = fails(timeout(1s));
    EXPECT_EQ(make_error_code(how.code), errc::unavailable) << how.text;
    EXPECT_NE(how.text.find("53300"), std::string::npos) << how.text;
}

/// A host that lets connections come and says nothing; or one, with a full line, that does not even answer them.
class silent_host {
public:
    enum class kind { mute, black_hole };

    explicit silent_host(kind how) : listener_(test::listen_on_loopback(how == kind::mute ? 16 : 0)) {
        if (how == kind::mute) return;
        const sockaddr_in address = test::loopback(listener_.port);
        // Those who come after these get no answer from the kernel either.
        for (int& each : fillers_) {
            each = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            (void)::connect(each, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        }
    }
    silent_host(const silent_host&) = delete;
    silent_host& operator=(const silent_host&) = delete;
    ~silent_host() {
        for (const int each : fillers_) ::close(each);
        ::close(listener_.descriptor);
    }
    std::string port() const { return std::to_string(listener_.port); }

private:
    const test::loopback_listener listener_;
    int fillers_[4] = {-1, -1, -1, -1};
};

// Locks are no writing, which such a role may not do.
TEST_F(postgres_fault, a_role_that_may_only_read_can_lock_but_not_draw_tokens) {
    server().query("CREATE ROLE reading LOGIN; ALTER ROLE reading SET default_transaction_read_only = on");
    postgres::options opts;
    opts.connection = "user=reading";
    {
        const auto from = make(opts);
        const auto held = from.locks.make_lock("read only").acquire(10s);
        EXPECT_FALSE(make().locks.make_lock("read only").try_acquire());
        EXPECT_FALSE(from.locks.make_lock("read only").try_acquire(20ms));
    }
    server().query("CREATE SEQUENCE unread; GRANT USAGE ON SEQUENCE unread TO reading");
    const refusal how = refused("postgres://reading@127.0.0.1:" + std::to_string(server().port()) +
                                "/postgres?fencing_sequence=unread");
    EXPECT_EQ(make_error_code(how.code), make_error_code(errc::invalid_options)) << how.text;
    EXPECT_NE(how.text.find("default_transaction_read_only"), std::string::npos) << how.text;
    server().query("DROP SEQUENCE unread; DROP ROLE reading");
}

TEST_F(postgres_fault, a_host_that_is_silent_costs_no_more_than_the_caller_s_time) {
    for (const auto how : {silent_host::kind::mute, silent_host::kind::black_hole}) {
        const silent_host host(how);
        postgres::options opts;
        opts.connection = "host=127.0.0.1 sslmode=disable port=" + host.port();
        opts.connect_timeout = 60s;
        const auto locks = postgres::make_provider(opts);
        const auto from = std::chrono::steady_clock::now();
        error_code code;
        auto none = locks.make_lock("silent").acquire(200ms, {}, code);
        EXPECT_EQ(code, errc::unavailable);
        EXPECT_LT(std::chrono::steady_clock::now() - from, 10s);
    }
}

TEST_F(postgres_fault, a_host_that_is_silent_is_passed_over_for_the_next_one) {
    for (const auto how : {silent_host::kind::black_hole, silent_host::kind::mute}) {
        const silent_host first(how);
        const silent_host second(how);
        const std::string url = "postgres://postgres@127.0.0.1:" + first.port() + ",127.0.0.1:" + second.port() +
                                ",127.0.0.1:" + std::to_string(server().port()) + "/postgres?connect_timeout=1500ms";
        registry schemes;
        postgres::add_to(schemes);
        const provider locks = schemes.open(url);
        const auto from = std::chrono::steady_clock::now();
        const auto held = locks.make_lock("passed over").acquire(10s);
        EXPECT_EQ(held.state(), held_state::held);
        EXPECT_GE(std::chrono::steady_clock::now() - from, 900ms);
        EXPECT_LT(std::chrono::steady_clock::now() - from, 1500ms);
        // The executor's way.
        std::promise<error_code> done;
        schemes.open(url).make_lock("passed over too").async_acquire(10s, [&](error_code code, lock_handle) {
            done.set_value(code);
        });
        EXPECT_FALSE(done.get_future().get());
    }
}

TEST_F(postgres_restart, a_wrong_address_is_an_error_that_says_what_is_wrong) {
    const std::string host = "127.0.0.1:" + std::to_string(server_.port());
    const auto says = [](const refusal& how, errc code, const std::string& text) {
        EXPECT_EQ(make_error_code(how.code), make_error_code(code)) << how.text;
        EXPECT_NE(how.text.find(text), std::string::npos) << how.text;
        EXPECT_EQ(how.text.find("hunter2"), std::string::npos) << how.text;
    };
    says(refused("postgres://u:hunter2@127.0.0.1:1/d"), errc::unavailable, "refused");
    says(refused("postgres://postgres:hunter2@" + host + "/nowhere"), errc::invalid_options, "3D000");
    says(refused("postgres://nobody:hunter2@" + host + "/postgres"), errc::permission, "28000");
    says(refused("postgres://postgres:hunter2@" + host + "/postgres?sslmode=require"), errc::unavailable, "SSL");
    says(refused("postgres://postgres:hunter2@" + host + "/postgres?target_session_attrs=standby"), errc::unavailable,
         "standby");
}

TEST_F(postgres_fault, an_address_that_fails_at_once_is_told_at_once) {
    struct {
        const char* url;
        errc code;
        const char* text;
    } const addresses[] = {
        {"postgres:///postgres?host=/nonexistent", errc::unavailable, "/nonexistent"},
        {"postgres://postgres@nohost.invalid/postgres", errc::unavailable, "nohost.invalid"},
        {"postgres:///?service=nosvc", errc::invalid_options, "nosvc"},
        {"postgres://postgres@127.0.0.1:99999/postgres", errc::invalid_options, "99999"},
        {"postgres://postgres@127.0.0.1/postgres?sslmode=bogus", errc::invalid_options, "bogus"},
    };
    for (const auto& each : addresses) {
        registry schemes;
        postgres::add_to(schemes);
        const provider locks = schemes.open(each.url);
        const lock one = locks.make_lock("name");
        const auto told = [&](const error_code& code, const diagnostics& diag) {
            EXPECT_EQ(code, each.code) << each.url << ": " << diag.message;
            EXPECT_NE(diag.message.find(each.text), std::string::npos) << each.url << ": " << diag.message;
        };
        const auto from = std::chrono::steady_clock::now();
        error_code code;
        diagnostics diag;
        EXPECT_FALSE(one.acquire(20s, {}, code, &diag));
        told(code, diag);
        EXPECT_FALSE(one.try_acquire(timeout::zero(), {}, code, &diag));
        told(code, diag);
        std::promise<error_code> done;
        one.async_acquire(20s, diag, [&](error_code how, lock_handle) { done.set_value(how); });
        told(done.get_future().get(), diag);
        try {
            (void)locks.list();
            ADD_FAILURE() << each.url << ": what was there to list?";
        } catch (const error& thrown) {
            told(thrown.boost_code(), thrown.diag());
        }
        // A name server may take its time to say that there is no such host.
        EXPECT_LT(std::chrono::steady_clock::now() - from, 4s) << each.url;
    }
}

TEST_F(postgres_fault, looking_in_is_refused_with_the_codes_of_acquiring) {
    const auto code_of_list = [](const std::string& url) {
        registry schemes;
        postgres::add_to(schemes);
        try {
            (void)schemes.open(url).list();
        } catch (const error& thrown) {
            return std::pair(thrown.boost_code(), thrown.diag().message);
        }
        return std::pair(error_code(), std::string());
    };
    const std::string host = "127.0.0.1:" + std::to_string(server().port());
    const auto [missing, said] = code_of_list("postgres://postgres@" + host + "/nowhere");
    EXPECT_EQ(missing, errc::invalid_options) << said;
    EXPECT_NE(said.find("3D000: "), std::string::npos) << said;
    const auto [denied, why] = code_of_list("postgres://nobody@" + host + "/postgres");
    EXPECT_EQ(denied, errc::permission) << why;
    const auto [unknown, setting] = code_of_list("postgres://postgres@" + host + "/postgres?options=-c%20bogus%3D1");
    EXPECT_EQ(unknown, errc::invalid_options) << setting;
}

TEST_F(postgres_restart, a_standby_is_refused) {
    server_.stop(SIGINT);
    std::ofstream(server_.directory() + "/data/standby.signal").flush();
    server_.start();
    const std::string host = "127.0.0.1:" + std::to_string(server_.port());
    const refusal how = refused("postgres://postgres@" + host + "/postgres");
    EXPECT_EQ(make_error_code(how.code), errc::unsupported) << how.text;
    EXPECT_NE(how.text.find("standby"), std::string::npos) << how.text;
    EXPECT_EQ(
        make_error_code(refused("postgres://postgres@" + host + "/postgres?target_session_attrs=read-write").code),
        errc::unavailable);
    const auto found = make().locks.examine({});
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const finding& each) {
        return each.subject == "primary" && each.severity == finding::grade::fault;
    }));
}

TEST_F(postgres_fault, a_forked_child_neither_uses_nor_ends_the_parent_s_session) {
    const auto from = make();
    auto held = from.locks.make_lock("forked").acquire();
    const auto other = from.locks.make_lock("forked too");
    EXPECT_EQ(test::in_child([&] {
                  test::require(held.state() == held_state::unknown, "the child says that it holds the lock");
                  error_code code;
                  auto none = other.acquire(1s, {}, code);
                  test::require(code == errc::invalid_state, "the child can acquire: " + code.message());
                  // A provider of its own works.
                  const auto own = make();
                  test::require(!own.locks.make_lock("forked").try_acquire(), "the child has got the parent's lock");
              }),
              "");
    EXPECT_EQ(held.state(), held_state::held);
    held.release();
}

}  // namespace
}  // namespace holdfast
