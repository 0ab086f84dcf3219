// Fencing tokens: numbers of a sequence, drawn after the grant.
#include "races.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <signal.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class postgres_fencing : public postgres_test {
protected:
    void SetUp() override {
        postgres_test::SetUp();
        server().query("SET client_min_messages = warning; CREATE SEQUENCE IF NOT EXISTS tokens");
    }

    /// Not that of the other tests, which look for warnings in its log.
    const test::postgres_server& server() const override {
        static const test::postgres_server own;
        return own;
    }

    static postgres::options fencing(const std::string& sequence = "tokens") {
        postgres::options made;
        made.fencing_sequence = sequence;
        return made;
    }
    static std::uint64_t token(const lock_handle& of) {
        EXPECT_TRUE(of.fencing_token());
        return of.fencing_token() ? of.fencing_token()->value() : 0;
    }

    struct outcome {
        errc code{};
        std::string text;
    };
    static outcome acquire(const provider& from, const char* name) {
        error_code code;
        diagnostics diag;
        auto got = from.make_lock(name).acquire(5s, {}, code, &diag);
        if (!code) return {errc::invalid_state, "it was granted"};
        return {static_cast<errc>(code.value()), diag.message};
    }
};

TEST_F(postgres_fencing, whoever_comes_later_has_the_greater_token) {
    const auto one = make(fencing());
    const auto two = make(fencing());
    std::uint64_t last = 0;
    for (int round = 0; round < 50; ++round) {
        const auto held = (round % 2 == 0 ? one : two).locks.make_lock("grows").acquire();
        EXPECT_GT(token(held), last);
        last = token(held);
    }
}

