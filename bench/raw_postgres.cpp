#include "raw_postgres.hpp"

#include "measure.hpp"

#include <backends/postgres/statements.hpp>

#include <holdfast/error.hpp>

#include <libpq-fe.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace holdfast::bench {
namespace {

constexpr const char* key = "7234567890123456789";
constexpr long long first_of_many = 7200000000000000000;
constexpr Oid oid_int8 = 20;

[[noreturn]] void fail(PGconn* connection) {
    throw error(errc::unavailable, ::PQerrorMessage(connection));
}

}  // namespace

raw_postgres::raw_postgres(const std::string& connection, std::string sequence)
    : connection_(::PQconnectdb(connection.c_str())), sequence_(std::move(sequence)) {
    if (::PQstatus(connection_) != CONNECTION_OK) fail(connection_);
    const std::array<std::array<const char*, 2>, 3> statements{
        {{"try", "SELECT pg_catalog.pg_try_advisory_lock($1)"},
         {"lock", "SELECT pg_catalog.pg_advisory_lock($1)"},
         {"unlock", "SELECT pg_catalog.pg_advisory_unlock($1)"}}};
    for (const auto& each : statements) {
        ::PQclear(::PQprepare(connection_, each[0], each[1], 1, &oid_int8));
    }
    const postgres::statement& drawing = postgres::statement_at(postgres::try_lock_with_token);
    ::PQclear(::PQprepare(connection_, "draw", drawing.text, drawing.count, drawing.types.data()));
}

raw_postgres::~raw_postgres() {
    ::PQfinish(connection_);
}

void raw_postgres::run(const char* statement) {
    const char* const values[] = {key, sequence_.c_str()};
    const int count = std::string_view(statement) == "draw" ? 2 : 1;
    PGresult* const result = ::PQexecPrepared(connection_, statement, count, values, nullptr, nullptr, 1);
    const bool ran = ::PQresultStatus(result) == PGRES_TUPLES_OK;
    ::PQclear(result);
    if (!ran) fail(connection_);
}

void raw_postgres::try_lock() {
    run(sequence_.empty() ? "try" : "draw");
}

void raw_postgres::lock() {
    run("lock");
}

void raw_postgres::unlock() {
    run("unlock");
}

void raw_postgres::pipelined_pairs(int count) {
    constexpr int at_once = 100;
    ::PQenterPipelineMode(connection_);
    for (int done = 0; done < count; done += at_once) {
        const int some = std::min(at_once, count - done);
        for (const char* statement : {"try", "unlock"}) {
            for (int i = 0; i < some; ++i) {
                const std::string name = std::to_string(first_of_many + done + i);
                const char* const values[] = {name.c_str()};
                ::PQsendQueryPrepared(connection_, statement, 1, values, nullptr, nullptr, 1);
            }
            ::PQpipelineSync(connection_);
            for (bool synced = false; !synced;) {
                PGresult* const result = ::PQgetResult(connection_);
                synced = result != nullptr && ::PQresultStatus(result) == PGRES_PIPELINE_SYNC;
                if (result == nullptr && ::PQstatus(connection_) != CONNECTION_OK) fail(connection_);
                ::PQclear(result);
            }
        }
    }
    ::PQexitPipelineMode(connection_);
}

bool raw_postgres::place_backends(int processor) {
    const std::string query =
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid() "
        "OR application_name LIKE 'holdfast/%/" +
        std::to_string(::getpid()) + "'";
    PGresult* const found = ::PQexec(connection_, query.c_str());
    bool placed = ::PQresultStatus(found) == PGRES_TUPLES_OK;
    for (int i = 0; placed && i < ::PQntuples(found); ++i) {
        placed = place_process(std::stoi(::PQgetvalue(found, i, 0)), "postgres", processor);
    }
    ::PQclear(found);
    return placed;
}

}  // namespace holdfast::bench
