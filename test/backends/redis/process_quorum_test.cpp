// Several servers, some of them dead, stopped or of another opinion.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <atomic>
#include <memory>
#include <thread>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_server;

class redis_quorum : public testing::TestWithParam<style> {
protected:
    void have(std::size_t count) {
        for (std::size_t each = 0; each < count; ++each) servers_.push_back(std::make_unique<redis_server>());
    }
    redis_server& server(std::size_t number) { return *servers_[number]; }

    redis::options options() const {
        redis::options made;
        made.servers.clear();
        for (const auto& each : servers_) made.servers.push_back({.port = each->port()});
        made.expiry = 2s;
        made.min_validity = 1s;
        made.extension_cadence = 100ms;
        return made;
    }
    provider locks() const { return redis::make_provider(options()); }
    /// What these leave behind is there for longer than any test waits.
    provider lasting_locks() const {
        redis::options made = options();
        made.expiry = 60s;
        made.min_validity = 59s;
        return redis::make_provider(made);
    }

    template <class Lock>
    attempt acquire(const Lock& one, timeout limit) {
        return fakes::acquire(handlers_, GetParam(), one, limit);
    }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }

    /// On how many of the servers that run there is such a key.
    int count(const std::string& key) const {
        int found = 0;
        for (const auto& each : servers_) {
            if (each->runs()) found += static_cast<int>((*each)({"EXISTS", key}).integer);
        }
        return found;
    }
    testing::AssertionResult all_keys_expire() const {
        for (const auto& each : servers_) {
            if (!each->runs()) continue;
            for (const auto& key : (*each)({"KEYS", "*"}).elements) {
                if ((*each)({"PTTL", key.text}).integer == -1) {
                    return testing::AssertionFailure() << key.text << " is for ever";
                }
            }
        }
        return testing::AssertionSuccess();
    }

    fakes::handler_thread handlers_;
    std::vector<std::unique_ptr<redis_server>> servers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_quorum, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_quorum, works_without_two_of_five) {
    have(5);
    const provider all = locks();
    attempt how;
    // Three votes are a majority, and enough before there is a connection to all; those of two servers would be gone.
    ASSERT_TRUE(fakes::eventually([&] {
        how = {};
        how = acquire(all.make_lock("name"), 5s);
        return count("name") == 5;
    }));
    server(1).kill();
    server(4).kill();
    const auto before = how.handle.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return how.handle.valid_until() > before + 500ms; })) << "not renewed";
    EXPECT_EQ(acquire(all.make_lock("name"), 10ms).code, errc::timed_out);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_EQ(count("name"), 0);
    for (int round = 0; round < 20; ++round) {
        how = acquire(all.make_lock("name"), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_FALSE(release(std::move(how.handle)).code);
    }
    EXPECT_EQ(count("name"), 0);
}

TEST_P(redis_quorum, fails_without_three_of_five_and_leaves_nothing) {
    have(5);
    const provider all = locks();
    for (const std::size_t dead : {0U, 2U, 3U}) server(dead).kill();
    for (const timeout limit : {timeout::zero(), timeout(5s)}) {
        const attempt how = acquire(all.make_lock("name"), limit);
        EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
        EXPECT_LT(how.took, 3s);
        EXPECT_EQ(count("name"), 0);
    }
    for (const std::size_t dead : {0U, 2U, 3U}) server(dead).start();
    // Within a second they are known to be back.
    EXPECT_TRUE(fakes::eventually([&] {
        attempt how = acquire(all.make_lock("name"), timeout::zero());
        return !how.code && !release(std::move(how.handle)).code;
    }));
}

