// What Redis, the network and other programs can do to us, with a server of the test's own.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>
#include <support/second_process.hpp>
#include <support/stranger.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>
#include <boost/asio/use_future.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_server;
using test::stranger;

redis::options options_for(const redis_server& server) {
    redis::options made;
    made.servers.front().port = server.port();
    made.expiry = 2s;
    made.min_validity = 1s;
    made.extension_cadence = 100ms;
    return made;
}

/// Every key that is there must go away by itself.
testing::AssertionResult all_keys_expire(const redis_server& server) {
    for (const auto& key : server({"KEYS", "*"}).elements) {
        if (server({"PTTL", key.text}).integer == -1) return testing::AssertionFailure() << key.text << " is for ever";
    }
    return testing::AssertionSuccess();
}

/// How often the server was given that command.
int calls_of(const redis_server& server, const std::string& command) {
    const std::string text = server({"INFO", "commandstats"}).text;
    const std::string entry = "cmdstat_" + command + ":calls=";
    const auto at = text.find(entry);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + entry.size());
}

class notices final : public observer {
public:
    void notice(std::string_view, std::string_view text) noexcept override {
        const std::lock_guard guard(mutex_);
        texts_.emplace_back(text);
    }
    std::vector<std::string> texts() {
        const std::lock_guard guard(mutex_);
        return texts_;
    }

private:
    std::mutex mutex_;
    std::vector<std::string> texts_;
};

class redis_fault : public testing::TestWithParam<style> {
protected:
    template <class Lock>
    attempt acquire(const Lock& one, timeout limit) {
        return fakes::acquire(handlers_, GetParam(), one, limit);
    }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    fakes::handler_thread handlers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_fault, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_fault, a_killed_holders_lock_comes_when_its_time_is_over) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.expiry = 700ms;
    opts.min_validity = 350ms;
    // One delay of a loaded machine says nothing; the promise is what happens when nothing else does.
    auto soonest = std::chrono::microseconds::max();
    for (int round = 0; round < 5; ++round) {
        const test::signal_pipe taken;
        test::forked_child holder([&] {
            const lock_handle held = redis::make_provider(opts).make_lock("name").acquire();
            taken.notify();
            std::this_thread::sleep_for(60s);
        });
        taken.await();
        fakes::pending_acquire waiter(handlers_, GetParam(), redis::make_provider(opts).make_lock("name"), 20s);
        ASSERT_TRUE(fakes::eventually([&] {
            return server({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer;
        }));
        ::kill(holder.id(), SIGKILL);
        // Before the question: however long its answer takes, the key lives no shorter than that.
        const auto killed = boottime::now();
        const auto remaining = std::chrono::milliseconds(server({"PTTL", "name"}).integer);
        attempt how = waiter.get();
        const auto late = std::chrono::duration_cast<std::chrono::microseconds>(boottime::now() - killed - remaining);
        EXPECT_FALSE(how.code) << how.diag.message;
        EXPECT_GE(late, -5ms);
        EXPECT_LT(late, 500ms);
        soonest = std::min(soonest, late);
        EXPECT_FALSE(release(std::move(how.handle)).code);
    }
    EXPECT_LT(soonest, 50ms);
    RecordProperty("late_us", static_cast<int>(soonest.count()));
    std::printf("%s: %lld us after the expiry\n", fakes::name_of(GetParam()), static_cast<long long>(soonest.count()));
}

TEST_P(redis_fault, a_holder_that_was_stopped_for_too_long_knows_it_at_the_first_look) {
    const redis_server server;
    const redis::options opts = options_for(server);
    const test::signal_pipe taken;
    test::forked_child holder([&] {
        const lock_handle held = redis::make_provider(opts).make_lock("name").acquire();
        const std::stop_token lost = held.lost_token();
        taken.notify();
        // It asks all the time, so one of the looks is the first after it goes on.
        const auto until = boottime::now() + 20s;
        for (held_state is = held_state::held; is != held_state::lost;) {
            const auto valid = held.valid_until();
            const auto asked = boottime::now();
            is = held.state();
            test::require(is != held_state::held || asked <= std::max(valid, held.valid_until()),
                          "it says held when its time is over");
            test::require(asked < until, "it never knows");
            std::this_thread::sleep_for(1ms);
        }
        test::require(fakes::eventually([&] { return lost.stop_requested(); }), "the token does not fire");
    });
    taken.await();
    ::kill(holder.id(), SIGSTOP);
    attempt second = acquire(redis::make_provider(opts).make_lock("name"), 10s);
    ASSERT_FALSE(second.code) << second.diag.message;
    ::kill(holder.id(), SIGCONT);
    EXPECT_EQ(holder.result(), "");
    // And it has not taken what is another's by now.
    EXPECT_EQ(second.handle.state(), held_state::held);
    EXPECT_FALSE(release(std::move(second.handle)).code);
    EXPECT_EQ(server({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_fault, the_key_of_the_tokens_is_no_lock) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.key_prefix = "app:";
    const provider locks = redis::make_provider(opts);
    for (const char* name : {"holdfast:fencing", "holdfast:fencing:{1}"}) {
        for (const bool semaphore : {false, true}) {
            try {
                if (semaphore) {
                    (void)locks.make_semaphore(name, 2);
                } else {
                    (void)locks.make_lock(name);
                }
                ADD_FAILURE() << name;
            } catch (const error& thrown) {
                EXPECT_EQ(thrown.boost_code(), errc::invalid_name);
            }
        }
    }
    EXPECT_FALSE(acquire(locks.make_lock("holdfast:fencing2"), 5s).code);
    // Without a prefix it can be done all the same: whoever counts is told, and nothing is granted.
    const lock_handle other = redis::make_provider(options_for(server)).make_lock("app:holdfast:fencing").acquire(5s);
    opts.fencing = true;
    const attempt how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::invalid_options) << how.diag.message;
    EXPECT_NE(how.diag.message.find("fencing"), std::string::npos) << how.diag.message;
    EXPECT_EQ(server({"EXISTS", "app:name"}).integer, 0);
}

TEST_P(redis_fault, whoever_waits_looks_when_the_news_come_again) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.expiry = 120s;
    opts.min_validity = 100s;
    // Nobody gets it by asking.
    opts.min_busy_wait = opts.max_busy_wait = 60s;
    const provider locks = redis::make_provider(opts);
    const std::vector<std::string> names{"first", "second"};
    std::list<fakes::pending_acquire> waiters;
    for (const std::string& name : names) {
        server({"SET", name, "machine_1_0123456789abcdef0123456789abcdef_hf1", "PX", "600000"});
        waiters.emplace_back(handlers_, GetParam(), locks.make_lock(name), 50s);
    }
    for (const std::string& name : names) {
        ASSERT_TRUE(fakes::eventually([&] {
            return server({"PUBSUB", "NUMSUB", "holdfast:1:0:" + name}).elements[1].integer == 1;
        }));
    }
    // Released, and told to nobody, because the connection was lost meanwhile.
    test::redis_client all_at_once(server.socket_path());
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"MULTI"}, {"DEL", "first", "second"}, {"CLIENT", "KILL", "TYPE", "pubsub"}, {"EXEC"}}) {
        ASSERT_FALSE(all_at_once(words).is_error);
    }
    for (fakes::pending_acquire& each : waiters) {
        const attempt how = each.get();
        EXPECT_FALSE(how.code) << how.code.message();
        EXPECT_LT(how.took, 20s);
    }
}

