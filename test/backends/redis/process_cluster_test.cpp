// Locks in a cluster: slots that move, and nodes that do not agree.
#include <support/attempt.hpp>
#include <support/redis_cluster.hpp>
#include <support/server_process.hpp>

#include <holdfast/backends/redis.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;
using test::redis_cluster;

class redis_in_cluster : public testing::TestWithParam<style> {
protected:
    redis_in_cluster() {
        options_.servers.clear();
        for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
            options_.servers.push_back({.port = group().node(number).port()});
        }
        options_.cluster = true;
        options_.expiry = 10s;
        options_.min_validity = 8s;
        options_.extension_cadence = 100ms;
        // Only news can wake waiters in time.
        options_.min_busy_wait = options_.max_busy_wait = 60s;
    }
    /// For the whole program: tests have names of their own.
    static redis_cluster& group() {
        static redis_cluster made(false);
        return made;
    }
    /// One of those that are in the slots of that node.
    std::string name_at(std::size_t number, const std::string& what = "name") const {
        return group().name_at(number, std::string(fakes::name_of(GetParam())) + ":" + what);
    }
    attempt acquire(const lock& one, timeout limit) { return fakes::acquire(handlers_, GetParam(), one, limit); }
    static attempt release(lock_handle held) { return fakes::release(GetParam(), std::move(held)); }
    static bool is_renewed(const lock_handle& held) {
        const auto before = held.valid_until();
        return fakes::eventually([&] { return held.valid_until() > before + 250ms; });
    }

    /// Others that may get the address of a node which is gone.
    static std::unique_ptr<test::redis_server> make_stranger(const std::string& kind, std::uint16_t port) {
        std::vector<std::string> options{"--port", std::to_string(port)};
        if (kind == "of another cluster") {
            const std::vector<std::string> more{"--cluster-enabled", "yes", "--cluster-port",
                                                std::to_string(test::free_port())};
            options.insert(options.end(), more.begin(), more.end());
        } else if (kind == "with another password") {
            options.insert(options.end(), {"--requirepass", "another"});
        }
        auto made = std::make_unique<test::redis_server>(options);
        if (kind == "of another cluster") {
            (*made)({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
            EXPECT_TRUE(fakes::eventually([&] { return !(*made)({"EXISTS", "any"}).is_error; }));
        }
        return made;
    }
    static constexpr const char* strangers[] = {"of no cluster", "of another cluster", "with another password"};

    fakes::handler_thread handlers_;
    redis::options options_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_in_cluster, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_in_cluster, each_lock_is_where_its_slot_is) {
    // One node tells of the others.
    options_.servers.resize(1);
    const provider locks = redis::make_provider(options_);
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        const std::string name = name_at(number);
        attempt how = acquire(locks.make_lock(name), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        EXPECT_EQ(group().node(number)({"EXISTS", name}).integer, 1);
        EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
        EXPECT_TRUE(is_renewed(how.handle));
        EXPECT_FALSE(release(std::move(how.handle)).code);
        EXPECT_EQ(group().node(number)({"EXISTS", name}).integer, 0);
    }
}

TEST_P(redis_in_cluster, a_held_lock_goes_with_its_slot) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(0, "moves");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const long long slot = group().slot_of(name);
    // In every state of the move it is renewed, held against others, and where it is released it is gone.
    group().begin_move(slot, 0, 1);
    EXPECT_TRUE(is_renewed(how.handle)) << "not moved yet";
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
    group().move_key(name, 0, 1);
    EXPECT_TRUE(is_renewed(how.handle)) << "moved";
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
    group().end_move(slot, 1);
    EXPECT_TRUE(is_renewed(how.handle)) << "told";
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
    EXPECT_EQ(how.handle.state(), held_state::held);
    EXPECT_EQ(group().owner_of(name), 1);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_EQ(group().ask(name, {"EXISTS", name}).integer, 0);
    // Somebody who knows nothing of the move yet.
    how = acquire(redis::make_provider(options_).make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    // While it moves back: taken and released where it is not any more.
    group().begin_move(slot, 1, 0);
    group().move_key(name, 1, 0);
    EXPECT_FALSE(release(std::move(how.handle)).code);
    how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::timed_out);
    group().end_move(slot, 0);
    EXPECT_TRUE(is_renewed(how.handle));
    EXPECT_FALSE(release(std::move(how.handle)).code);
    EXPECT_EQ(group().ask(name, {"EXISTS", name}).integer, 0);
}

