#include <backends/postgres/statements.hpp>
#include <core/key_state.hpp>

#include <string>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

// Everything is qualified, so that nobody's search_path or function of the same name comes between.

/* A number of the sequence.

   The server writes only every 32nd one to its log. A number that was drawn within what another session has written,
   but not flushed yet, would come a second time after a crash: nothing makes whoever draws it wait for the other's
   flush. So each draw writes a word of its own, for which its commit waits, and with it for all that came before.
*/
#define HOLDFAST_DRAW(sequence)                                                                       \
    "CASE WHEN pg_catalog.pg_logical_emit_message(true, 'holdfast', ''::pg_catalog.text) IS NOT NULL" \
    " THEN pg_catalog.nextval(" sequence "::pg_catalog.regclass) END"

// CASE evaluates its condition first, and then nothing but the branch it takes.
#define HOLDFAST_DRAW_IF(granted, sequence) "CASE WHEN " granted " THEN " HOLDFAST_DRAW(sequence) " END"
#define HOLDFAST_COUNT(released) "CASE WHEN " released " THEN 1::pg_catalog.int8 ELSE 0::pg_catalog.int8 END"

#define HOLDFAST_KEYED(name)                                                                                     \
    {"SELECT pg_catalog." name "($1)", {oid_int8}, 1}, {"SELECT pg_catalog." name "_shared($1)", {oid_int8}, 1}, \
        {"SELECT pg_catalog." name "($1, $2)", {oid_int4, oid_int4}, 2}, {                                       \
        "SELECT pg_catalog." name "_shared($1, $2)", {oid_int4, oid_int4}, 2                                     \
    }

#define HOLDFAST_PAIR "(k >> 32)::pg_catalog.int4, ((k << 32) >> 32)::pg_catalog.int4"
#define HOLDFAST_ASKED "ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS asked (op, k)"

#define HOLDFAST_NOBODY_WAITS                                                                           \
    "NOT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database" \
    " WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = pg_catalog.current_database()"    \
    " AND l.objsubid = $1 AND ((l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8) = $2)"