TEST_P(redis_fault, a_foreign_release_is_noticed_without_news) {
    const redis_server server;
    const lock one = redis::make_provider(options_for(server)).make_lock("name");
    server({"SET", "name", "dotnet_1_00000000000000000000000000000000", "NX", "PX", "600000"});
    fakes::pending_acquire waiter(handlers_, GetParam(), one, 20s);
    ASSERT_TRUE(fakes::eventually([&] {
        return server({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer;
    }));
    server({"DEL", "name"});
    const attempt how = waiter.get();
    EXPECT_FALSE(how.code) << how.diag.message;
    EXPECT_LT(how.took, 10s);
}

TEST_P(redis_fault, a_forgotten_script_is_sent_again) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    const lock one = locks.make_lock("name");
    for (int round = 0; round < 3; ++round) {
        attempt how = acquire(one, 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        server({"SCRIPT", "FLUSH"});
        const auto before = how.handle.valid_until();
        EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before; })) << "not renewed";
        server({"SCRIPT", "FLUSH"});
        EXPECT_FALSE(release(std::move(how.handle)).code);
        EXPECT_EQ(server({"EXISTS", "name"}).integer, 0);
    }
}

TEST_P(redis_fault, a_forgotten_script_of_any_kind_is_sent_again) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    const auto acquisitions = {
        std::function([&] { return locks.make_reader_writer_lock("rw").acquire_read(5s); }),
        std::function([&] { return locks.make_reader_writer_lock("rw").acquire_write(5s); }),
        std::function([&] { return acquire(locks.make_semaphore("tickets", 1), 5s).handle; }),
    };
    for (const auto& each : acquisitions) {
        server({"SCRIPT", "FLUSH"});
        lock_handle held = each();
        ASSERT_EQ(held.state(), held_state::held);
        server({"SCRIPT", "FLUSH"});
        const auto before = held.valid_until();
        EXPECT_TRUE(fakes::eventually([&] { return held.valid_until() > before; })) << "not renewed";
        EXPECT_TRUE(all_keys_expire(server));
        server({"SCRIPT", "FLUSH"});
        EXPECT_FALSE(release(std::move(held)).code);
        EXPECT_EQ(server({"DBSIZE"}).integer, 0);
    }
}