TEST_P(redis_in_cluster, a_lock_that_was_deleted_is_lost_and_not_taken_for_moved) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(2, "deleted");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    const auto lost = how.handle.lost_token();
    group().begin_move(group().slot_of(name), 2, 0);
    group().node(2)({"DEL", name});
    EXPECT_TRUE(fakes::eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(release(std::move(how.handle)).code, errc::lost);
    group().end_move(group().slot_of(name), 0);
}

TEST_P(redis_in_cluster, a_release_wakes_by_a_sharded_channel) {
    const provider locks = redis::make_provider(options_);
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        const std::string name = name_at(number, "woken");
        attempt how = acquire(locks.make_lock(name), 5s);
        ASSERT_FALSE(how.code) << how.diag.message;
        fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock(name), 20s);
        EXPECT_TRUE(fakes::eventually([&] {
            for (const auto& each : group().node(number)({"PUBSUB", "SHARDCHANNELS"}).elements) {
                if (each.text.ends_with("}:" + name)) return true;
            }
            return false;
        })) << "it does not listen there";
        EXPECT_FALSE(release(std::move(how.handle)).code);
        const attempt then = waiter.get();
        EXPECT_FALSE(then.code) << then.code.message();
        EXPECT_LT(then.took, 10s);
    }
}

TEST_P(redis_in_cluster, waiters_go_along_when_a_slot_moves) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(1, "followed");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock(name), 20s);
    const auto listens_at = [&](std::size_t number) {
        for (const auto& each : group().node(number)({"PUBSUB", "SHARDCHANNELS"}).elements) {
            if (each.text.ends_with("}:" + name)) return true;
        }
        return false;
    };
    EXPECT_TRUE(fakes::eventually([&] { return listens_at(1); }));
    group().move(name, 2);
    EXPECT_TRUE(fakes::eventually([&] { return listens_at(2); })) << "it does not listen where the slot is now";
    EXPECT_FALSE(release(std::move(how.handle)).code);
    attempt then = waiter.get();
    EXPECT_FALSE(then.code) << then.code.message();
    EXPECT_LT(then.took, 10s);
    EXPECT_FALSE(release(std::move(then.handle)).code);
    group().move(name, 1);
}

TEST_P(redis_in_cluster, others_releases_wake_by_events_of_the_slots_owner) {
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        group().node(number)({"CONFIG", "SET", "notify-keyspace-events", "Kgx"});
    }
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(1, "foreign");
    group().node(1)({"SET", name, "somebody", "PX", "60000"});
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock(name), 20s);
    EXPECT_TRUE(fakes::eventually([&] {
        return group().node(1)({"PUBSUB", "NUMSUB", "__keyspace@0__:" + name}).elements.at(1).integer == 1;
    }));
    group().node(1)({"DEL", name});
    const attempt then = waiter.get();
    EXPECT_FALSE(then.code) << then.code.message();
    EXPECT_LT(then.took, 10s);
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        group().node(number)({"CONFIG", "SET", "notify-keyspace-events", ""});
    }
}

TEST_P(redis_in_cluster, both_keys_of_a_reader_writer_lock_are_in_one_slot) {
    const provider locks = redis::make_provider(options_);
    const std::string plain = name_at(0, "table");
    for (const std::string& name : {plain, "{" + plain + "}rows", "a}b" + plain, "a{b" + plain, "a{}b" + plain}) {
        const auto table = locks.make_reader_writer_lock(name);
        {
            const auto one = table.acquire_read(5s);
            const auto other = table.acquire_read(5s);
            EXPECT_FALSE(table.try_acquire_write());
            EXPECT_EQ(one.state(), held_state::held);
        }
        const auto writer = table.acquire_write(5s);
        EXPECT_FALSE(table.try_acquire_read());
        EXPECT_FALSE(table.try_acquire_write());
    }
    EXPECT_EQ(locks.make_reader_writer_lock(plain).mapped_name(), "{" + plain + "}.writer");
    EXPECT_EQ(locks.make_reader_writer_lock("{" + plain + "}rows").mapped_name(), "{" + plain + "}rows.writer")
        << "as .NET has it";
    for (const char* name : {"", "}x"}) {
        try {
            (void)locks.make_reader_writer_lock(name);
            ADD_FAILURE() << name;
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_name);
        }
    }
}