TEST_F(postgres_fencing, a_waiter_draws_when_it_has_the_lock_and_not_before) {
    const auto one = make(fencing());
    const auto two = make(fencing());
    auto held = one.locks.make_lock("drawn late").acquire();
    auto waiting = std::async(std::launch::async, [&] { return two.locks.make_lock("drawn late").acquire(30s); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    // Whatever the waiter had drawn when it began to wait would be less than this.
    const auto meanwhile = static_cast<std::uint64_t>(server().count("SELECT nextval('tokens')"));
    held.release();
    EXPECT_GT(token(waiting.get()), meanwhile);
}

TEST_F(postgres_fencing, a_refusal_and_a_wait_in_vain_draw_nothing) {
    const auto one = make(fencing());
    const auto two = make(fencing());
    const auto held = one.locks.make_lock("in vain").acquire();
    EXPECT_FALSE(two.locks.make_lock("in vain").try_acquire());
    EXPECT_FALSE(two.locks.make_lock("in vain").try_acquire(20ms));
    EXPECT_EQ(static_cast<std::uint64_t>(server().count("SELECT nextval('tokens')")), token(held) + 1);
}

TEST_F(postgres_fencing, locks_that_are_taken_at_once_have_a_token_each) {
    constexpr int count = 300;
    const auto from = make(fencing());
    std::vector<lock_handle> held(count);
    std::atomic<int> left{count};
    for (std::size_t i = 0; i < held.size(); ++i) {
        from.locks.make_lock("at once " + std::to_string(i)).async_acquire(30s, [&, i](error_code, lock_handle got) {
            held[i] = std::move(got);
            --left;
        });
    }
    ASSERT_TRUE(test::eventually([&] { return left == 0; }, 30s));
    std::set<std::uint64_t> tokens;
    for (const lock_handle& each : held) tokens.insert(token(each));
    EXPECT_EQ(tokens.size(), held.size());
    // Releases go together with tries.
    held.resize(count / 2);
    const auto again = from.locks.make_lock("at once 299").acquire(10s);
    EXPECT_GT(token(again), *tokens.rbegin());
}

TEST_F(postgres_fencing, readers_have_tokens_too_also_those_who_join_a_hold_of_their_process) {
    postgres::options opts = fencing();
    opts.max_connections = 1;
    const auto few = make(opts);
    const auto from = make(fencing());
    std::uint64_t last = 0;
    std::vector<lock_handle> readers;
    for (const counted_provider* each : {&from, &few, &few, &few, &from}) {
        readers.push_back(each->locks.make_reader_writer_lock("read").acquire_read(10s));
        EXPECT_GT(token(readers.back()), last);
        last = token(readers.back());
    }
    readers.clear();
    EXPECT_GT(token(from.locks.make_reader_writer_lock("read").acquire_write()), last);
}

TEST_F(postgres_fencing, locks_with_a_connection_each_have_tokens_as_well) {
    postgres::options opts = fencing();
    opts.multiplexing = false;
    const auto from = make(opts);
    const auto one = from.locks.make_lock("own 1").acquire();
    const auto two = from.locks.make_lock("own 2").acquire();
    EXPECT_GT(token(two), token(one));
}

TEST_F(postgres_fencing, every_grant_that_crosses_the_end_of_its_wait_has_its_token_or_is_given_back) {
    constexpr int rounds = 400;
    const auto holders = make(fencing());
    const auto waiters = make(fencing());
    for (const race_result& how : {race_timeouts(holders, waiters, rounds), race_cancels(holders, waiters, rounds)}) {
        EXPECT_EQ(how.wrong, 0);
        EXPECT_GT(how.granted, 0);
        EXPECT_GT(how.not_granted, 0);
    }
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_fencing, a_sequence_that_cannot_be_trusted_is_refused_before_anything_is_locked) {
    server().query(
        "CREATE SEQUENCE cycling CYCLE; CREATE SEQUENCE stocked CACHE 10; CREATE SEQUENCE falling INCREMENT -1;"
        "CREATE UNLOGGED SEQUENCE unlogged; CREATE SEQUENCE negative MINVALUE -5; CREATE TABLE no_sequence ()");
    const std::vector<std::pair<const char*, const char*>> wrong{{"missing", "does not exist"},
                                                                 {"nowhere.tokens", "does not exist"},
                                                                 {"cycling", "NO CYCLE"},
                                                                 {"stocked", "CACHE 1"},
                                                                 {"falling", "down"},
                                                                 {"unlogged", "unlogged"},
                                                                 {"negative", "MINVALUE"},
                                                                 {"no_sequence", "something else"},
                                                                 {"a b c", "42602"}};
    for (const auto& [name, because] : wrong) {
        const auto from = make(fencing(name));
        const outcome how = acquire(from.locks, "untrusted");
        EXPECT_EQ(make_error_code(how.code), errc::invalid_options) << name << ": " << how.text;
        EXPECT_NE(how.text.find(because), std::string::npos) << name << ": " << how.text;
        EXPECT_EQ(in_server(""), 0) << name;
    }
    server().query(
        "DROP SEQUENCE cycling; DROP SEQUENCE stocked; DROP SEQUENCE falling; DROP SEQUENCE unlogged;"
        "DROP SEQUENCE negative; DROP TABLE no_sequence");
}

TEST_F(postgres_fencing, a_sequence_that_is_not_permitted_is_refused_and_usage_is_all_it_takes) {
    server().query("CREATE ROLE drawer LOGIN; CREATE SCHEMA locks; CREATE SEQUENCE locks.\"My Tokens\"");
    postgres::options opts = fencing("locks.\"My Tokens\"");
    opts.connection = "user=drawer";
    for (const char* missing : {"schema", "sequence"}) {
        const outcome how = acquire(make(opts).locks, "unpermitted");
        EXPECT_EQ(make_error_code(how.code), errc::permission) << missing << ": " << how.text;
        EXPECT_NE(how.text.find(missing), std::string::npos) << how.text;
        server().query(missing == std::string("schema") ? "GRANT USAGE ON SCHEMA locks TO drawer"
                                                        : "GRANT USAGE ON SEQUENCE locks.\"My Tokens\" TO drawer");
    }
    {
        const auto from = make(opts);
        EXPECT_GT(token(from.locks.make_lock("permitted").acquire()), 0U);
    }
    server().query("DROP SEQUENCE locks.\"My Tokens\"; DROP SCHEMA locks; DROP ROLE drawer");
}

/// Found out only when it comes to drawing, on a connection that was good.
class postgres_vanished_sequence : public postgres_fencing {
protected:
    void SetUp() override {
        postgres_fencing::SetUp();
        server().query("CREATE SEQUENCE vanishing");
    }
};

TEST_F(postgres_vanished_sequence, ends_a_try_and_leaves_nothing) {
    const auto from = make(fencing("vanishing"));
    const auto held = from.locks.make_lock("before").acquire();
    server().query("DROP SEQUENCE vanishing");
    const outcome how = acquire(from.locks, "vanished");
    EXPECT_EQ(make_error_code(how.code), errc::invalid_options) << how.text;
    EXPECT_NE(how.text.find("vanishing"), std::string::npos) << how.text;
    EXPECT_EQ(in_server(" AND granted"), 1);
    EXPECT_EQ(held.state(), held_state::held);
}

TEST_F(postgres_vanished_sequence, ends_a_wait_and_leaves_nothing) {
    const auto one = make();
    const auto two = make(fencing("vanishing"));
    auto held = one.locks.make_lock("vanished wait").acquire();
    auto waiting = std::async(std::launch::async, [&] { return acquire(two.locks, "vanished wait"); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    server().query("DROP SEQUENCE vanishing");
    held.release();
    const outcome how = waiting.get();
    EXPECT_EQ(make_error_code(how.code), errc::invalid_options) << how.text;
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_vanished_sequence, ends_a_batch_and_leaves_nothing_but_what_was_held) {
    const auto from = make(fencing("vanishing"));
    const auto held = from.locks.make_lock("before").acquire();
    server().query("DROP SEQUENCE vanishing");
    constexpr int count = 50;
    std::atomic<int> left{count};
    std::atomic<int> refused{0};
    for (int i = 0; i < count; ++i) {
        from.locks.make_lock("vanished " + std::to_string(i)).async_acquire(5s, [&](error_code code, lock_handle) {
            if (code == errc::invalid_options) ++refused;
            --left;
        });
    }
    ASSERT_TRUE(test::eventually([&] { return left == 0; }));
    EXPECT_EQ(refused, count);
    EXPECT_EQ(in_server(" AND granted"), 1);
    EXPECT_EQ(held.state(), held_state::held);
}

/// Commits without waiting for its log, as far as it is up to the server; and who does wait for it, waits long enough
/// for others to draw meanwhile.
class postgres_killed_server : public postgres_fencing {
protected:
    void SetUp() override {
        postgres_fencing::SetUp();
        server().query("CHECKPOINT");
    }
    const test::postgres_server& server() const override { return server_; }

    test::postgres_server server_{{"fsync=on", "commit_delay=10000", "commit_siblings=0"}};
};

TEST_F(postgres_killed_server, does_not_send_tokens_back) {
    const test::watchdog dog("killed servers", 60s);
    std::uint64_t last = 0;
    for (int round = 0; round < 3; ++round) {
        std::atomic<bool> stop{false};
        std::atomic<int> drawn{0};
        std::mutex mutex;
        std::uint64_t least = ~std::uint64_t{0};
        std::uint64_t greatest = 0;
        std::vector<std::jthread> threads;
        for (int number = 0; number < 4; ++number) {
            threads.emplace_back([&, number] {
                // A connection each, so that one draws within what another has logged.
                const auto from = make(fencing());
                while (!stop) {
                    error_code code;
                    auto held = from.locks.make_lock("killed " + std::to_string(number)).acquire(5s, {}, code);
                    if (code) return;
                    const std::lock_guard guard(mutex);
                    least = std::min(least, token(held));
                    greatest = std::max(greatest, token(held));
                    ++drawn;
                    held.release(code);
                }
            });
        }
        ASSERT_TRUE(test::eventually([&] { return drawn > 60 + 7 * round; }));
        server_.kill_all();
        stop = true;
        threads.clear();
        EXPECT_GT(least, last) << "round " << round;
        last = greatest;
        server_.start();
    }
}

TEST_F(postgres_fencing, an_examination_tells_of_the_sequence) {
    const auto about_it = [this](const std::string& sequence) {
        for (const finding& each : make(fencing(sequence)).locks.examine({})) {
            if (each.subject == "fencing") return each;
        }
        return finding{finding::grade::fault, "fencing", "nothing is said"};
    };
    // The tests' server has fsync off.
    EXPECT_EQ(about_it("tokens").severity, finding::grade::warning);
    EXPECT_NE(about_it("tokens").text.find("fsync"), std::string::npos);
    EXPECT_EQ(about_it("missing").severity, finding::grade::fault);
    server().query("CREATE SEQUENCE hoarding CACHE 5");
    EXPECT_NE(about_it("hoarding").text.find("CACHE 1"), std::string::npos);
    server().query("DROP SEQUENCE hoarding");
    for (const finding& each : make().locks.examine({})) EXPECT_NE(each.subject, "fencing");
}

class postgres_durable : public postgres_fencing {
protected:
    const test::postgres_server& server() const override { return server_; }

    test::postgres_server server_{{"fsync=on"}};
};

TEST_F(postgres_durable, an_examination_finds_a_good_sequence_good_until_it_runs_out) {
    const auto severity = [this](const std::string& sequence) {
        for (const finding& each : make(fencing(sequence)).locks.examine({})) {
            if (each.subject == "fencing") return each.severity;
        }
        return finding::grade::fault;
    };
    EXPECT_EQ(severity("tokens"), finding::grade::good);
    server().query("CREATE SEQUENCE small MAXVALUE 10");
    server().query("SELECT setval('small', 9)");
    EXPECT_EQ(severity("small"), finding::grade::warning);
    const auto from = make(fencing("small"));
    EXPECT_EQ(token(from.locks.make_lock("last one").acquire()), 10U);
    const outcome how = acquire(from.locks, "one too many");
    EXPECT_NE(how.text.find("2200H"), std::string::npos) << how.text;
    EXPECT_EQ(in_server(""), 0);
}

}  // namespace
}  // namespace holdfast