TEST_P(redis_fault, a_mark_that_is_withdrawn_in_vain_is_withdrawn_when_the_server_goes_on) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.expiry = 60s;
    opts.min_validity = 59s;
    const reader_writer_lock table = redis::make_provider(opts).make_reader_writer_lock("table");
    const lock_handle reader = table.acquire_read();
    fakes::pending_acquire writer(handlers_, GetParam(), fakes::writing{table}, 60s);
    ASSERT_TRUE(fakes::eventually([&] { return server({"EXISTS", "table.writer"}).integer == 1; }));
    server.signal(SIGSTOP);
    writer.cancel();
    EXPECT_EQ(writer.get().code, errc::cancelled);
    server.signal(SIGCONT);
    EXPECT_TRUE(fakes::eventually([&] { return server({"EXISTS", "table.writer"}).integer == 0; })) << "left behind";
}

TEST_P(redis_fault, a_full_memory_ends_tickets_and_nothing_else_that_is_held) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    std::vector<lock_handle> kept;
    kept.push_back(acquire(locks.make_lock("name"), 5s).handle);
    kept.push_back(locks.make_reader_writer_lock("read").acquire_read(5s));
    kept.push_back(locks.make_reader_writer_lock("written").acquire_write(5s));
    lock_handle ticket = acquire(locks.make_semaphore("tickets", 1), 5s).handle;
    ASSERT_EQ(ticket.state(), held_state::held);
    const auto lost = ticket.lost_token();
    server({"CONFIG", "SET", "maxmemory", "1"});
    const auto full = boottime::now();
    // Only a command that may need memory sets a score: the truth is all that can be had.
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(ticket.state(), held_state::lost);
    EXPECT_EQ(release(std::move(ticket)).code, errc::lost);
    for (lock_handle& each : kept) {
        EXPECT_TRUE(fakes::eventually([&] { return each.valid_until() > full + 3s; })) << "not renewed";
        EXPECT_EQ(each.state(), held_state::held);
        EXPECT_FALSE(release(std::move(each)).code);
    }
    EXPECT_TRUE(all_keys_expire(server));
    EXPECT_TRUE(fakes::eventually([&] { return server({"DBSIZE"}).integer == 0; }));
}

TEST_P(redis_fault, a_server_that_may_not_be_written_to_says_why) {
    const redis_server master;
    const redis_server replica({"--replicaof", "127.0.0.1", std::to_string(master.port())});
    const redis_server orphan({"--replica-read-only", "no"});
    orphan({"CONFIG", "SET", "replica-serve-stale-data", "no"});
    orphan({"REPLICAOF", "127.0.0.1", "1"});
    const redis_server careful({"--min-replicas-to-write", "1"});
    for (const auto& [server, word] :
         {std::pair{&replica, "READONLY"}, {&orphan, "MASTERDOWN"}, {&careful, "NOREPLICAS"}}) {
        const attempt how = acquire(redis::make_provider(options_for(*server)).make_lock("name"), timeout::zero());
        EXPECT_EQ(how.code, errc::unavailable) << word << how.code.message();
        EXPECT_NE(how.diag.message.find(word), std::string::npos) << how.diag.message;
    }
    EXPECT_EQ(master({"DBSIZE"}).integer, 0);
}

TEST_P(redis_fault, a_server_that_still_loads_its_data_is_waited_for) {
    // Two seconds for two thousand keys, in which it answers every few of them.
    redis_server server({"--enable-debug-command", "yes", "--key-load-delay", "1000",
                         "--loading-process-events-interval-bytes", "1024"});
    redis::options opts = options_for(server);
    // What has expired by then is not loaded.
    opts.expiry = 60s;
    opts.min_validity = 50s;
    opts.extension_cadence = 200ms;
    const provider locks = redis::make_provider(opts);
    attempt held = acquire(locks.make_lock("held"), 5s);
    ASSERT_FALSE(held.code) << held.diag.message;
    server({"DEBUG", "POPULATE", "2000", "key", "100"});
    ASSERT_FALSE(server({"SAVE"}).is_error);
    server.kill();
    attempt refused;
    attempt waited;
    // Not the server's start in another thread, with which it would end.
    std::thread asking([&] {
        EXPECT_TRUE(fakes::eventually([&] {
            refused = acquire(redis::make_provider(opts).make_lock("name"), timeout::zero());
            return refused.diag.message.find("LOADING") != std::string::npos;
        }));
        waited = acquire(locks.make_lock("name"), 20s);
    });
    // Returns when all is loaded.
    server.start();
    asking.join();
    EXPECT_EQ(refused.code, errc::unavailable) << refused.code.message() << refused.diag.message;
    EXPECT_FALSE(waited.code) << waited.diag.message;
    EXPECT_GT(waited.took, 500ms);
    EXPECT_EQ(server({"DBSIZE"}).integer, 2002);
    EXPECT_EQ(acquire(locks.make_lock("held"), timeout::zero()).code, errc::timed_out);
    const auto before = held.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return held.handle.valid_until() > before; })) << "not renewed";
    EXPECT_FALSE(release(std::move(held.handle)).code);
}