TEST_P(redis_in_cluster, readers_and_a_writer_go_with_their_slot) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(0, "library");
    const auto table = locks.make_reader_writer_lock(name);
    auto reader = table.acquire_read(5s);
    const std::string key(table.mapped_name());
    const long long slot = group().slot_of(key);
    const std::size_t from = group().owner_of(key);
    const std::size_t to = (from + 1) % redis_cluster::masters;
    group().begin_move(slot, from, to);
    const auto before = reader.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return reader.valid_until() > before + 250ms; }));
    // One of two keys is there: whether a writer may have it is not known until the move is over.
    error_code code;
    (void)table.acquire_write(200ms, {}, code);
    EXPECT_EQ(code, errc::unavailable) << code.message();
    reader.release();
    EXPECT_EQ(group().node(from)({"EXISTS", "{" + name + "}.readers"}).integer, 0);
    group().end_move(slot, to);
    auto writer = table.acquire_write(5s);
    EXPECT_EQ(group().node(to)({"EXISTS", key}).integer, 1);
    writer.release();
    group().move(key, from);
}

TEST_P(redis_in_cluster, tickets_are_counted_wherever_they_are) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(0, "tickets");
    const auto tickets = locks.make_semaphore(name, 2);
    auto one = tickets.acquire(5s);
    auto other = tickets.acquire(5s);
    EXPECT_FALSE(tickets.try_acquire());
    group().move(name, 1);
    EXPECT_FALSE(tickets.try_acquire());
    one.release();
    EXPECT_EQ(tickets.current_count(), 1);
    other.release();
    EXPECT_EQ(tickets.current_count(), 2);
    group().move(name, 0);
}

TEST_P(redis_in_cluster, tokens_of_one_name_grow_also_when_its_slot_moves) {
    options_.fencing = true;
    const provider locks = redis::make_provider(options_);
    for (const std::string& name : {name_at(0, "fenced"), "{" + name_at(1, "fenced") + "}tag"}) {
        const std::size_t home = group().owner_of(name);
        std::uint64_t last = 0;
        for (int round = 0; round < 4; ++round) {
            attempt how = acquire(locks.make_lock(name), 5s);
            ASSERT_FALSE(how.code) << how.diag.message;
            const auto token = how.handle.fencing_token();
            ASSERT_TRUE(token.has_value());
            EXPECT_GT(token->value(), last);
            last = token->value();
            EXPECT_FALSE(release(std::move(how.handle)).code);
            if (round == 1) group().move(name, (home + 1) % redis_cluster::masters);
        }
        group().move(name, home);
    }
    const auto table = locks.make_reader_writer_lock(name_at(2, "fenced"));
    const auto first = table.acquire_read(5s).fencing_token();
    const auto second = table.acquire_write(5s).fencing_token();
    ASSERT_TRUE(first && second);
    EXPECT_GT(second->value(), first->value());
    const auto tickets = locks.make_semaphore(name_at(2, "fenced tickets"), 1);
    EXPECT_TRUE(tickets.acquire(5s).fencing_token().has_value());
}

TEST_P(redis_in_cluster, a_slot_that_nobody_serves_is_told_in_time_and_awaited) {
    const provider locks = redis::make_provider(options_);
    const std::string name = name_at(2, "unserved");
    const std::string slot = std::to_string(group().slot_of(name));
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        group().node(number)({"CONFIG", "SET", "cluster-require-full-coverage", "no"});
        group().node(number)({"CLUSTER", "DELSLOTS", slot});
    }
    const attempt refused = acquire(locks.make_lock(name), 100ms);
    EXPECT_EQ(refused.code, errc::unavailable) << refused.code.message();
    EXPECT_NE(refused.diag.message.find("cluster"), std::string::npos) << refused.diag.message;
    EXPECT_LT(refused.took, 5s);
    EXPECT_EQ(acquire(locks.make_lock(name), timeout::zero()).code, errc::unavailable);
    fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock(name), 20s);
    // Others are served.
    EXPECT_FALSE(acquire(locks.make_lock(name_at(0, "served")), 5s).code);
    group().node(2)({"CLUSTER", "ADDSLOTS", slot});
    const attempt then = waiter.get();
    EXPECT_FALSE(then.code) << then.code.message() << then.diag.message;
}