TEST_P(redis_quorum, a_majority_lost_while_held_is_a_loss) {
    have(3);
    attempt how = acquire(locks().make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto lost = how.handle.lost_token();
    server(0)({"DEL", "name"});
    EXPECT_EQ(how.handle.state(), held_state::held);
    server(2)({"DEL", "name"});
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(release(std::move(how.handle)).code, errc::lost);
    EXPECT_TRUE(fakes::eventually([&] { return count("name") == 0; }));
}

TEST_P(redis_quorum, one_stopped_server_is_not_waited_for) {
    have(3);
    const provider all = lasting_locks();
    server(1).signal(SIGSTOP);
    for (int round = 0; round < 20; ++round) {
        attempt how = acquire(all.make_lock("name"), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_LT(how.took, 900ms);
        const attempt end = release(std::move(how.handle));
        EXPECT_FALSE(end.code) << end.diag.message;
        EXPECT_LT(end.took, 900ms);
    }
    server(1).signal(SIGCONT);
    EXPECT_TRUE(all_keys_expire());
    EXPECT_TRUE(fakes::eventually([&] { return count("name") == 0; })) << "what came late was not taken back";
}

TEST_P(redis_quorum, a_majority_of_stopped_servers_ends_in_time) {
    have(3);
    const provider all = lasting_locks();
    server(0).signal(SIGSTOP);
    server(1).signal(SIGSTOP);
    const attempt how = acquire(all.make_lock("name"), timeout::zero());
    EXPECT_EQ(how.code, errc::unavailable) << how.code.message();
    // What is left of the expiry after the minimum validity, and a moment.
    EXPECT_LT(how.took, 3s);
    EXPECT_EQ(server(2)({"EXISTS", "name"}).integer, 0) << "a failed acquire left a key behind";
    server(0).signal(SIGCONT);
    server(1).signal(SIGCONT);
    EXPECT_TRUE(fakes::eventually([&] { return count("name") == 0; }));
}

TEST_P(redis_quorum, what_a_slow_majority_grants_is_not_wasted_on_a_server_that_is_not_there) {
    have(3);
    const lock one = locks().make_lock("name");
    // It is connected to for as long as that may take.
    server(2).signal(SIGSTOP);
    ASSERT_FALSE(release(acquire(one, 5s).handle).code);
    for (const std::size_t slow : {0U, 1U}) server(slow)({"CLIENT", "PAUSE", "700", "ALL"});
    attempt how = acquire(one, 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_GT(how.took, 600ms);
    EXPECT_LT(how.took, 980ms);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    server(2).signal(SIGCONT);
}

TEST_P(redis_quorum, a_release_that_a_minority_confirms_is_in_doubt) {
    have(3);
    attempt how = acquire(locks().make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    for (const std::size_t dead : {0U, 1U}) server(dead).signal(SIGSTOP);
    // The one that can answers first.
    std::thread killer([&] {
        std::this_thread::sleep_for(200ms);
        for (const std::size_t dead : {0U, 1U}) server(dead).kill();
    });
    const attempt end = release(std::move(how.handle));
    killer.join();
    EXPECT_TRUE(end.code == errc::in_doubt || end.code == errc::unavailable) << end.code.message();
    EXPECT_EQ(server(2)({"EXISTS", "name"}).integer, 0);
}

TEST_P(redis_quorum, a_vote_that_is_lost_leaves_no_key_and_touches_no_foreign_one) {
    have(3);
    const provider all = locks();
    server(0)({"SET", "name", "somebody", "PX", "60000"});
    server(2)({"SET", "name", "somebody", "PX", "60000"});
    const attempt how = acquire(all.make_lock("name"), timeout::zero());
    EXPECT_EQ(how.code, errc::timed_out) << how.diag.message;
    EXPECT_EQ(server(1)({"EXISTS", "name"}).integer, 0);
    EXPECT_EQ(server(0)({"GET", "name"}).text, "somebody");
    EXPECT_EQ(server(2)({"GET", "name"}).text, "somebody");
    // A waiter goes on voting, and leaves as little behind.
    fakes::pending_acquire waiter(handlers_, GetParam(), all.make_lock("name"), 20s);
    std::this_thread::sleep_for(100ms);
    server(0)({"DEL", "name"});
    EXPECT_FALSE(waiter.get().code);
}

TEST_P(redis_quorum, a_writer_that_gave_up_leaves_no_mark) {
    have(3);
    const provider all = locks();
    const reader_writer_lock table = all.make_reader_writer_lock("table");
    const lock_handle reader = table.acquire_read();
    error_code code;
    (void)table.acquire_write(100ms, {}, code);
    EXPECT_EQ(code, errc::timed_out);
    EXPECT_TRUE(fakes::eventually([&] { return count("table.writer") == 0; }));
    EXPECT_TRUE(table.try_acquire_read().has_value());
}

TEST_P(redis_quorum, servers_that_know_no_scripts_have_what_the_others_have) {
    have(3);
    const provider all = lasting_locks();
    attempt how = acquire(all.make_lock("name"), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_FALSE(release(std::move(how.handle)).code);
    const reader_writer_lock table = all.make_reader_writer_lock("table");
    table.acquire_read().release();
    how = acquire(fakes::writing{table}, 5s);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    for (std::size_t each : {0U, 1U, 2U}) {
        EXPECT_EQ(server(each)({"INFO", "errorstats"}).text.find("NOSCRIPT"), std::string::npos) << each;
    }
}

TEST_P(redis_quorum, nobody_overlaps_while_servers_die_and_come_back) {
    have(3);
    std::atomic<int> left{300};
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> errors{0};
    std::vector<std::thread> workers;
    for (int count = 0; count < 3; ++count) {
        workers.emplace_back([&] {
            fakes::handler_thread handlers;
            const lock one = locks().make_lock("name");
            while (left-- > 0) {
                attempt how = fakes::acquire(handlers, GetParam(), one, 20s);
                if (how.code) {
                    ++errors;
                    continue;
                }
                if (++inside != 1) ++overlaps;
                std::this_thread::sleep_for(2ms);
                --inside;
                release(std::move(how.handle));
            }
        });
    }
    // One at a time, and each for long enough that what it had granted is over when it comes back without its memory:
    // a server that returns too early is a vote too many, which is what Redlock asks its users to prevent.
    for (std::size_t which = 0; left > 0; which = (which + 1) % 3) {
        server(which).signal(SIGSTOP);
        std::this_thread::sleep_for(50ms);
        server(which).signal(SIGCONT);
        std::this_thread::sleep_for(50ms);
    }
    for (auto& each : workers) each.join();
    EXPECT_EQ(overlaps, 0);
    EXPECT_LT(errors, 100);
    EXPECT_TRUE(all_keys_expire());
}

TEST(redis_quorum_options, an_even_number_is_noticed) {
    class notices final : public observer {
    public:
        void notice(std::string_view, std::string_view text) noexcept override { last = text; }
        std::string last;
    };
    const auto told = std::make_shared<notices>();
    redis::options opts;
    opts.servers = {{.port = 1}, {.port = 2}, {.port = 3}};
    (void)redis::make_provider(opts, {.observer = told});
    EXPECT_EQ(told->last, "");
    opts.servers.push_back({.port = 4});
    (void)redis::make_provider(opts, {.observer = told});
    EXPECT_NE(told->last.find("even number"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
