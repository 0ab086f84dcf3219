#include <backends/postgres/exchange.hpp>

#include <poll.h>

#include <array>
#include <memory>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

struct free_cancel {
    void operator()(PGcancel* made) const noexcept { ::PQfreeCancel(made); }
};

constexpr std::string_view undo = "ROLLBACK TO SAVEPOINT holdfast_acquire; RELEASE SAVEPOINT holdfast_acquire";

}  // namespace

std::string_view exchange::obstacle() const noexcept {
    if (!is_open()) return "the connection is closed";
    if (::PQpipelineStatus(connection_) != PQ_PIPELINE_OFF)
        return "the connection is in pipeline mode; leave that first";
    switch (::PQtransactionStatus(connection_)) {
        case PQTRANS_IDLE:
        case PQTRANS_INTRANS: return {};
        case PQTRANS_INERROR: return "the connection's transaction has failed; roll it back first";
        case PQTRANS_ACTIVE: return "the connection is busy with another command; finish that first";
        case PQTRANS_UNKNOWN: break;
    }
    return "the connection is closed";
}

bool exchange::is_open() const noexcept {
    if (::PQstatus(connection_) != CONNECTION_OK) return false;
    pollfd polled{::PQsocket(connection_), POLLRDHUP, 0};
    return ::poll(&polled, 1, 0) <= 0;
}

void exchange::begin(const std::string& statements, bool keep) {
    reset();
    guarded_ = in_transaction();
    if (!guarded_) {
        send(statements);
    } else if (keep) {
        send("SAVEPOINT holdfast_acquire; " + statements);
    } else {
        send("SAVEPOINT holdfast_acquire; " + statements + "; " + std::string(undo));
    }
}

void exchange::begin_within(const std::string& statements) {
    reset();
    guarded_ = true;
    send(statements);
}

void exchange::reset() noexcept {
    lost_ = false;
    undone_ = 0;
    sqlstate_.clear();
    text_.clear();
    values_.clear();
}

void exchange::send(const std::string& statements) {
    lost_ = ::PQsendQuery(connection_, statements.c_str()) == 0;
    events_ = POLLIN;
    if (lost_) {
        text_ = ::PQerrorMessage(connection_);
    } else if (::PQflush(connection_) == 1) {
        events_ = POLLIN | POLLOUT;
    }
}

bool exchange::advance() {
    if (lost_) return true;
    if ((events_ & POLLOUT) != 0 && ::PQflush(connection_) == 0) events_ = POLLIN;
    const bool alive = ::PQconsumeInput(connection_) == 1;
    while (alive && ::PQisBusy(connection_) == 0) {
        const std::unique_ptr<PGresult, decltype(&::PQclear)> result(::PQgetResult(connection_), &::PQclear);
        if (result != nullptr) {
            take(*result);
            continue;
        }
        if (::PQstatus(connection_) != CONNECTION_OK) break;
        // What failed in the user's transaction is undone, and the transaction is as it was.
        // A cancel that comes late can hit the undoing.
        constexpr int most_attempts = 5;
        const bool good = undone_ == 0 ? !has_failed() : ::PQtransactionStatus(connection_) == PQTRANS_INTRANS;
        if (good || !guarded_ || ++undone_ > most_attempts) return true;
        send(std::string(undo));
        if (lost_) return true;
    }
    if (alive && ::PQstatus(connection_) == CONNECTION_OK) return false;
    lost_ = true;
    if (text_.empty()) text_ = ::PQerrorMessage(connection_);
    return true;
}

void exchange::take(const PGresult& result) {
    switch (::PQresultStatus(&result)) {
        case PGRES_TUPLES_OK:
            for (int row = 0; row < ::PQntuples(&result); ++row) {
                for (int field = 0; field < ::PQnfields(&result); ++field) {
                    values_.emplace_back(::PQgetvalue(&result, row, field));
                }
            }
            return;
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY: return;
        default: break;
    }
    if (has_failed()) return;
    const char* const sqlstate = ::PQresultErrorField(&result, PG_DIAG_SQLSTATE);
    const char* const text = ::PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
    sqlstate_ = sqlstate == nullptr ? "XX000" : sqlstate;
    text_ = text == nullptr ? ::PQresultErrorMessage(&result) : text;
}

void exchange::cancel() const noexcept {
    const std::unique_ptr<PGcancel, free_cancel> made(::PQgetCancel(connection_));
    std::array<char, 256> why{};
    if (made != nullptr) ::PQcancel(made.get(), why.data(), static_cast<int>(why.size()));
}

std::string call_of(std::string_view function, const key& which, bool shared) {
    std::string made = "pg_catalog.pg";
    made.append(function).append(shared ? "_shared(" : "(");
    if (which.pair) {
        made += '\'' + std::to_string(which.high()) + "'::pg_catalog.int4, '" + std::to_string(which.low()) +
                "'::pg_catalog.int4)";
    } else {
        made += '\'' + std::to_string(static_cast<std::int64_t>(which.bits)) + "'::pg_catalog.int8)";
    }
    return made;
}

std::string holds(const key& which) {
    return "EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database"
           " WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid()"
           " AND d.datname = pg_catalog.current_database() AND l.objsubid = " +
           std::string(which.pair ? "2" : "1") +
           " AND l.classid::pg_catalog.int8 = " + std::to_string(static_cast<std::uint32_t>(which.high())) +
           " AND l.objid::pg_catalog.int8 = " + std::to_string(static_cast<std::uint32_t>(which.low())) + ")";
}

std::string holds(const key& which, bool shared) {
    std::string made = holds(which);
    made.pop_back();
    return made + (shared ? " AND l.mode = 'ShareLock')" : " AND l.mode = 'ExclusiveLock')");
}

std::string unfit(PGconn* connection, bool pooled) {
    std::string made = "WHEN pg_catalog.pg_is_in_recovery() THEN 'standby' ";
    // A pooler gives its clients process numbers of its own.
    if (!pooled) {
        made += "WHEN pg_catalog.pg_backend_pid() <> " + std::to_string(::PQbackendPID(connection)) + " THEN 'pooler' ";
    }
    return made;
}

std::string_view why_unfit(std::string_view answer) noexcept {
    if (answer == "standby") {
        return "the server is a standby, whose locks exclude nobody on the primary; connect to the primary";
    }
    if (answer == "pooler") {
        return "there is a connection pooler before the server, which may give this connection another session at any "
               "time; go past it, or, for locks of a session, say that it is in session mode";
    }
    return {};
}

std::string limits_of(std::chrono::milliseconds wait) {
    const std::string limit = std::to_string(wait.count() < 0 ? 0 : wait.count());
    return "SELECT pg_catalog.set_config('statement_timeout', '0', true);"
           " SELECT pg_catalog.set_config('lock_timeout', '" +
           limit + "', true)";
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
