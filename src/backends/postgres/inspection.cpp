// What `holdfast list` and `holdfast doctor` tell of a server.
#include <backends/postgres/backend.hpp>
#include <backends/postgres/errors.hpp>
#include <backends/postgres/fencing.hpp>
#include <backends/postgres/inspection.hpp>
#include <backends/postgres/options.hpp>
#include <names/names.hpp>

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

using grade = finding::grade;
using std::chrono::milliseconds;

struct free_result {
    void operator()(PGresult* result) const noexcept { ::PQclear(result); }
};

/// A connection of its own, or the user's, over which a few questions are asked, in a limited time.
class inquiry {
public:
    inquiry(const options& opts, milliseconds within) : until_(clock::now() + within) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(within).count();
        // One second means two to libpq.
        const std::string limit = std::to_string(std::max<std::int64_t>(seconds, 2));
        const char* const keywords[] = {"fallback_application_name", "connect_timeout", "dbname", nullptr};
        const char* const values[] = {"holdfast/inspection", limit.c_str(),
                                      opts.connection.empty() ? nullptr : opts.connection.c_str(), nullptr};
        const auto began = clock::now();
        own_.reset(::PQconnectdbParams(keywords, values, 1));
        connection_ = own_.get();
        if (::PQstatus(connection_) != CONNECTION_OK) fail_to_connect(clock::now() - began < quick_refusal);
        // What is set for a pooler's session is set for whoever has it next.
        const std::string ours = opts.pooler == pooler::session
                                     ? "true"
                                     : "pg_catalog.pg_backend_pid() = " + std::to_string(::PQbackendPID(get()));
        ask("SELECT CASE WHEN " + ours + " THEN pg_catalog.set_config('statement_timeout', '" +
            std::to_string(within.count()) + "', false) END");
    }
    /// The user's. A question that fails must not end a transaction that is open there.
    inquiry(PGconn* borrowed, milliseconds within)
        : until_(clock::now() + within),
          connection_(borrowed),
          in_transaction_(::PQtransactionStatus(borrowed) == PQTRANS_INTRANS) {
        if (in_transaction_) ask("SAVEPOINT holdfast_inquiry");
    }
    inquiry(const inquiry&) = delete;
    inquiry& operator=(const inquiry&) = delete;
    ~inquiry() {
        if (!in_transaction_ || ::PQtransactionStatus(connection_) == PQTRANS_ACTIVE) return;
        try {
            ask("ROLLBACK TO SAVEPOINT holdfast_inquiry; RELEASE SAVEPOINT holdfast_inquiry");
        } catch (const error&) {
            // Then the connection has ended, or has the command under way.
        }
    }

    PGconn* get() const noexcept { return connection_; }

    /// The last answer stays until the next question.
    void ask(const std::string& sql) { take(::PQsendQuery(connection_, sql.c_str())); }
    void ask(const std::string& sql, const std::string& argument) {
        const char* const value = argument.c_str();
        take(::PQsendQueryParams(connection_, sql.c_str(), 1, nullptr, &value, nullptr, nullptr, 0));
    }
    const PGresult& answer() const noexcept { return *answer_; }
    int rows() const { return ::PQntuples(answer_.get()); }
    std::string at(int row, int column) const { return ::PQgetvalue(answer_.get(), row, column); }
    std::string one(const std::string& sql) {
        ask(sql);
        return rows() > 0 ? at(0, 0) : "";
    }