TEST_P(redis_fault, a_full_memory_is_told) {
    const redis_server server({"--maxmemory", "1", "--maxmemory-policy", "noeviction"});
    const attempt how = acquire(redis::make_provider(options_for(server)).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::unavailable);
    EXPECT_NE(how.diag.message.find("OOM"), std::string::npos) << how.diag.message;
    EXPECT_EQ(server({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_fault, a_key_of_another_type_is_told) {
    const redis_server server;
    server({"LPUSH", "name", "x"});
    const provider locks = redis::make_provider(options_for(server));
    const attempt how = acquire(locks.make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::invalid_name);
    EXPECT_NE(how.diag.message.find("WRONGTYPE"), std::string::npos) << how.diag.message;
    error_code code;
    (void)locks.make_semaphore("name", 2).acquire(5s, {}, code);
    EXPECT_EQ(code, errc::invalid_name);
    server({"SET", "rw.readers", "x"});
    (void)locks.make_reader_writer_lock("rw").acquire_read(5s, {}, code);
    EXPECT_EQ(code, errc::invalid_name);
    EXPECT_EQ(server({"LLEN", "name"}).integer, 1);
}

TEST_P(redis_fault, a_wrong_password_is_told_and_not_shown) {
    const redis_server server({"--requirepass", "right"});
    redis::options opts = options_for(server);
    attempt how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::permission) << how.diag.message;
    opts.password = "hunter2";
    how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::permission) << how.diag.message;
    EXPECT_EQ(how.diag.message.find("hunter2"), std::string::npos) << how.diag.message;
    EXPECT_LT(how.took, 4s) << "nothing gets better by waiting";
    opts.password = "right";
    how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_fault, a_missing_database_is_told) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.database = 99;
    const attempt how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::invalid_options) << how.diag.message;
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_fault, a_user_without_channels_waits_by_asking) {
    const redis_server server;
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "resetchannels"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    const auto told = std::make_shared<notices>();
    const provider locks = redis::make_provider(opts, {.observer = told});
    attempt first = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(first.code) << first.diag.message;
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
    EXPECT_TRUE(fakes::eventually([&] { return !told->texts().empty(); }));
    EXPECT_FALSE(release(std::move(first.handle)).code);
    attempt second = waiter.get();
    EXPECT_FALSE(second.code) << second.diag.message;
    EXPECT_FALSE(release(std::move(second.handle)).code);
    EXPECT_EQ(server({"EXISTS", "name"}).integer, 0);
    EXPECT_EQ(told->texts().size(), 1);
}

TEST_P(redis_fault, a_channel_that_is_forbidden_is_given_up_alone_and_waited_for_by_asking) {
    const redis_server server;
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "resetchannels", "&holdfast:1:0:open*"});
    redis::options opts = options_for(server);
    opts.expiry = 60s;
    opts.min_validity = 50s;
    // Ten times as seldom where news come.
    opts.min_busy_wait = opts.max_busy_wait = 1s;
    const provider holder = redis::make_provider(opts);
    opts.user = "ann";
    opts.password = "secret";
    const auto told = std::make_shared<notices>();
    const provider waiting = redis::make_provider(opts, {.observer = told});
    const std::vector<std::string> names{"open 1", "closed", "open 2", "open 3", "open 4"};
    std::vector<lock_handle> held;
    for (const std::string& name : names) held.push_back(holder.make_lock(name).acquire(5s));
    std::list<fakes::pending_acquire> waiters;
    for (const std::string& name : names) waiters.emplace_back(handlers_, GetParam(), waiting.make_lock(name), 30s);
    for (const std::string& name : names) {
        const bool open = name != "closed";
        EXPECT_TRUE(fakes::eventually([&] {
            return server({"PUBSUB", "NUMSUB", "holdfast:1:0:" + name}).elements[1].integer == (open ? 1 : 0);
        })) << name;
    }
    EXPECT_TRUE(fakes::eventually([&] { return !told->texts().empty(); }));
    // Whatever its last pause was, another one has begun with what is known now.
    std::this_thread::sleep_for(1200ms);
    const auto began = boottime::now();
    for (lock_handle& each : held) each.release();
    for (fakes::pending_acquire& each : waiters) {
        const attempt how = each.get();
        EXPECT_FALSE(how.code) << how.diag.message;
    }
    EXPECT_LT(boottime::now() - began, 3s);
    EXPECT_EQ(told->texts().size(), 1);
}