TEST_P(redis_in_cluster, a_release_in_vain_is_done_when_the_node_goes_on) {
    options_.expiry = 60s;
    options_.min_validity = 59s;
    options_.extension_cadence = 30s;
    const provider locks = redis::make_provider(options_, {.release_timeout = 300ms});
    const std::string name = name_at(0, "kept");
    attempt how = acquire(locks.make_lock(name), 5s);
    ASSERT_FALSE(how.code) << how.diag.message;
    group().node(0)({"SCRIPT", "FLUSH"});
    // Not for so long that the others take it for dead.
    group().node(0).signal(SIGSTOP);
    const error_code code = release(std::move(how.handle)).code;
    group().node(0).signal(SIGCONT);
    EXPECT_TRUE(code == errc::in_doubt || code == errc::unavailable) << code.message();
    EXPECT_TRUE(fakes::eventually([&] { return group().node(0)({"EXISTS", name}).integer == 0; })) << "left behind";
}

TEST_P(redis_in_cluster, what_is_none_is_said) {
    const test::redis_server alone;
    options_.servers = {{.port = alone.port()}};
    attempt how = acquire(redis::make_provider(options_).make_lock("name"), 5s);
    EXPECT_EQ(how.code, errc::unsupported) << how.code.message();
    EXPECT_NE(how.diag.message.find("no node of a cluster"), std::string::npos) << how.diag.message;
    options_.servers = {{.port = group().node(0).port()}};
    options_.cluster = false;
    how = acquire(redis::make_provider(options_).make_lock(name_at(1)), 5s);
    EXPECT_EQ(how.code, errc::unsupported) << how.code.message();
}

TEST_P(redis_in_cluster, whoever_gets_the_address_of_a_node_that_is_gone_grants_nothing) {
    redis_cluster own(false, {"--cluster-require-full-coverage", "no"});
    options_.expiry = 60s;
    options_.min_validity = 50s;
    options_.servers = {{.port = own.node(1).port()}};
    const std::string there = own.name_at(0);
    const std::string elsewhere = own.name_at(1);
    const provider locks = redis::make_provider(options_);
    ASSERT_FALSE(acquire(locks.make_lock(elsewhere), 5s).code);
    own.node(0).kill();
    for (const char* kind : strangers) {
        auto stranger = make_stranger(kind, own.node(0).port());
        const attempt how = acquire(locks.make_lock(there), 300ms);
        EXPECT_TRUE(how.code) << "granted by a server " << kind;
        EXPECT_FALSE(how.diag.message.empty()) << kind;
        EXPECT_FALSE(acquire(locks.make_lock(there), timeout::zero()).handle);
        if (kind != std::end(strangers)[-1]) continue;
        // The node itself may come back.
        fakes::pending_acquire waiter(handlers_, GetParam(), locks.make_lock(there), 40s);
        EXPECT_FALSE(acquire(locks.make_lock(elsewhere), 5s).code);
        stranger.reset();
        own.node(0).start();
        const attempt then = waiter.get();
        EXPECT_FALSE(then.code) << then.code.message() << ": " << then.diag.message;
    }
}

TEST_P(redis_in_cluster, whoever_gets_the_address_of_a_node_that_was_replaced_makes_no_second_holder) {
    redis_cluster own(true);
    options_.servers = {{.port = own.node(1).port()}};
    const std::string there = own.name_at(0);
    const std::string elsewhere = own.name_at(1);
    std::vector<provider> before;
    for (std::size_t count = 0; count < std::size(strangers); ++count) {
        before.push_back(redis::make_provider(options_));
        ASSERT_FALSE(acquire(before.back().make_lock(elsewhere), 5s).code);
    }
    own.node(0).kill();
    attempt holder = acquire(redis::make_provider(options_).make_lock(there), 60s);
    ASSERT_FALSE(holder.code) << holder.diag.message;
    for (std::size_t count = 0; count < std::size(strangers); ++count) {
        const auto stranger = make_stranger(strangers[count], own.node(0).port());
        // Nobody has told it that another node has the slot by now.
        const attempt how = acquire(before[count].make_lock(there), 2s);
        EXPECT_EQ(how.code, errc::timed_out) << strangers[count] << ": " << how.diag.message;
        EXPECT_TRUE(is_renewed(holder.handle));
    }
    EXPECT_FALSE(release(std::move(holder.handle)).code);
}