private:
    using clock = std::chrono::steady_clock;

    /// To be refused once more costs no more than that.
    static constexpr milliseconds quick_refusal{1000};

    struct finish {
        void operator()(PGconn* connection) const noexcept { ::PQfinish(connection); }
    };

    void take(int sent) {
        if (sent == 0) fail(errc::unavailable);
        std::unique_ptr<PGresult, free_result> failed;
        while (PGresult* const next = next_result()) {
            std::unique_ptr<PGresult, free_result> one(next);
            const auto status = ::PQresultStatus(next);
            const bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
            (good ? answer_ : failed) = std::move(one);
        }
        if (failed == nullptr) return;
        const char* const sqlstate = ::PQresultErrorField(failed.get(), PG_DIAG_SQLSTATE);
        fail(code_of(sqlstate == nullptr ? "" : sqlstate), sqlstate == nullptr ? "" : sqlstate);
    }

    PGresult* next_result() {
        short events = POLLIN | POLLOUT;
        while (::PQisBusy(connection_) == 1 || (events & POLLOUT) != 0) {
            events = static_cast<short>(::PQflush(connection_) == 1 ? POLLIN | POLLOUT : POLLIN);
            if (::PQisBusy(connection_) == 0) break;
            const auto left = std::chrono::ceil<milliseconds>(until_ - clock::now());
            if (left.count() <= 0) throw error(errc::unavailable, "postgres: the server does not answer in time");
            pollfd polled{::PQsocket(connection_), events, 0};
            ::poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(left.count(), std::numeric_limits<int>::max())));
            if (::PQconsumeInput(connection_) == 0) fail(errc::unavailable);
        }
        return ::PQgetResult(connection_);
    }

    /// libpq tells the SQLSTATE of a refusal only where verbose messages were asked for, which needs a connection.
    [[noreturn]] void fail_to_connect(bool ask_again) {
        std::string sqlstate;
        std::string text = without_details(::PQerrorMessage(connection_), sqlstate);
        if (ask_again) {
            ::PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);
            ::PQreset(connection_);
            // Nothing at all where it was not the server that refused.
            const std::string verbose = without_details(::PQerrorMessage(connection_), sqlstate);
            if (!verbose.empty()) text = verbose;
        }
        const bool no_password = ::PQconnectionNeedsPassword(connection_) == 1;
        throw error(no_password ? errc::permission : code_of_refusal(sqlstate, text),
                    "postgres: " + (sqlstate.empty() ? text : sqlstate + ": " + text));
    }

    [[noreturn]] void fail(errc code, const std::string& sqlstate = {}) {
        std::string text = ::PQerrorMessage(connection_);
        while (!text.empty() && text.back() == '\n') text.pop_back();
        throw error(code, "postgres: " + (sqlstate.empty() ? text : sqlstate + ": " + text));
    }

    const clock::time_point until_;
    std::unique_ptr<PGconn, finish> own_;
    PGconn* connection_ = nullptr;
    const bool in_transaction_ = false;
    std::unique_ptr<PGresult, free_result> answer_;
};

/// The name that a key may have been made of: short ASCII is packed, not hashed.
std::string name_in(const std::string& key) {
    constexpr std::size_t longest = 9;
    if (key.size() != 17) return {};
    const std::uint64_t bits = std::strtoull((key.substr(0, 8) + key.substr(9)).c_str(), nullptr, 16);
    for (std::size_t length = 1; length <= longest; ++length) {
        std::string name;
        for (std::size_t i = 0; i < length; ++i) {
            name += static_cast<char>(bits >> (7 * (longest - 1 - i) + 1) & 0x7F);
        }
        const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
        if (!printable) return {};
        const names::postgres_key packed = names::postgres(name);
        const auto high = static_cast<std::uint32_t>(packed.key1);
        if (packed.in == names::postgres_key::space::int32_pair &&
            (std::uint64_t{high} << 32 | static_cast<std::uint32_t>(packed.key2)) == bits) {
            return name;
        }
    }
    return {};
}

finding look_at_version(inquiry& server) {
    const int version = ::PQserverVersion(server.get());
    const std::string text = "PostgreSQL " + server.one("SHOW server_version");
    constexpr int oldest = 100000;
    if (version < oldest) return {grade::fault, "version", text + "; PostgreSQL 10 is the oldest that will do"};
    return {grade::good, "version", text};
}

finding look_at_recovery(inquiry& server) {
    if (server.one("SELECT pg_catalog.pg_is_in_recovery()") == "t") {
        return {grade::fault, "primary",
                "this is a standby, whose locks exclude nobody on the primary; connect to the primary, for instance "
                "with target_session_attrs=read-write"};
    }
    return {grade::good, "primary", "the server takes writes"};
}

finding look_at_pooler(inquiry& server, pooler said) {
    const bool pooled =
        server.one("SELECT pg_catalog.pg_backend_pid()") != std::to_string(::PQbackendPID(server.get()));
    if (!pooled) return {grade::good, "pooler", "there is none between us and the server"};
    if (said == pooler::none) {
        return {grade::fault, "pooler",
                "there is a connection pooler before the server; if it gives each client a session of its own, say "
                "pooler=session; with one in transaction mode, pooler=transaction and transaction_scope"};
    }
    if (said == pooler::transaction) {
        return {grade::good, "pooler", "there is a connection pooler before the server; each lock is a transaction"};
    }
    return {
        grade::warning, "pooler",
        "there is a connection pooler before the server, and nobody can see its mode: make sure that it is session"};
}

