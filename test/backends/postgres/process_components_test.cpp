// What stands beside a PostgreSQL server, and before it: standbys, TLS, passwords, poolers. All of it real.
#include "races.hpp"

#include <backends/postgres/statements.hpp>

#include <holdfast/open.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

void says(const refusal& how, errc code, const std::string& text) {
    EXPECT_EQ(make_error_code(how.code), make_error_code(code)) << how.text;
    EXPECT_NE(how.text.find(text), std::string::npos) << how.text;
    EXPECT_EQ(how.text.find("hunter2"), std::string::npos) << how.text;
}

void refuses(const std::string& text, const std::function<void()>& acquire) {
    try {
        acquire();
        ADD_FAILURE() << "it was granted";
    } catch (const error& thrown) {
        says({static_cast<errc>(thrown.boost_code().value()), thrown.what() + thrown.diag().message}, errc::unsupported,
             text);
    }
}

/// No lock of the session is had on @p own.
void refuses_own(PGconn* own, const std::string& text) {
    refuses(text, [&] { postgres::make_provider(own).make_lock("own").acquire(5s); });
    refuses(text, [&] { (void)postgres::make_provider(own).make_lock("own").try_acquire(); });
}

provider opened(const std::string& url) {
    registry schemes;
    postgres::add_to(schemes);
    return schemes.open(url);
}

class postgres_standby : public postgres_test {
protected:
    const test::postgres_server& server() const override { return primary_; }

    test::postgres_server primary_;
    std::unique_ptr<test::postgres_server> standby_ = test::postgres_server::standby_of(primary_);
};

TEST_F(postgres_standby, that_follows_a_primary_is_refused_and_passed_over_where_that_is_asked_for) {
    ASSERT_TRUE(
        test::eventually([this] { return primary_.query("SELECT state FROM pg_stat_replication") == "streaming"; }));
    says(refused(standby_->url()), errc::unsupported, "standby");

    const std::string both = "postgres://postgres@127.0.0.1:" + std::to_string(standby_->port()) +
                             ",127.0.0.1:" + std::to_string(primary_.port()) + "/postgres";
    const auto held = opened(both + "?target_session_attrs=read-write").make_lock("followed").acquire(10s);
    EXPECT_EQ(in_server(" AND granted"), 1);
    // Without that, the first host counts.
    says(refused(both), errc::unsupported, "standby");
}