const statement statements[] = {
    HOLDFAST_KEYED("pg_try_advisory_lock"),
    HOLDFAST_KEYED("pg_advisory_lock"),
    HOLDFAST_KEYED("pg_advisory_unlock"),
    {"SELECT " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock($1)", "$2"), {oid_int8, oid_text}, 2},
    {"SELECT " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock_shared($1)", "$2"), {oid_int8, oid_text}, 2},
    {"SELECT " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock($1, $2)", "$3"), {oid_int4, oid_int4, oid_text}, 3},
    {"SELECT " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock_shared($1, $2)", "$3"),
     {oid_int4, oid_int4, oid_text},
     3},
    // A function scan keeps its order.
    {"SELECT CASE op"
     " WHEN 0 THEN pg_catalog.pg_try_advisory_lock(k)"
     " WHEN 1 THEN pg_catalog.pg_try_advisory_lock_shared(k)"
     " WHEN 2 THEN pg_catalog.pg_try_advisory_lock(" HOLDFAST_PAIR ")"
     " WHEN 3 THEN pg_catalog.pg_try_advisory_lock_shared(" HOLDFAST_PAIR ")"
     " WHEN 8 THEN pg_catalog.pg_advisory_unlock(k)"
     " WHEN 9 THEN pg_catalog.pg_advisory_unlock_shared(k)"
     " WHEN 10 THEN pg_catalog.pg_advisory_unlock(" HOLDFAST_PAIR ")"
     " WHEN 11 THEN pg_catalog.pg_advisory_unlock_shared(" HOLDFAST_PAIR ")"
     " END FROM " HOLDFAST_ASKED,
     {oid_int2_array, oid_int8_array},
     2},
    // The layout tool would make columns of this.
    // clang-format off
    {"SELECT CASE op"
     " WHEN 0 THEN " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock(k)", "$3")
     " WHEN 1 THEN " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock_shared(k)", "$3")
     " WHEN 2 THEN " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock(" HOLDFAST_PAIR ")", "$3")
     " WHEN 3 THEN " HOLDFAST_DRAW_IF("pg_catalog.pg_try_advisory_lock_shared(" HOLDFAST_PAIR ")", "$3")
     " WHEN 8 THEN " HOLDFAST_COUNT("pg_catalog.pg_advisory_unlock(k)")
     " WHEN 9 THEN " HOLDFAST_COUNT("pg_catalog.pg_advisory_unlock_shared(k)")
     " WHEN 10 THEN " HOLDFAST_COUNT("pg_catalog.pg_advisory_unlock(" HOLDFAST_PAIR ")")
     " WHEN 11 THEN " HOLDFAST_COUNT("pg_catalog.pg_advisory_unlock_shared(" HOLDFAST_PAIR ")")
     " END FROM " HOLDFAST_ASKED,
     {oid_int2_array, oid_int8_array, oid_text},
     3},
    // clang-format on
    {"SELECT " HOLDFAST_DRAW("$2") " FROM pg_catalog.generate_series(1, $1)", {oid_int4, oid_text}, 2},
    {"SELECT pg_catalog.set_config('lock_timeout', $1, true)", {oid_text}, 1},
    {"SELECT l.objsubid, (l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8, l.mode = 'ShareLock'"
     " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database"
     " WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid()"
     " AND d.datname = pg_catalog.current_database()",
     {},
     0},
    {"SELECT " HOLDFAST_NOBODY_WAITS, {oid_int2, oid_int8}, 2},
    {"SELECT " HOLDFAST_DRAW_IF(HOLDFAST_NOBODY_WAITS, "$3"), {oid_int2, oid_int8, oid_text}, 3},
    {"SELECT pg_catalog.pg_cancel_backend($1)", {oid_int4}, 1},
    {"SELECT true", {}, 0},
    {"BEGIN ISOLATION LEVEL READ COMMITTED", {}, 0},
    // $2 is when a vanished client is given up, in milliseconds. A branch that is not taken sets nothing.
    {"SELECT pg_catalog.pg_backend_pid(), pg_catalog.set_config('lock_timeout', $1, true),"
     " pg_catalog.set_config('statement_timeout', '0', true),"
     " pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),"
     " pg_catalog.set_config('tcp_keepalives_idle', GREATEST(($2 + 999) / 2000, 1)::pg_catalog.text, true),"
     " pg_catalog.set_config('tcp_keepalives_interval', GREATEST(($2 + 999) / 6000, 1)::pg_catalog.text, true),"
     " pg_catalog.set_config('tcp_keepalives_count', '3', true),"
     " CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 120000"
     " THEN pg_catalog.set_config('tcp_user_timeout', $2::pg_catalog.text, true) END,"
     " CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000"
     " AND pg_catalog.version() LIKE '%linux%'"
     " THEN pg_catalog.set_config('client_connection_check_interval', '1000', true) END,"
     " CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 170000"
     " THEN pg_catalog.set_config('transaction_timeout', '0', true) END",
     {oid_text, oid_int4},
     2},
    {"ROLLBACK", {}, 0},
    HOLDFAST_KEYED("pg_try_advisory_xact_lock"),
    HOLDFAST_KEYED("pg_advisory_xact_lock"),
};
static_assert(sizeof statements / sizeof statements[0] == statement_count);

}  // namespace

key key_of(const core::claim& who) noexcept {
    return key_in(who.target->mapped());
}

key key_in(std::string_view mapped) noexcept {
    key made;
    made.pair = mapped.size() == 17;
    for (const char c : mapped) {
        if (c == ',') continue;
        made.bits = made.bits << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return made;
}

bool shared(const core::claim& who) noexcept {
    return who.mode == core::access::shared;
}

const statement& statement_at(std::size_t number) noexcept {
    return statements[number];
}

std::size_t variant(std::size_t first, const key& which, bool reader) noexcept {
    return first + (which.pair ? 2U : 0U) + (reader ? 1U : 0U);
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