finding look_at_privileges(inquiry& server) {
    if (server.one("SELECT pg_catalog.has_function_privilege('pg_catalog.pg_try_advisory_lock(bigint)', 'EXECUTE')"
                   " AND pg_catalog.has_function_privilege('pg_catalog.pg_advisory_lock(bigint)', 'EXECUTE')"
                   " AND pg_catalog.has_function_privilege('pg_catalog.pg_advisory_unlock(bigint)', 'EXECUTE')"
                   " AND pg_catalog.has_function_privilege('pg_catalog.pg_cancel_backend(integer)', 'EXECUTE')"
                   " AND pg_catalog.has_table_privilege('pg_catalog.pg_locks', 'SELECT')") != "t") {
        return {
            grade::fault, "privileges",
            "this role may not call the advisory lock functions and pg_cancel_backend, and read pg_locks; everybody "
            "may unless somebody has revoked it"};
    }
    return {grade::good, "privileges", "this role may do all that locks need"};
}

/// The role's or the database's own limits, which would end what is held or waited for.
/// @param ours the connections are ours, and each sets them to 0 for itself
finding look_at_timeouts(inquiry& server, bool ours) {
    server.ask(
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE setting <> '0' AND name IN ("
        "'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'lock_timeout'" +
        // We have set this one for our questions.
        std::string(ours ? "" : ", 'statement_timeout'") + ") ORDER BY name");
    std::string set;
    bool ends_sessions = false;
    for (int row = 0; row < server.rows(); ++row) {
        const std::string name = server.at(row, 0);
        set += (set.empty() ? "" : ", ") + name + " = " + server.at(row, 1) + " ms";
        ends_sessions = ends_sessions || (name != "lock_timeout" && name != "statement_timeout");
    }
    if (set.empty()) return {grade::good, "timeouts", "the server ends neither idle sessions nor waits"};
    if (ours) return {grade::good, "timeouts", set + ", of which each connection sets all to 0 for itself"};
    return {ends_sessions ? grade::warning : grade::good, "timeouts",
            set + (ends_sessions ? "; what ends this session or its transaction ends its locks" : "")};
}

finding look_at_lock_table(inquiry& server) {
    const std::string room = server.one(
        "SELECT pg_catalog.current_setting('max_locks_per_transaction')::int8"
        " * (pg_catalog.current_setting('max_connections')::int8"
        " + pg_catalog.current_setting('max_prepared_transactions')::int8)");
    const std::string used = server.one("SELECT count(*) FROM pg_catalog.pg_locks");
    const bool narrow = 2 * std::atoll(used.c_str()) > std::atoll(room.c_str());
    return {narrow ? grade::warning : grade::good, "lock table",
            used + " locks in a table for at least " + room +
                (narrow ? "; raise max_locks_per_transaction, which needs a restart" : "")};
}

finding look_at_connections(inquiry& server, const options& opts) {
    const std::string all = server.one("SHOW max_connections");
    const std::string used =
        server.one("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'");
    const std::string text = used + " of " + all + " connections in use; this provider would take up to " +
                             std::to_string(opts.max_connections);
    if (multiplexes(opts) && std::atoi(all.c_str()) - std::atoi(used.c_str()) >= opts.max_connections) {
        return {grade::good, "connections", text};
    }
    return {grade::warning, "connections",
            multiplexes(opts) ? text + ", which is more than are left; lower max_connections or raise the server's"
                              : used + " of " + all + " connections in use; without multiplexing each lock takes one"};
}

finding look_at_sequence(inquiry& server, const std::string& name) {
    server.ask(sequence_question, name);
    if (const auto fault = fault_in_sequence(server.answer(), name)) return {grade::fault, "fencing", fault->text};
    const std::string text = "tokens come from the sequence " + name;
    if (server.one("SHOW fsync") == "off") {
        return {grade::warning, "fencing",
                text + "; but fsync is off: a crash of the server's machine may send it back"};
    }
    server.ask(
        "SELECT pg_catalog.trunc(100 * (coalesce(pg_catalog.pg_sequence_last_value(seqrelid), seqmin)"
        "::pg_catalog.numeric - seqmin) / (seqmax::pg_catalog.numeric - seqmin + 1))"
        " FROM pg_catalog.pg_sequence WHERE seqrelid = pg_catalog.to_regclass($1::pg_catalog.text)",
        name);
    constexpr int much = 80;
    if (server.rows() > 0 && std::atoi(server.at(0, 0).c_str()) >= much) {
        return {grade::warning, "fencing",
                text + ", of whose numbers " + server.at(0, 0) + " % are used up; ALTER it to a greater MAXVALUE"};
    }
    return {grade::good, "fencing", text};
}

std::vector<lock_entry> list_locks(inquiry& server, const list_query& query) {
    server.ask(
        "SELECT CASE l.objsubid"
        " WHEN 1 THEN pg_catalog.lpad(pg_catalog.to_hex(l.classid::int8), 8, '0') ||"
        " pg_catalog.lpad(pg_catalog.to_hex(l.objid::int8), 8, '0')"
        " ELSE pg_catalog.lpad(pg_catalog.to_hex(l.classid::int8), 8, '0') || ',' ||"
        " pg_catalog.lpad(pg_catalog.to_hex(l.objid::int8), 8, '0') END AS key,"
        " l.granted, l.mode, l.pid, a.application_name, a.usename, coalesce(pg_catalog.host(a.client_addr), 'local'),"
        " CASE WHEN l.granted THEN a.backend_start::text ELSE a.query_start::text END,"
        " CASE WHEN l.granted THEN '' ELSE pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(l.pid), ',') END"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database()"
        " ORDER BY 1, l.granted DESC, a.query_start, l.pid");
    std::vector<lock_entry> found;
    for (int row = 0; row < server.rows(); ++row) {
        lock_entry made;
        made.key = server.at(row, 0);
        if (!query.key.empty() && made.key != query.key) continue;
        made.state = server.at(row, 1) == "t" ? lock_entry::status::held : lock_entry::status::waiting;
        made.access = server.at(row, 2) == "ShareLock" ? "read" : "exclusive";
        const std::string application = server.at(row, 4);
        made.holder = (application.empty() ? "process" : application) + " (pid " + server.at(row, 3) + ", " +
                      server.at(row, 5) + "@" + server.at(row, 6) + ")";
        if (const std::string name = name_in(made.key); !name.empty()) made.details.emplace_back("name", name);
        made.details.emplace_back("pid", server.at(row, 3));
        made.details.emplace_back("application", application);
        made.details.emplace_back("user", server.at(row, 5));
        made.details.emplace_back("client", server.at(row, 6));
        if (made.state == lock_entry::status::held) {
            // The server does not note when it granted a lock; not before that.
            made.details.emplace_back("connected_since", server.at(row, 7));
        } else {
            made.details.emplace_back("since", server.at(row, 7));
            made.details.emplace_back("blocked_by", server.at(row, 8));
        }
        found.push_back(std::move(made));
    }
    if (!query.key.empty() && found.empty()) {
        lock_entry none;
        none.key = query.key;
        none.state = lock_entry::status::free;
        found.push_back(std::move(none));
    }
    return found;
}

std::vector<finding> examine_server(inquiry& server, pooler said, bool ours) {
    std::vector<finding> made{look_at_version(server)};
    made.push_back(look_at_recovery(server));
    made.push_back(look_at_pooler(server, said));
    made.push_back(look_at_privileges(server));
    made.push_back(look_at_timeouts(server, ours));
    made.push_back(look_at_lock_table(server));
    return made;
}

}  // namespace

std::vector<lock_entry> list_over(PGconn* connection, const list_query& query) {
    inquiry server(connection, query.timeout);
    return list_locks(server, query);
}

std::vector<finding> examine_over(PGconn* connection, pooler said, const examination& how) {
    inquiry server(connection, how.timeout);
    return examine_server(server, said, false);
}

std::vector<lock_entry> postgres_backend::list(const list_query& query) {
    inquiry server(opts_, query.timeout);
    return list_locks(server, query);
}

std::vector<finding> postgres_backend::examine(const examination& how) {
    inquiry server(opts_, how.timeout);
    std::vector<finding> made = examine_server(server, opts_.pooler, true);
    made.push_back(look_at_connections(server, opts_));
    if (!opts_.fencing_sequence.empty()) made.push_back(look_at_sequence(server, opts_.fencing_sequence));
    return made;
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
