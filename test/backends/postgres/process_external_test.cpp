// Locks on a connection, and in a transaction, of the user's own.
#include "postgres_fixture.hpp"

#include <libpq-fe.h>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

/// A user's connection.
class own_connection {
public:
    explicit own_connection(const test::postgres_server& server, const std::string& more = "")
        : made_(::PQconnectdb((server.connection() + more).c_str()), &::PQfinish) {
        EXPECT_EQ(::PQstatus(made_.get()), CONNECTION_OK);
        // Warnings are looked for in the server's log.
        ::PQsetNoticeProcessor(
            made_.get(), [](void*, const char*) {}, nullptr);
    }
    PGconn* get() const noexcept { return made_.get(); }
    /// The first value; the SQLSTATE of an error.
    std::string operator()(const char* sql) const {
        const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(::PQexec(made_.get(), sql), &::PQclear);
        const auto status = ::PQresultStatus(answer.get());
        if (status == PGRES_TUPLES_OK) return ::PQntuples(answer.get()) > 0 ? ::PQgetvalue(answer.get(), 0, 0) : "";
        if (status == PGRES_COMMAND_OK) return "";
        const char* const sqlstate = ::PQresultErrorField(answer.get(), PG_DIAG_SQLSTATE);
        return sqlstate == nullptr ? "lost" : sqlstate;
    }
    PGTransactionStatusType transaction() const { return ::PQtransactionStatus(made_.get()); }
    void close() { made_.reset(); }
    /// What its end from outside looks like.
    void cut() const { ::shutdown(::PQsocket(made_.get()), SHUT_RDWR); }

private:
    std::unique_ptr<PGconn, decltype(&::PQfinish)> made_;
};

errc code_when(const std::function<void()>& call) {
    try {
        call();
    } catch (const error& thrown) {
        return static_cast<errc>(thrown.boost_code().value());
    }
    return errc{};
}

class postgres_external : public postgres_test {
protected:
    own_connection own_{server()};
    own_connection second_{server()};

    static provider on(const own_connection& connection) { return postgres::make_provider(connection.get()); }
    int granted() const { return in_server(" AND granted"); }
    bool waits() const {
        return test::eventually([this] { return in_server(" AND NOT granted") == 1; });
    }
};

// Behaviour 89, as far as there is a counterpart: what is given is used as it is, and nothing is multiplexed over it.
TEST_F(postgres_external, a_lock_on_a_connection_excludes_others_until_it_is_released) {
    const provider locks = on(own_);
    const auto elsewhere = make();
    auto held = locks.make_lock("own").acquire();
    EXPECT_EQ(held.state(), held_state::held);
    EXPECT_EQ(own_("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"), "1");
    EXPECT_FALSE(elsewhere.locks.make_lock("own").try_acquire());
    EXPECT_EQ(own_("SELECT 42"), "42");
    held.release();
    auto there = elsewhere.locks.make_lock("own").acquire();
    EXPECT_FALSE(locks.make_lock("own").try_acquire());
    EXPECT_FALSE(locks.make_lock("own").try_acquire(30ms));
    auto waiting = std::async(std::launch::async, [&] { return locks.make_lock("own").acquire(); });
    ASSERT_TRUE(waits());
    there.release();
    held = waiting.get();
    EXPECT_EQ(own_.transaction(), PQTRANS_IDLE);
    EXPECT_EQ(own_("SHOW lock_timeout"), "0");
}

TEST_F(postgres_external, the_server_can_be_listed_and_examined_over_it) {
    const provider locks = on(own_);
    const auto held = locks.make_lock("seen").acquire();
    own_("SET idle_in_transaction_session_timeout = '1h'");
    own_("BEGIN");
    own_("CREATE TEMPORARY TABLE kept (n int)");
    const auto found = locks.list({.key = std::string(locks.make_lock("seen").mapped_name())});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].state, lock_entry::status::held);
    bool warned = false;
    for (const finding& each : locks.examine({})) {
        EXPECT_NE(each.severity, finding::grade::fault) << each.text;
        warned = warned || (each.severity == finding::grade::warning &&
                            each.text.find("idle_in_transaction_session_timeout") != std::string::npos);
    }
    EXPECT_TRUE(warned);
    // A question that fails harms the transaction no more than one that is answered.
    server().query("CREATE ROLE blind LOGIN; GRANT blind TO postgres");
    server().query("REVOKE SELECT ON pg_locks FROM PUBLIC");
    own_("SET LOCAL ROLE blind");
    EXPECT_EQ(code_when([&] { locks.list({}); }), errc::permission);
    server().query("GRANT SELECT ON pg_locks TO PUBLIC; DROP ROLE blind");
    EXPECT_EQ(own_("INSERT INTO kept VALUES (1)"), "42501");
    own_("ROLLBACK");
    own_.cut();
    EXPECT_EQ(code_when([&] { locks.list({}); }), errc::invalid_state);
    EXPECT_EQ(code_when([&] { locks.examine({}); }), errc::invalid_state);
}