TEST_P(redis_fault, a_channel_that_is_not_forbidden_any_more_is_subscribed_to) {
    const redis_server server;
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all", "resetchannels"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    const auto told = std::make_shared<notices>();
    const provider locks = redis::make_provider(opts, {.observer = told});
    const lock_handle held = locks.make_lock("name").acquire(5s);
    EXPECT_FALSE(fakes::pending_acquire(handlers_, GetParam(), locks.make_lock("name"), 500ms).get().handle);
    EXPECT_EQ(told->texts().size(), 1);
    server({"ACL", "SETUSER", "ann", "allchannels"});
    EXPECT_TRUE(fakes::eventually([&] {
        (void)fakes::pending_acquire(handlers_, GetParam(), locks.make_lock("name"), 50ms).get();
        return server({"PUBSUB", "NUMSUB", "holdfast:1:0:name"}).elements[1].integer == 1;
    }));
}

TEST_P(redis_fault, what_is_no_redis_is_told) {
    const stranger web("HTTP/1.1 400 Bad Request\r\n\r\n");
    redis::options opts;
    opts.servers.front().port = web.port();
    attempt how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::protocol) << how.diag.message;
    opts.password = "secret";
    how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::protocol) << how.diag.message;
    EXPECT_EQ(how.diag.message.find("secret"), std::string::npos);
}

TEST_P(redis_fault, a_server_that_repeats_the_password_does_not_make_us_tell_it) {
    const stranger old("-ERR unknown command 'AUTH', with args beginning with: 'bob' 'topsecret'\r\n");
    redis::options opts;
    opts.servers.front().port = old.port();
    opts.user = "bob";
    opts.password = "topsecret";
    const attempt how = acquire(redis::make_provider(opts).make_lock("name"), 5s);
    EXPECT_TRUE(how.code);
    EXPECT_NE(how.diag.message.find("login"), std::string::npos) << how.diag.message;
    EXPECT_EQ(how.diag.message.find("topsecret"), std::string::npos) << how.diag.message;
}

TEST_P(redis_fault, an_answer_to_something_else_grants_nothing) {
    for (const char* answer :
         {":7\r\n", ":1\r\n", "+QUEUED\r\n", "$2\r\nOK\r\n", "*0\r\n", "-NOSCRIPT No script.\r\n"}) {
        const stranger confused(answer);
        redis::options opts;
        opts.servers.front().port = confused.port();
        opts.expiry = 2s;
        opts.min_validity = 1s;
        opts.extension_cadence = 500ms;
        const attempt how = acquire(redis::make_provider(opts).make_lock("name"), timeout::zero());
        EXPECT_TRUE(how.code == errc::protocol || how.code == errc::in_doubt || how.code == errc::unavailable)
            << answer << how.code.message();
    }
}