TEST_P(redis_in_cluster, a_cluster_that_was_made_anew_is_used_when_old_leases_have_ended) {
    redis_cluster own(false);
    options_.servers = {{.port = own.node(1).port()}};
    options_.expiry = 3s;
    options_.min_validity = 2s;
    const provider locks = redis::make_provider(options_);
    ASSERT_FALSE(acquire(locks.make_lock("before"), 5s).code);
    for (std::size_t number = 0; number < own.size(); ++number) own.node(number).kill();
    const auto anew = make_stranger("of another cluster", own.node(1).port());
    const attempt how = acquire(locks.make_lock("name"), 40s);
    EXPECT_FALSE(how.code) << how.code.message() << ": " << how.diag.message;
    EXPECT_GT(how.took, 2s) << "what the old one granted may still be held";
}

TEST_P(redis_in_cluster, who_may_not_ask_who_a_node_is_can_use_it) {
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        group().node(number)({"ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all", "-cluster|myid"});
    }
    options_.user = "ann";
    options_.password = "secret";
    const provider locks = redis::make_provider(options_);
    for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
        const attempt how = acquire(locks.make_lock(name_at(number, "asked by ann")), 5s);
        EXPECT_FALSE(how.code) << how.code.message() << ": " << how.diag.message;
    }
}

TEST_P(redis_in_cluster, all_masters_are_listed_and_examined) {
    options_.key_prefix = std::string("listed:") + fakes::name_of(GetParam()) + ":";
    options_.servers.resize(1);
    const provider locks = redis::make_provider(options_);
    std::vector<lock_handle> held;
    for (int count = 0; count < 20; ++count) {
        held.push_back(locks.make_lock("name" + std::to_string(count)).acquire(5s));
    }
    EXPECT_EQ(locks.list().size(), 20);
    EXPECT_EQ(locks.list({.key = options_.key_prefix + "name7"}).size(), 1);
    // Nodes may not agree yet on what other tests have moved.
    std::string all;
    const bool found = fakes::eventually([&] {
        int good = 0;
        all.clear();
        for (const finding& each : locks.examine()) {
            EXPECT_NE(each.severity, finding::grade::fault) << each.subject << each.text;
            all += each.subject + ": " + each.text + "\n";
            const bool counts = each.subject == "channels" || each.subject == "rights" || each.subject == "cluster";
            if (counts && each.severity == finding::grade::good) ++good;
        }
        return good == 3 * static_cast<int>(redis_cluster::masters);
    });
    EXPECT_TRUE(found) << all;
    for (const bool tagged : {false, true}) {
        options_.key_prefix = tagged ? "{listed}:" : "";
        for (const finding& each : redis::make_provider(options_).examine()) {
            EXPECT_NE(each.severity, finding::grade::fault) << each.subject << each.text;
        }
    }
}

TEST_P(redis_in_cluster, connections_that_are_killed_are_made_anew) {
    const provider locks = redis::make_provider(options_);
    attempt kept = acquire(locks.make_lock(name_at(0, "kept")), 5s);
    ASSERT_FALSE(kept.code) << kept.diag.message;
    for (int round = 0; round < 20; ++round) {
        for (std::size_t number = 0; number < redis_cluster::masters; ++number) {
            group().node(number)({"CLIENT", "KILL", "TYPE", "normal"});
            attempt how = acquire(locks.make_lock(name_at(number, "killed")), 5s);
            ASSERT_FALSE(how.code) << how.diag.message;
            group().node(number)({"CLIENT", "KILL", "TYPE", "normal"});
            EXPECT_FALSE(release(std::move(how.handle)).code);
        }
    }
    EXPECT_EQ(kept.handle.state(), held_state::held);
    EXPECT_TRUE(is_renewed(kept.handle));
}

TEST(redis_cluster_calls, wait_for_no_executor_that_does_not_run) {
    redis_cluster group(false);
    redis::options options;
    options.servers = {{.port = group.node(0).port()}};
    options.cluster = true;
    boost::asio::io_context idle;
    provider_settings settings;
    settings.executor = idle.get_executor();
    error_code ended;
    {
        const provider locks = redis::make_provider(options, settings);
        boost::asio::cancellation_signal cancel;
        locks.make_lock("first").async_acquire(
            timeout::infinite(),
            boost::asio::bind_cancellation_slot(cancel.slot(), [&](error_code code, lock_handle) { ended = code; }));
        error_code code;
        diagnostics diag;
        const auto held = locks.make_lock("second").acquire(20s, {}, code, &diag);
        EXPECT_FALSE(code) << code.message() << ": " << diag.message;
        cancel.emit(boost::asio::cancellation_type::all);
        while (!ended && idle.run_one_for(10s) > 0) {
        }
    }
    EXPECT_EQ(ended, errc::cancelled);
}

}  // namespace
}  // namespace holdfast