TEST_F(postgres_external, the_silence_of_a_server_that_is_listed_ends_in_time) {
    const provider locks = on(own_);
    const pid_t process = std::stoi(own_("SELECT pg_backend_pid()"));
    ASSERT_EQ(::kill(process, SIGSTOP), 0);
    EXPECT_EQ(code_when([&] { locks.list({.timeout = 100ms}); }), errc::unavailable);
    // A command is under way there.
    EXPECT_EQ(code_when([&] { locks.make_lock("listed").acquire(1s); }), errc::invalid_state);
    EXPECT_EQ(::kill(process, SIGCONT), 0);
    own_.close();
}

TEST_F(postgres_external, readers_share_and_names_are_keys_as_everywhere) {
    const provider one = on(own_);
    const provider two = on(second_);
    const auto first = one.make_reader_writer_lock("shared").acquire_read();
    const auto other = two.make_reader_writer_lock("shared").acquire_read();
    EXPECT_FALSE(make().locks.make_lock("shared").try_acquire());
    EXPECT_EQ(one.make_lock("a longer name").mapped_name(), make().locks.make_lock("a longer name").mapped_name());
    const auto number = one.make_lock(postgres::key_name(std::int64_t{-42})).acquire();
    EXPECT_EQ(second_("SELECT pg_try_advisory_lock(-42)"), "f");
    EXPECT_THROW(postgres::make_provider(own_.get(), {.strict_names = true}).make_lock("a longer name"), error);
}

TEST_F(postgres_external, asynchronous_calls_work_as_well) {
    const provider locks = on(own_);
    const auto elsewhere = make();
    auto there = elsewhere.locks.make_lock("own async").acquire();
    std::promise<error_code> done;
    lock_handle got;
    locks.make_lock("own async").async_acquire(10s, [&](error_code code, lock_handle handle) {
        got = std::move(handle);
        done.set_value(code);
    });
    ASSERT_TRUE(waits());
    there.release();
    EXPECT_FALSE(done.get_future().get());
    EXPECT_EQ(got.state(), held_state::held);
}

// Behaviour 76.
TEST_F(postgres_external, what_the_connection_holds_already_is_a_deadlock_or_a_timeout) {
    const provider locks = on(own_);
    const auto held = locks.make_lock("again").acquire();
    EXPECT_EQ(code_when([&] { locks.make_lock("again").acquire(); }), errc::deadlock);
    EXPECT_FALSE(locks.make_lock("again").try_acquire());
    const auto from = std::chrono::steady_clock::now();
    EXPECT_EQ(code_when([&] { locks.make_lock("again").acquire(10ms); }), errc::timed_out);
    EXPECT_GE(std::chrono::steady_clock::now() - from, 10ms);
    // Readers as well, and whatever the user has locked by himself.
    own_("SELECT pg_advisory_lock_shared(77)");
    EXPECT_EQ(code_when([&] { locks.make_reader_writer_lock(postgres::key_name(std::int64_t{77})).acquire_read(); }),
              errc::deadlock);
    EXPECT_EQ(granted(), 2);
    own_("SELECT pg_advisory_unlock_shared(77)");
}

// Behaviour 77.
TEST_F(postgres_external, a_connection_that_is_closed_or_busy_or_in_a_failed_transaction_is_an_invalid_state) {
    const provider locks = on(own_);
    const auto acquire = [&] { locks.make_lock("unusable").acquire(1s); };
    own_("BEGIN");
    EXPECT_EQ(own_("SELECT 1/0"), "22012");
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    own_("ROLLBACK");
    ASSERT_EQ(::PQsendQuery(own_.get(), "SELECT 1"), 1);
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    while (PGresult* const rest = ::PQgetResult(own_.get())) ::PQclear(rest);
    EXPECT_EQ(code_when(acquire), errc{});
    ASSERT_EQ(::PQenterPipelineMode(own_.get()), 1);
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    ASSERT_EQ(::PQexitPipelineMode(own_.get()), 1);
    own_.cut();
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    EXPECT_EQ(code_when([&] { postgres::make_provider(nullptr); }), errc::invalid_argument);
}