TEST_F(postgres_standby, locks_nothing_on_a_connection_of_the_users_own) {
    const std::unique_ptr<PGconn, decltype(&::PQfinish)> own(::PQconnectdb(standby_->connection().c_str()),
                                                             &::PQfinish);
    ASSERT_EQ(::PQstatus(own.get()), CONNECTION_OK) << ::PQerrorMessage(own.get());
    refuses_own(own.get(), "standby");
    ::PQclear(::PQexec(own.get(), "BEGIN"));
    refuses("standby", [&] { postgres::acquire_in_transaction(own.get(), "own", 5s); });
    EXPECT_EQ(::PQtransactionStatus(own.get()), PQTRANS_INTRANS);
    EXPECT_EQ(standby_->count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
}

// The holder is told, although nobody can stop the other side from being given the lock by the new primary.
TEST_F(postgres_standby, that_is_promoted_gives_locks_and_the_one_before_loses_them) {
    const std::string both = "postgres://postgres@127.0.0.1:" + std::to_string(primary_.port()) +
                             ",127.0.0.1:" + std::to_string(standby_->port()) +
                             "/postgres?target_session_attrs=read-write";
    const provider locks = opened(both);
    auto held = locks.make_lock("promoted").acquire(10s);
    primary_.stop(SIGKILL);
    EXPECT_TRUE(test::eventually([&] { return held.state() == held_state::lost; }));
    standby_->query("SELECT pg_promote()");
    const auto again = locks.make_lock("promoted").acquire(10s);
    EXPECT_EQ(standby_->count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 1);
    primary_.start();
}

/// A server with a certificate that a CA of the test's own has signed.
class postgres_tls : public postgres_test {
protected:
    void SetUp() override {
        postgres_test::SetUp();
        make_ca("right");
        make_ca("wrong");
        shell("openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr");
        std::ofstream(directory_ / "names") << "subjectAltName=DNS:localhost\n";
        shell(
            "openssl x509 -req -in server.csr -CA right.crt -CAkey right.key -CAcreateserial -days 2 -extfile names"
            " -out server.crt");
        set("ssl_cert_file", server_.write("server.crt", read("server.crt")));
        set("ssl_key_file", server_.write("server.key", read("server.key")));
        set("ssl", "on");
        server_.query("SELECT pg_reload_conf()");
        ASSERT_TRUE(test::eventually([this] { return server_.query("SHOW ssl") == "on"; }));
    }

    const test::postgres_server& server() const override { return server_; }

    std::string url(const std::string& mode, const std::string& ca, const std::string& host = "localhost") const {
        return "postgres://postgres:hunter2@" + host + ":" + std::to_string(server_.port()) +
               "/postgres?hostaddr=127.0.0.1&sslmode=" + mode + "&sslrootcert=" + (directory_ / (ca + ".crt"));
    }
    int encrypted() const {
        return server_.count(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE ssl AND application_name LIKE 'holdfast/%'");
    }

    test::postgres_server server_;

private:
    void shell(const std::string& command) const {
        const std::string all = "cd '" + directory_.path() + "' && " + command + " >> log 2>&1";
        // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
        ASSERT_EQ(::system(all.c_str()), 0) << command << ": " << read("log");
    }
    void make_ca(const std::string& name) const {
        shell("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + name + " -keyout " + name +
              ".key -out " + name + ".crt");
    }
    std::string read(const std::string& name) const {
        std::ifstream from(directory_ / name);
        return {std::istreambuf_iterator<char>(from), std::istreambuf_iterator<char>()};
    }
    void set(const std::string& name, const std::string& value) const {
        server_.query("ALTER SYSTEM SET " + name + " = '" + value + "'");
    }

    const test::temporary_directory directory_;
};

TEST_F(postgres_tls, works_when_the_certificate_is_verified_in_full) {
    const provider locks = opened(url("verify-full", "right"));
    const auto elsewhere = make();
    auto held = locks.make_lock("encrypted").acquire(10s);
    EXPECT_EQ(encrypted(), 1);
    auto waiting = std::async(std::launch::async, [&] { return elsewhere.locks.make_lock("encrypted").acquire(10s); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    held.release();
    auto there = waiting.get();
    // Waits, their ends and large batches go through it as well.
    EXPECT_FALSE(locks.make_lock("encrypted").try_acquire(50ms));
    auto back = std::async(std::launch::async, [&] { return locks.make_lock("encrypted").acquire(10s); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    there.release();
    held = back.get();
    constexpr int count = 1500;
    std::vector<lock_handle> many(count);
    std::atomic<int> left{count};
    for (std::size_t i = 0; i < many.size(); ++i) {
        locks.make_lock("encrypted " + std::to_string(i)).async_acquire(30s, [&, i](error_code code, lock_handle got) {
            EXPECT_FALSE(code) << code.message();
            many[i] = std::move(got);
            --left;
        });
    }
    ASSERT_TRUE(test::eventually([&] { return left == 0; }, 30s));
    EXPECT_EQ(in_server(" AND granted"), count + 1);
    EXPECT_EQ(held.state(), held_state::held);
    server_.query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'holdfast/%'");
    EXPECT_TRUE(test::eventually([&] { return held.state() == held_state::lost; }));
}

TEST_F(postgres_tls, refuses_a_server_that_another_ca_vouches_for_or_that_has_another_name) {
    says(refused(url("verify-full", "wrong")), errc::unavailable, "certificate verify failed");
    says(refused(url("verify-ca", "wrong")), errc::unavailable, "certificate verify failed");
    says(refused(url("verify-full", "right", "db.example")), errc::unavailable, "db.example");
    EXPECT_EQ(encrypted(), 0);
}

TEST_F(postgres_tls, that_the_server_wants_and_the_client_does_not_is_said) {
    server_.write("data/pg_hba.conf", "hostssl all nobody 127.0.0.1/32 trust\nhost all postgres 127.0.0.1/32 trust\n");
    server_.query("CREATE ROLE nobody LOGIN");
    server_.query("SELECT pg_reload_conf()");
    const std::string address = "postgres://nobody:hunter2@127.0.0.1:" + std::to_string(server_.port()) + "/postgres";
    ASSERT_TRUE(test::eventually([&] { return refused(address + "?sslmode=disable").code == errc::permission; }));
    says(refused(address + "?sslmode=disable"), errc::permission, "no encryption");
    const auto held = opened(address + "?sslmode=require").make_lock("wanted").acquire(10s);
    EXPECT_EQ(encrypted(), 1);
}

class postgres_without_tls : public postgres_test {};

TEST_F(postgres_without_tls, is_refused_where_tls_is_required) {
    for (const char* mode : {"require", "verify-full"}) {
        says(refused("postgres://postgres:hunter2@127.0.0.1:" + std::to_string(server().port()) +
                     "/postgres?sslmode=" + mode + "&sslrootcert=/dev/null"),
             errc::unavailable, "SSL");
    }
}

class postgres_scram : public postgres_test {
protected:
    void SetUp() override {
        postgres_test::SetUp();
        server_.query("CREATE ROLE secured LOGIN PASSWORD 'hunter2'");
        EXPECT_EQ(server_.query("SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'secured'"),
                  "SCRAM-SHA-256");
        server_.write("data/pg_hba.conf",
                      "host all secured 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n");
        server_.query("SELECT pg_reload_conf()");
        ASSERT_TRUE(test::eventually([this] { return refused(url("wrong")).code == errc::permission; }));
    }
    const test::postgres_server& server() const override { return server_; }
    std::string url(const std::string& password) const {
        return "postgres://secured" + (password.empty() ? "" : ":" + password) +
               "@127.0.0.1:" + std::to_string(server_.port()) + "/postgres";
    }

    test::postgres_server server_;
};

TEST_F(postgres_scram, the_right_password_opens_and_the_wrong_one_does_not) {
    {
        const auto held = opened(url("hunter2")).make_lock("secured").acquire(10s);
        EXPECT_EQ(held.state(), held_state::held);
    }
    says(refused(url("hunter2x")), errc::permission, "28P01");
    says(refused(url("")), errc::permission, "password");
    says(refused(url("hunter2") + "?sslmode=require"), errc::unavailable, "SSL");
    // What doctor and list say goes elsewhere, and must not tell either.
    for (const char* password : {"hunter2x", ""}) {
        try {
            opened(url(password)).examine({});
            ADD_FAILURE() << "it was let in";
        } catch (const error& thrown) {
            EXPECT_EQ(std::string(thrown.what()).find("hunter2"), std::string::npos) << thrown.what();
        }
    }
}

TEST_F(postgres_scram, a_password_may_come_from_a_file) {
    const test::temporary_directory directory;
    const std::string path = directory / "pgpass";
    std::ofstream(path) << "127.0.0.1:*:*:secured:hunter2\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto held = opened(url("") + "?passfile=" + path).make_lock("from a file").acquire(10s);
    EXPECT_EQ(held.state(), held_state::held);
}

/// PgBouncer before a server, in one of its modes.
class postgres_pooled : public postgres_test, public testing::WithParamInterface<const char*> {
protected:
    void SetUp() override {
        postgres_test::SetUp();
        const std::string config = directory_ / "pgbouncer.ini";
        std::ofstream(config) << "[databases]\npostgres = host=127.0.0.1 port=" << server().port()
                              << " user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " << port_
                              << "\nunix_socket_dir =\nauth_type = any\npool_mode = " << GetParam() << '\n';
        std::filesystem::permissions(directory_.path(),
                                     std::filesystem::perms::group_exec | std::filesystem::perms::others_exec,
                                     std::filesystem::perm_options::add);
        // It refuses to be root, and must not outlive us.
        std::vector<std::string> command{"setpriv", "--pdeathsig", "KILL"};
        if (::geteuid() == 0) command.insert(command.end(), {"--reuid", "nobody", "--clear-groups"});
        command.insert(command.end(), {"/usr/sbin/pgbouncer", "-q", config});
        pooler_.emplace(command);
    }
    /// What acquiring says once the pooler is there.
    refusal refused_at(const std::string& more) const {
        refusal how{};
        EXPECT_TRUE(test::eventually([&] {
            how = refused(url(more));
            return how.code != errc::unavailable;
        })) << how.text;
        return how;
    }
    std::string url(const std::string& more) const {
        return "postgres://postgres@127.0.0.1:" + std::to_string(port_) + "/postgres" + more;
    }

private:
    const test::temporary_directory directory_;
    const int port_ = test::free_port();
    std::optional<test::second_process> pooler_;
};

INSTANTIATE_TEST_SUITE_P(, postgres_pooled, testing::Values("session", "transaction"),
                         [](const auto& each) { return each.param; });

TEST_P(postgres_pooled, is_noticed_and_refused_where_nothing_is_said_of_it) {
    says(refused_at(""), errc::unsupported, "pooler");
    EXPECT_EQ(in_server(""), 0);
}

TEST_P(postgres_pooled, gives_no_locks_on_a_connection_of_the_users_own_where_nothing_is_said_of_it) {
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    const std::unique_ptr<PGconn, decltype(&::PQfinish)> own(::PQconnectdb(url("").c_str()), &::PQfinish);
    ASSERT_EQ(::PQstatus(own.get()), CONNECTION_OK) << ::PQerrorMessage(own.get());
    refuses_own(own.get(), "pooler");
    EXPECT_EQ(in_server(""), 0);
    EXPECT_THROW(postgres::make_provider(own.get(), {.pooler = postgres::pooler::transaction}), error);
    if (GetParam() != std::string("session")) return;
    const provider pooled = postgres::make_provider(own.get(), {.pooler = postgres::pooler::session});
    const auto held = pooled.make_lock("own").acquire(5s);
    EXPECT_FALSE(make().locks.make_lock("own").try_acquire());
}

// The pooler may give the session away, but not before the transaction has ended.
TEST_P(postgres_pooled, keeps_the_locks_of_a_transaction_of_the_users_own_in_either_mode) {
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    const std::unique_ptr<PGconn, decltype(&::PQfinish)> own(::PQconnectdb(url("").c_str()), &::PQfinish);
    ASSERT_EQ(::PQstatus(own.get()), CONNECTION_OK) << ::PQerrorMessage(own.get());
    const auto direct = make();
    auto taken = direct.locks.make_lock("taken").acquire();
    for (const char* end : {"COMMIT", "ROLLBACK"}) {
        ::PQclear(::PQexec(own.get(), "BEGIN"));
        postgres::acquire_in_transaction(own.get(), "own", 5s);
        EXPECT_FALSE(direct.locks.make_lock("own").try_acquire());
        EXPECT_FALSE(postgres::try_acquire_in_transaction(own.get(), "taken", 20ms));
        // A wait that is cancelled, as well, reaches its own session through the pooler.
        std::stop_source stop;
        auto waiting = std::async(std::launch::async, [&] {
            try {
                postgres::acquire_in_transaction(own.get(), "taken", 30s, postgres::lock_mode::write, stop.get_token());
            } catch (const error& thrown) {
                return thrown.boost_code();
            }
            return error_code();
        });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        stop.request_stop();
        EXPECT_EQ(waiting.get(), errc::cancelled);
        EXPECT_EQ(::PQtransactionStatus(own.get()), PQTRANS_INTRANS);
        EXPECT_EQ(in_server(" AND granted"), 2);
        ::PQclear(::PQexec(own.get(), end));
        EXPECT_EQ(in_server(" AND granted"), 1);
    }
}

class postgres_session_pooled : public postgres_pooled {};

INSTANTIATE_TEST_SUITE_P(, postgres_session_pooled, testing::Values("session"));

TEST_P(postgres_session_pooled, works) {
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    const provider pooled = opened(url("?pooler=session"));
    const auto direct = make();
    auto held = pooled.make_lock("pooled").acquire(10s);
    EXPECT_FALSE(direct.locks.make_lock("pooled").try_acquire());
    auto waiting = std::async(std::launch::async, [&] { return direct.locks.make_lock("pooled").acquire(10s); });
    held.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
    // Waits and their ends go through it as well.
    const auto other = direct.locks.make_lock("pooled too").acquire();
    EXPECT_FALSE(pooled.make_lock("pooled too").try_acquire(50ms));
    std::stop_source stop;
    auto cancelled = std::async(std::launch::async, [&] {
        error_code code;
        auto got = pooled.make_lock("pooled too").acquire(30s, stop.get_token(), code);
        return code;
    });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    stop.request_stop();
    EXPECT_EQ(cancelled.get(), errc::cancelled);
}

class postgres_transaction_pooled : public postgres_pooled {
protected:
    /// What the pooler's session says.
    std::string through_it(const char* sql) const {
        const std::unique_ptr<PGconn, decltype(&::PQfinish)> to(::PQconnectdb(url("").c_str()), &::PQfinish);
        const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(::PQexec(to.get(), sql), &::PQclear);
        return ::PQntuples(answer.get()) > 0 ? ::PQgetvalue(answer.get(), 0, 0) : ::PQerrorMessage(to.get());
    }
};

INSTANTIATE_TEST_SUITE_P(, postgres_transaction_pooled, testing::Values("transaction"));

TEST_P(postgres_transaction_pooled, works_where_each_lock_is_a_transaction) {
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    EXPECT_EQ(make_error_code(refused(url("?pooler=transaction")).code), errc::invalid_options);
    server().query("ALTER ROLE postgres SET statement_timeout = '100ms'");
    {
        const provider pooled = opened(url("?pooler=transaction&transaction_scope"));
        const provider other = opened(url("?pooler=transaction&transaction_scope"));
        const auto direct = make();
        auto held = pooled.make_lock("pooled").acquire(10s);
        EXPECT_EQ(in_server(" AND granted"), 1);
        EXPECT_FALSE(direct.locks.make_lock("pooled").try_acquire());
        EXPECT_FALSE(other.make_lock("pooled").try_acquire());
        EXPECT_FALSE(other.make_lock("pooled").try_acquire(20ms));
        auto waiting = std::async(std::launch::async, [&] { return other.make_lock("pooled").acquire(10s); });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        // Longer than the role's limit of a statement.
        std::this_thread::sleep_for(200ms);
        held.release();
        auto there = waiting.get();
        EXPECT_EQ(there.state(), held_state::held);
        std::stop_source stop;
        auto cancelled = std::async(std::launch::async, [&] {
            error_code code;
            auto got = pooled.make_lock("pooled").acquire(30s, stop.get_token(), code);
            return code;
        });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        stop.request_stop();
        EXPECT_EQ(cancelled.get(), errc::cancelled);
        const auto one = pooled.make_reader_writer_lock("pooled table").acquire_read();
        const auto two = other.make_reader_writer_lock("pooled table").acquire_read();
        EXPECT_EQ(in_server(" AND granted"), 3);
    }
    // Behaviour 74: nothing of ours stays in the session that others get next.
    ASSERT_TRUE(test::eventually([&] { return in_server("") == 0; }));
    EXPECT_EQ(through_it("SHOW statement_timeout"), "100ms");
    EXPECT_EQ(through_it("SHOW lock_timeout"), "0");
    EXPECT_EQ(through_it("SHOW default_transaction_isolation"), "read committed");
    EXPECT_EQ(through_it("SELECT count(*) FROM pg_prepared_statements"), "0");
    server().query("ALTER ROLE postgres RESET statement_timeout");
}

// The pooler's sessions serve somebody else as soon as a wait has ended: a cancel in the server would hit them.
TEST_P(postgres_transaction_pooled, cancels_nothing_in_the_server_and_every_lock_stays_usable) {
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    const auto log_before = server().log().size();
    const provider pooled = opened(url("?pooler=transaction&transaction_scope"));
    const auto direct = make();
    auto held = direct.locks.make_lock("cancelled").acquire();
    std::vector<lock_handle> others;
    for (int i = 0; i < 4; ++i) {
        // So that the connections' sessions change.
        others.push_back(pooled.make_lock("other " + std::to_string(i)).acquire(10s));
        if (i % 2 == 1) others.erase(others.begin());
        std::stop_source stop;
        auto cancelled = std::async(std::launch::async, [&] {
            error_code code;
            auto got = pooled.make_lock("cancelled").acquire(30s, stop.get_token(), code);
            return code;
        });
        ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
        stop.request_stop();
        EXPECT_EQ(cancelled.get(), errc::cancelled);
    }
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 0; }));
    held.release();
    EXPECT_EQ(pooled.make_lock("cancelled").acquire(10s).state(), held_state::held);
    EXPECT_EQ(server().log().find("canceling statement due to user request", log_before), std::string::npos);
}

// Who finds a pooler where none was said to be leaves its session as it was; so do those who only look.
TEST_P(postgres_transaction_pooled, keeps_no_settings_of_those_who_find_it) {
    server().query("ALTER ROLE postgres SET statement_timeout = '7s'");
    const auto is_as_it_was = [this] {
        EXPECT_EQ(through_it("SHOW statement_timeout"), "7s");
        EXPECT_EQ(through_it("SHOW client_connection_check_interval"), "0");
        EXPECT_NE(through_it("SHOW tcp_keepalives_count"), "3");
    };
    ASSERT_EQ(make_error_code(refused_at("").code), errc::unsupported);
    is_as_it_was();
    const provider pooled = opened(url("?pooler=transaction&transaction_scope"));
    pooled.examine({});
    is_as_it_was();
    pooled.make_lock("pooled").acquire(10s).release();
    is_as_it_was();
    server().query("ALTER ROLE postgres RESET statement_timeout");
}

class postgres_transactions : public postgres_test {
protected:
    static postgres::options transactions() {
        postgres::options made;
        made.transaction_scope = true;
        return made;
    }
};

TEST_F(postgres_transactions, end_with_their_lock_and_a_refusal_leaves_none) {
    const auto from = make(transactions());
    const auto elsewhere = make();
    auto held = from.locks.make_lock("of a transaction").acquire();
    const auto there = elsewhere.locks.make_lock("refused").acquire();
    EXPECT_FALSE(from.locks.make_lock("refused").try_acquire());
    EXPECT_FALSE(from.locks.make_lock("refused").try_acquire(20ms));
    const std::string open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    EXPECT_EQ(server().count(open), 1);
    held.release();
    EXPECT_EQ(server().count(open), 0);
    held = from.locks.make_lock("of a transaction").acquire();
    server().query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'");
    EXPECT_TRUE(test::eventually([&] { return held.state() == held_state::lost; }));
}

TEST_F(postgres_transactions, make_the_server_notice_clients_that_vanish) {
    const std::unique_ptr<PGconn, decltype(&::PQfinish)> own(::PQconnectdb(server().connection().c_str()), &::PQfinish);
    const auto says = [&](const char* sql) {
        const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(::PQexec(own.get(), sql), &::PQclear);
        return std::string(::PQntuples(answer.get()) > 0 ? ::PQgetvalue(answer.get(), 0, 0) : "");
    };
    const std::string before = says("SHOW tcp_keepalives_idle");
    says("BEGIN");
    const postgres::statement& settle = postgres::statement_at(postgres::settle_transaction);
    const char* const values[] = {"0", "15000"};
    const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(
        ::PQexecParams(own.get(), settle.text, settle.count, settle.types.data(), values, nullptr, nullptr, 0),
        &::PQclear);
    ASSERT_EQ(::PQresultStatus(answer.get()), PGRES_TUPLES_OK) << ::PQerrorMessage(own.get());
    EXPECT_EQ(says("SHOW tcp_keepalives_idle"), "7");
    EXPECT_EQ(says("SHOW tcp_keepalives_interval"), "2");
    EXPECT_EQ(says("SHOW tcp_keepalives_count"), "3");
    if (::PQserverVersion(own.get()) >= 120000) {
        EXPECT_EQ(says("SHOW tcp_user_timeout"), "15000");
    }
    if (::PQserverVersion(own.get()) >= 140000) {
        EXPECT_EQ(says("SHOW client_connection_check_interval"), "1s");
    }
    says("ROLLBACK");
    EXPECT_EQ(says("SHOW tcp_keepalives_idle"), before);
}

TEST_F(postgres_transactions, whose_wait_ends_as_it_is_granted_leave_nothing) {
    constexpr int rounds = 400;
    const auto holders = make(transactions());
    const auto waiters = make(transactions());
    for (const race_result& how : {race_timeouts(holders, waiters, rounds), race_cancels(holders, waiters, rounds)}) {
        EXPECT_EQ(how.wrong, 0);
        EXPECT_GT(how.granted, 0);
        EXPECT_GT(how.not_granted, 0);
    }
    EXPECT_EQ(in_server(""), 0);
}

}  // namespace
}  // namespace holdfast