TEST_P(redis_fault, who_may_not_set_an_expiry_leaves_nothing_for_ever) {
    const redis_server server;
    server({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all", "-pexpire"});
    redis::options opts = options_for(server);
    opts.user = "ann";
    opts.password = "secret";
    const provider locks = redis::make_provider(opts);
    error_code code;
    (void)locks.make_reader_writer_lock("rw").acquire_read(5s, {}, code);
    EXPECT_TRUE(code);
    (void)locks.make_semaphore("tickets", 2).acquire(5s, {}, code);
    EXPECT_TRUE(code);
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_fault, a_key_of_nearly_endless_life_is_not_asked_for_without_a_pause) {
    const redis_server server;
    const lock one = redis::make_provider(options_for(server)).make_lock("name");
    server({"SET", "name", "dotnet_1_00000000000000000000000000000000", "PXAT", "9000000000000000000"});
    EXPECT_FALSE(acquire(one, 500ms).handle);
    const std::string stats = server({"INFO", "stats"}).text;
    const auto at = stats.find("total_commands_processed:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LT(std::stol(stats.substr(at + 25)), 500);
}

TEST_P(redis_fault, what_does_not_answer_is_given_up) {
    const stranger silent("");
    redis::options opts;
    opts.servers.front().port = silent.port();
    opts.expiry = 2s;
    opts.min_validity = 1s;
    opts.extension_cadence = 500ms;
    const attempt how = acquire(redis::make_provider(opts).make_lock("name"), timeout::zero());
    // Whether a request that was sent has been carried out, nobody can tell.
    EXPECT_TRUE(how.code == errc::unavailable || how.code == errc::in_doubt) << how.code.message();
    EXPECT_LT(how.took, 8s);
}

TEST_P(redis_fault, a_grant_that_is_answered_too_late_is_none) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.expiry = 10s;
    opts.min_validity = 9500ms;
    const lock one = redis::make_provider(opts).make_lock("name");
    // So that it is the grant which is late, and not the connection.
    ASSERT_FALSE(release(acquire(one, 5s).handle).code);
    server({"CLIENT", "PAUSE", "800", "ALL"});
    const attempt how = acquire(one, 5s);
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message() << how.diag.message;
    EXPECT_FALSE(how.handle);
    EXPECT_EQ(server({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_fault, a_server_that_is_not_there_is_told_at_once_or_waited_for) {
    redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    server.kill();
    attempt how = acquire(locks.make_lock("name"), timeout::zero());
    EXPECT_EQ(how.code, errc::unavailable) << how.diag.message;
    EXPECT_LT(how.took, 2s);
    how = acquire(locks.make_lock("name"), 2ms);
    EXPECT_EQ(how.code, errc::unavailable) << how.diag.message;
    EXPECT_LT(how.took, 2s);
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
    server.start();
    how = waiter.get();
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_fault, a_connection_that_has_died_unnoticed_is_replaced) {
    redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    attempt how = acquire(locks.make_lock("name"), timeout::zero());
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_FALSE(release(std::move(how.handle)).code);
    server.kill();
    server.start();
    how = acquire(locks.make_lock("name"), timeout::zero());
    EXPECT_FALSE(how.code) << how.diag.message;
}

TEST_P(redis_fault, a_stopped_server_costs_the_lock_its_certainty_only_when_time_runs_out) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto lost = how.handle.lost_token();
    server.signal(SIGSTOP);
    EXPECT_EQ(how.handle.state(), held_state::held);
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    // Renewals are looked after in ticks of 10 ms, and the loss is told rather too early than too late.
    EXPECT_GE(boottime::now(), how.handle.valid_until() - 20ms);
    EXPECT_EQ(how.handle.state(), held_state::lost);
    // What this one leaves behind would be there for longer than the test waits.
    redis::options lasting = options_for(server);
    lasting.expiry = 120s;
    lasting.min_validity = 119s;
    const provider others = redis::make_provider(lasting);
    const attempt other = acquire(others.make_lock("other"), timeout::zero());
    EXPECT_TRUE(other.code == errc::unavailable || other.code == errc::in_doubt) << other.code.message();
    EXPECT_EQ(other.diag.message, "no answer came in time");
    server.signal(SIGCONT);
    EXPECT_EQ(release(std::move(how.handle)).code, errc::lost);
    EXPECT_TRUE(all_keys_expire(server));
    EXPECT_TRUE(fakes::eventually([&] { return server({"DBSIZE"}).integer == 0; }, 20s)) << "something was left";
}

TEST_P(redis_fault, a_server_that_forgot_the_lock_has_lost_it) {
    redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto lost = how.handle.lost_token();
    server.kill();
    server.start();
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(server({"DBSIZE"}).integer, 0) << "a renewal made a lock";
    EXPECT_EQ(release(std::move(how.handle)).code, errc::lost);
}

TEST_P(redis_fault, a_server_that_remembers_the_lock_keeps_it) {
    redis_server server({"--appendonly", "yes", "--appendfsync", "always"});
    const provider locks = redis::make_provider(options_for(server));
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    server.kill();
    server.start();
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before + 500ms; }));
    EXPECT_EQ(how.handle.state(), held_state::held);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_fault, a_lock_that_somebody_took_over_is_neither_renewed_nor_released) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    attempt how = acquire(locks.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto lost = how.handle.lost_token();
    server({"SET", "name", "somebody", "PX", "600000"});
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    EXPECT_GT(server({"PTTL", "name"}).integer, 500000);
    EXPECT_EQ(release(std::move(how.handle)).code, errc::lost);
    EXPECT_EQ(server({"GET", "name"}).text, "somebody");
}

/// Counts renewals.
class renewals final : public observer {
public:
    void renewed(std::string_view) noexcept override { ++count; }
    std::atomic<int> count{0};
};

TEST(redis_renewals, locks_are_renewed_together_and_lost_one_by_one) {
    constexpr int count = 150;
    const redis_server server;
    const auto counter = std::make_shared<renewals>();
    redis::options opts = options_for(server);
    // The first renewal comes when all are held, which they are at about the same time.
    opts.extension_cadence = 600ms;
    const provider locks = redis::make_provider(opts, {.observer = counter});
    const auto name_of = [](int number) { return "name " + std::to_string(number); };
    // Not as futures, whose executor would start threads that stay.
    std::vector<std::promise<lock_handle>> plain(count);
    std::vector<std::promise<lock_handle>> writers(count);
    for (std::size_t number = 0; number < count; ++number) {
        const auto keep_in = [](std::promise<lock_handle>& where) {
            return [&where](error_code, lock_handle granted) { where.set_value(std::move(granted)); };
        };
        const std::string name = name_of(static_cast<int>(number));
        locks.make_lock(name).async_acquire(5s, keep_in(plain[number]));
        locks.make_reader_writer_lock(name).async_acquire_write(5s, keep_in(writers[number]));
    }
    std::vector<lock_handle> held;
    for (auto& each : plain) held.push_back(each.get_future().get());
    std::vector<lock_handle> written;
    for (auto& each : writers) written.push_back(each.get_future().get());
    const int before = calls_of(server, "evalsha");
    server({"DEL", name_of(0)});
    server({"LPUSH", name_of(0), "of a type that is none of ours"});
    server({"SET", name_of(1), "somebody", "PX", "600000"});

    ASSERT_TRUE(fakes::eventually([&] { return counter->count >= 4 * count; }));
    EXPECT_LT(2 * (calls_of(server, "evalsha") - before), counter->count.load());
    EXPECT_TRUE(
        fakes::eventually([&] { return held[0].state() == held_state::lost && held[1].state() == held_state::lost; }));
    for (int number = 2; number < count; ++number) {
        EXPECT_EQ(held[static_cast<std::size_t>(number)].state(), held_state::held) << number;
    }
    for (const auto& each : written) EXPECT_EQ(each.state(), held_state::held);
    EXPECT_EQ(server({"GET", name_of(1)}).text, "somebody");
}

/// For @p time every one of @p held stays so, and is renewed.
testing::AssertionResult stay_held(const std::vector<lock_handle>& held, std::chrono::milliseconds time) {
    const auto until = boottime::now() + time;
    for (const lock_handle& each : held) {
        if (!fakes::eventually([&] { return each.valid_until() > until || each.state() == held_state::lost; }, 20s) ||
            each.state() != held_state::held) {
            return testing::AssertionFailure() << each.name() << " was lost";
        }
    }
    return testing::AssertionSuccess();
}

TEST(redis_renewals, what_forbids_one_key_is_no_loss_of_the_others) {
    const redis_server server;
    server({"ACL", "SETUSER", "some", "on", ">secret", "~a*", "~b*", "&*", "+@all"});
    redis::options opts = options_for(server);
    opts.user = "some";
    opts.password = "secret";
    const provider locks = redis::make_provider(opts);
    std::vector<lock_handle> held;
    for (const char* name : {"a1", "a2", "a3"}) held.push_back(locks.make_lock(name).acquire(5s));
    const lock_handle forbidden = locks.make_lock("b").acquire(5s);
    server({"ACL", "SETUSER", "some", "resetkeys", "~a*"});
    EXPECT_TRUE(fakes::eventually([&] { return forbidden.state() == held_state::lost; }));
    EXPECT_TRUE(stay_held(held, 3s));
}

TEST(redis_renewals, a_server_that_takes_no_keys_of_several_slots_at_once_is_asked_for_each) {
    const redis_server server({"--cluster-enabled", "yes", "--cluster-port", "0"});
    server({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
    ASSERT_TRUE(fakes::eventually([&] { return !server({"SET", "ready", "yes"}).is_error; }));
    const provider locks = redis::make_provider(options_for(server));
    std::vector<lock_handle> held;
    for (const char* name : {"one", "other", "third"}) held.push_back(locks.make_lock(name).acquire(5s));
    EXPECT_TRUE(stay_held(held, 3s));
}

TEST_P(redis_fault, nothing_renews_a_released_lock) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.extension_cadence = 2ms;
    const provider locks = redis::make_provider(opts);
    for (int round = 0; round < 50; ++round) {
        attempt how = acquire(locks.make_lock("name"), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        std::this_thread::sleep_for(std::chrono::milliseconds(round % 8));
        ASSERT_FALSE(release(std::move(how.handle)).code);
        ASSERT_EQ(server({"EXISTS", "name"}).integer, 0);
    }
    const int before = calls_of(server, "pexpire");
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(calls_of(server, "pexpire"), before);
    EXPECT_EQ(server({"DBSIZE"}).integer, 0);
}

TEST_P(redis_fault, connections_that_are_killed_all_the_time_cost_time_and_nothing_else) {
    const redis_server server;
    const redis::options opts = options_for(server);
    std::atomic<bool> stop{false};
    std::thread killer([&] {
        while (!stop) {
            server({"CLIENT", "KILL", "TYPE", "normal"});
            server({"CLIENT", "KILL", "TYPE", "pubsub"});
            std::this_thread::sleep_for(100ms);
        }
    });
    constexpr int total = 10'000;
    std::atomic<int> left{total};
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::vector<std::thread> workers;
    // Some share connections and a place in the line, and some do not.
    const std::array providers{redis::make_provider(opts), redis::make_provider(opts)};
    for (std::size_t count = 0; count < 4; ++count) {
        workers.emplace_back([&, count] {
            const lock one = providers.at(count % 2).make_lock("name");
            while (left-- > 0) {
                error_code code;
                diagnostics diag;
                lock_handle held;
                if (GetParam() == style::sync) {
                    held = one.acquire(20s, {}, code, &diag);
                } else {
                    std::promise<void> done;
                    one.async_acquire(20s, diag, [&](error_code how, lock_handle granted) {
                        code = how;
                        held = std::move(granted);
                        done.set_value();
                    });
                    done.get_future().wait();
                }
                if (code) {
                    ADD_FAILURE() << code.message() << ": " << diag.message;
                    return;
                }
                if (++inside != 1) ++overlaps;
                // Another one that is in here, or thinks for a moment that it may be, has the time to show.
                if (left % 16 == 0) {
                    std::this_thread::sleep_for(1ms);
                } else {
                    std::this_thread::yield();
                }
                if (--inside != 0) ++overlaps;
                const attempt how = fakes::release(GetParam(), std::move(held));
                EXPECT_FALSE(how.code) << how.diag.message;
            }
        });
    }
    for (auto& each : workers) each.join();
    stop = true;
    killer.join();
    EXPECT_EQ(overlaps, 0);
    EXPECT_TRUE(all_keys_expire(server));
}

TEST_P(redis_fault, fencing_tokens_go_back_when_the_server_forgets) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.fencing = true;
    const lock one = redis::make_provider(opts).make_lock("name");
    const auto token = [&] {
        attempt how = acquire(one, 5s);
        const auto had = how.handle.fencing_token();
        EXPECT_FALSE(release(std::move(how.handle)).code);
        return had.has_value() ? had->value() : 0;
    };
    const auto first = token();
    EXPECT_GT(first, 0);
    EXPECT_GT(token(), first);
    server({"FLUSHALL"});
    // As `fencing_support::may_regress` and docs/safety.md say.
    EXPECT_EQ(token(), first);
}

TEST_P(redis_fault, fencing_tokens_grow_whatever_is_acquired) {
    const redis_server server;
    redis::options opts = options_for(server);
    opts.fencing = true;
    opts.key_prefix = "app:";
    const provider locks = redis::make_provider(opts);
    EXPECT_EQ(locks.capabilities().fencing, fencing_support::may_regress);
    std::uint64_t last = 0;
    const auto grows = [&](const lock_handle& held) {
        ASSERT_TRUE(held.fencing_token().has_value());
        EXPECT_GT(held.fencing_token()->value(), last);
        last = held.fencing_token()->value();
    };
    for (int round = 0; round < 3; ++round) {
        attempt how = acquire(locks.make_lock("name"), 5s);
        grows(how.handle);
        fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock("name"), 20s);
        EXPECT_FALSE(release(std::move(how.handle)).code);
        grows(waiter.get().handle);
        const reader_writer_lock table = locks.make_reader_writer_lock("table");
        grows(table.acquire_read());
        grows(table.acquire_write());
        grows(locks.make_semaphore("tickets", 2).acquire());
    }
    EXPECT_EQ(server({"TTL", "app:holdfast:fencing"}).integer, -1);
    // Nothing is granted without a token.
    server({"SET", "app:holdfast:fencing", "nonsense"});
    EXPECT_TRUE(acquire(locks.make_lock("other"), 5s).code);
    EXPECT_EQ(server({"EXISTS", "app:other"}).integer, 0);
}

TEST_P(redis_fault, a_forked_child_leaves_the_parents_lock_alone) {
    const redis_server server;
    const provider locks = redis::make_provider(options_for(server));
    const lock one = locks.make_lock("name");
    attempt how = acquire(one, 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const std::string wrong = test::in_child([&] {
        test::require(how.handle.state() == held_state::unknown, "the child knows of the parent's lock");
        error_code code;
        (void)one.acquire(5s, {}, code);
        test::require(code == errc::invalid_state, code.message());
        how.handle = {};
    });
    EXPECT_EQ(wrong, "");
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before; })) << "not renewed after the fork";
    EXPECT_EQ(how.handle.state(), held_state::held);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    attempt again = acquire(one, 5s);
    EXPECT_FALSE(again.code) << again.diag.message;
}

TEST(redis_semaphore, counts_after_it_has_purged) {
    const redis_server server;
    const semaphore tickets = redis::make_provider(options_for(server)).make_semaphore("name", 3);
    const auto one = tickets.acquire();
    server({"ZADD", "name", "1", "dotnet_dead"});
    EXPECT_EQ(tickets.current_count(), 2);
    EXPECT_EQ(server({"ZCARD", "name"}).integer, 1);
    EXPECT_GT(server({"PTTL", "name"}).integer, 4000);
}

}  // namespace
}  // namespace holdfast