// Behaviour 77, of transactions.
TEST_F(postgres_external, a_transaction_that_is_over_or_has_failed_is_an_invalid_state) {
    const auto acquire = [&] { postgres::acquire_in_transaction(own_.get(), "over", 1s); };
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    own_("BEGIN");
    EXPECT_EQ(code_when(acquire), errc{});
    own_("COMMIT");
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    own_("BEGIN");
    own_("SELECT 1/0");
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    own_.cut();
    EXPECT_EQ(code_when(acquire), errc::invalid_state);
    EXPECT_EQ(code_when([] { postgres::acquire_in_transaction(nullptr, "none"); }), errc::invalid_argument);
}

// Behaviour 78.
TEST_F(postgres_external, a_lock_of_the_connection_survives_the_rollback_of_a_transaction) {
    const provider locks = on(own_);
    const auto before = locks.make_lock("before it").acquire();
    own_("BEGIN");
    auto within = locks.make_lock("within it").acquire();
    EXPECT_EQ(own_.transaction(), PQTRANS_INTRANS);
    own_("ROLLBACK");
    EXPECT_EQ(before.state(), held_state::held);
    EXPECT_EQ(within.state(), held_state::held);
    EXPECT_EQ(granted(), 2);
    own_("BEGIN");
    within.release();
    own_("ROLLBACK");
    EXPECT_EQ(granted(), 1);
}

// Behaviour 79.
TEST_F(postgres_external, a_lock_of_a_connection_that_has_ended_is_lost_and_its_release_says_so) {
    const provider locks = on(own_);
    auto held = locks.make_lock("ended").acquire();
    own_.cut();
    EXPECT_EQ(held.state(), held_state::lost);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_TRUE(make().locks.make_lock("ended").try_acquire(10s));
}

TEST_F(postgres_external, a_connection_that_was_made_anew_has_lost_what_it_held) {
    const provider locks = on(own_);
    auto held = locks.make_lock("anew").acquire();
    ::PQreset(own_.get());
    EXPECT_EQ(held.state(), held_state::lost);
    const auto again = locks.make_lock("anew").acquire(10s);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(again.state(), held_state::held);
    EXPECT_EQ(granted(), 1);
}

TEST_F(postgres_external, a_release_that_could_not_be_is_made_up_for) {
    const provider locks = on(own_);
    auto held = locks.make_lock("owed").acquire();
    own_("BEGIN");
    own_("SELECT 1/0");
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::invalid_state);
    EXPECT_EQ(granted(), 1);
    own_("ROLLBACK");
    { const auto next = locks.make_lock("the next").acquire(); }
    EXPECT_EQ(granted(), 0);
}

TEST_F(postgres_external, a_release_that_fails_again_is_still_made_up_for_and_nothing_comes_before_it) {
    server().query("CREATE ROLE forgetful LOGIN");
    own_connection theirs(server(), " user=forgetful");
    const provider locks = on(theirs);
    auto held = locks.make_lock("owed").acquire();
    theirs("BEGIN");
    theirs("SELECT 1/0");
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::invalid_state);
    theirs("ROLLBACK");
    server().query("REVOKE EXECUTE ON FUNCTION pg_advisory_unlock(int, int) FROM PUBLIC");
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(code_when([&] { locks.make_lock("next").acquire(); }), errc::permission);
        EXPECT_EQ(granted(), 1);
    }
    server().query("GRANT EXECUTE ON FUNCTION pg_advisory_unlock(int, int) TO PUBLIC");
    held = locks.make_lock("next").acquire();
    EXPECT_EQ(granted(), 1);
    held.release();
    EXPECT_EQ(granted(), 0);
}

TEST_F(postgres_external, a_try_that_fails_when_it_may_have_been_granted_is_looked_into) {
    server().query("CREATE ROLE doubtful LOGIN");
    own_connection theirs(server(), " user=doubtful");
    const provider locks = on(theirs);
    server().query("REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) FROM PUBLIC");
    EXPECT_EQ(code_when([&] { locks.make_lock("doubtful").acquire(); }), errc::permission);
    server().query("GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) TO PUBLIC");
    EXPECT_EQ(granted(), 0);
    const auto held = locks.make_lock("doubtful").acquire();
    EXPECT_EQ(granted(), 1);
}

// Behaviour 87, on a connection and in a transaction: all of statement_timeout, lock_timeout and the transaction stay
// as they were.
TEST_F(postgres_external, whatever_ends_an_acquire_leaves_the_transaction_as_it_was) {
    const auto elsewhere = make();
    const auto there = elsewhere.locks.make_lock("taken").acquire();
    const provider locks = on(own_);
    own_("BEGIN");
    own_("SET LOCAL statement_timeout = '90min'");
    own_("SET LOCAL lock_timeout = '2h'");
    own_("CREATE TEMPORARY TABLE kept (n int)");
    const auto unharmed = [&] {
        EXPECT_EQ(own_.transaction(), PQTRANS_INTRANS);
        EXPECT_EQ(own_("SHOW statement_timeout"), "90min");
        EXPECT_EQ(own_("SHOW lock_timeout"), "2h");
        EXPECT_EQ(own_("INSERT INTO kept VALUES (1)"), "");
    };
    for (const bool in_transaction : {false, true}) {
        const auto acquire = [&](timeout limit, const std::stop_token& stop = {}) {
            return code_when([&] {
                if (in_transaction) {
                    postgres::acquire_in_transaction(own_.get(), "taken", limit, postgres::lock_mode::write, stop);
                } else {
                    locks.make_lock("taken").acquire(limit, stop);
                }
            });
        };
        EXPECT_EQ(acquire(timeout::zero()), errc::timed_out);
        unharmed();
        EXPECT_EQ(acquire(30ms), errc::timed_out);
        unharmed();
        std::stop_source stop;
        auto waiting = std::async(std::launch::async, [&] { return acquire(timeout::infinite(), stop.get_token()); });
        ASSERT_TRUE(waits());
        stop.request_stop();
        EXPECT_EQ(waiting.get(), errc::cancelled);
        unharmed();
    }
    EXPECT_EQ(own_("COMMIT"), "");
    EXPECT_EQ(own_("SELECT count(*) FROM kept"), "6");
    EXPECT_EQ(granted(), 1);
}

// Behaviours 80 and 88.
TEST_F(postgres_external, locks_of_a_transaction_end_with_it) {
    for (const char* end : {"COMMIT", "ROLLBACK"}) {
        own_("BEGIN");
        own_("SET LOCAL statement_timeout = '3s'");
        own_("SET LOCAL lock_timeout = '1d'");
        postgres::acquire_in_transaction(own_.get(), "transaction 1");
        EXPECT_FALSE(postgres::try_acquire_in_transaction(own_.get(), "transaction 1"));
        EXPECT_FALSE(postgres::try_acquire_in_transaction(own_.get(), "transaction 1", 10ms));
        EXPECT_EQ(code_when([&] { postgres::acquire_in_transaction(own_.get(), "transaction 1"); }), errc::deadlock);
        EXPECT_TRUE(postgres::try_acquire_in_transaction(own_.get(), "transaction 2", timeout::zero(),
                                                         postgres::lock_mode::read));
        EXPECT_EQ(granted(), 2);
        EXPECT_FALSE(make().locks.make_lock("transaction 1").try_acquire());
        // One that has to wait for its lock restores them, too.
        second_("BEGIN");
        postgres::acquire_in_transaction(second_.get(), "transaction 3");
        auto waiting =
            std::async(std::launch::async, [&] { postgres::acquire_in_transaction(own_.get(), "transaction 3", 30s); });
        ASSERT_TRUE(waits());
        second_("COMMIT");
        waiting.get();
        EXPECT_EQ(own_("SHOW statement_timeout"), "3s");
        EXPECT_EQ(own_("SHOW lock_timeout"), "1d");
        EXPECT_EQ(granted(), 3);
        own_(end);
        EXPECT_EQ(granted(), 0);
        EXPECT_EQ(own_("SHOW statement_timeout"), "0");
    }
}

TEST_F(postgres_external, a_server_that_says_nothing_does_not_hold_a_transaction_up_for_ever) {
    own_("BEGIN");
    const pid_t process = std::stoi(own_("SELECT pg_backend_pid()"));
    ASSERT_EQ(::kill(process, SIGSTOP), 0);
    const auto since = std::chrono::steady_clock::now();
    EXPECT_EQ(make_error_code(code_when([&] { postgres::acquire_in_transaction(own_.get(), "silent", 100ms); })),
              make_error_code(errc::in_doubt));
    EXPECT_LT(std::chrono::steady_clock::now() - since, 9s);
    EXPECT_EQ(::kill(process, SIGCONT), 0);
    own_.close();
}

TEST_F(postgres_external, a_lack_of_descriptors_is_said) {
    own_("BEGIN");
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int first_free = ::dup(0);
    ::close(first_free);
    const rlimit none{static_cast<rlim_t>(first_free), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const errc code = code_when([&] { postgres::acquire_in_transaction(own_.get(), "no descriptor", 1s); });
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(make_error_code(code), make_error_code(errc::unavailable));
    EXPECT_EQ(granted(), 0);
}

// Behaviour 75: here the server can see the circle.
TEST_F(postgres_external, a_circle_of_two_connections_is_a_deadlock) {
    const provider one = on(own_);
    const provider two = on(second_);
    const auto a = one.make_lock("circle a").acquire();
    auto b = two.make_lock("circle b").acquire();
    auto waiting =
        std::async(std::launch::async, [&] { return code_when([&] { one.make_lock("circle b").acquire(20s); }); });
    const auto from = std::chrono::steady_clock::now();
    const errc here = code_when([&] { const auto got = two.make_lock("circle a").try_acquire(5s); });
    // The victim has to let go, or the other one goes on waiting.
    EXPECT_EQ(b.state(), held_state::held);
    b.release();
    const errc there = waiting.get();
    EXPECT_LT(std::chrono::steady_clock::now() - from, 15s);
    EXPECT_TRUE(here == errc::deadlock || there == errc::deadlock);
    EXPECT_EQ(a.state(), held_state::held);
}

TEST_F(postgres_external, a_circle_of_two_transactions_is_a_deadlock_and_both_can_go_on) {
    own_("BEGIN");
    second_("BEGIN");
    postgres::acquire_in_transaction(own_.get(), "circle a");
    postgres::acquire_in_transaction(second_.get(), "circle b");
    auto waiting = std::async(std::launch::async, [&] {
        return code_when([&] { postgres::acquire_in_transaction(own_.get(), "circle b"); });
    });
    ASSERT_TRUE(waits());
    const errc here = code_when([&] { postgres::try_acquire_in_transaction(second_.get(), "circle a", 3s); });
    EXPECT_EQ(second_.transaction(), PQTRANS_INTRANS);
    second_("COMMIT");
    const errc there = waiting.get();
    EXPECT_TRUE(here == errc::deadlock || there == errc::deadlock);
    EXPECT_EQ(own_.transaction(), PQTRANS_INTRANS);
    own_("COMMIT");
}

// The server's grant may cross the end of the wait: then the lock is ours, or given back, but never left.
TEST_F(postgres_external, ends_of_waits_that_cross_their_grants_leave_nothing) {
    const provider locks = on(own_);
    const auto elsewhere = make();
    int got_it = 0;
    int ended = 0;
    for (int round = 0; round < 200; ++round) {
        auto there = elsewhere.locks.make_lock("crossing").acquire();
        std::jthread releaser([&, wait = std::chrono::microseconds(1000 + 37 * (round % 60))] {
            std::this_thread::sleep_for(wait);
            there.release();
        });
        if (auto got = locks.make_lock("crossing").try_acquire(2ms)) {
            ++got_it;
            got->release();
        } else {
            ++ended;
        }
        releaser.join();
        ASSERT_EQ(in_server(""), 0) << "round " << round;
    }
    EXPECT_GT(got_it, 0);
    EXPECT_GT(ended, 0);
}

TEST_F(postgres_external, the_users_own_savepoints_and_nonblocking_mode_do_not_matter) {
    ASSERT_EQ(::PQsetnonblocking(own_.get(), 1), 0);
    const provider locks = on(own_);
    own_("BEGIN");
    own_("SAVEPOINT holdfast_acquire");
    own_("CREATE TEMPORARY TABLE mine (n int)");
    const auto held = locks.make_lock("named alike").acquire();
    postgres::acquire_in_transaction(own_.get(), "named alike too");
    EXPECT_EQ(own_("SELECT count(*) FROM mine"), "0");
    EXPECT_EQ(own_("ROLLBACK TO SAVEPOINT holdfast_acquire"), "");
    // The transaction's lock was taken after the savepoint; the connection's stays.
    EXPECT_EQ(granted(), 1);
    own_("COMMIT");
}

}  // namespace
}  // namespace holdfast
