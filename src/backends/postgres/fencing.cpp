#include <backends/postgres/fencing.hpp>

#include <cstdlib>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

enum column : int { exists, is_sequence, permitted, permanent, increment, cycles, cache, least, read_only };

}  // namespace

const char* const sequence_question =
    "SELECT c.oid IS NOT NULL, c.relkind = 'S',"
    " CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE')"
    " OR pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') END,"
    " c.relpersistence = 'p', s.seqincrement, s.seqcycle, s.seqcache, s.seqmin,"
    " pg_catalog.current_setting('transaction_read_only')"
    " FROM (SELECT pg_catalog.to_regclass($1::pg_catalog.text) AS oid) named"
    " LEFT JOIN pg_catalog.pg_class c ON c.oid = named.oid"
    " LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid";

std::optional<sequence_fault> fault_in_sequence(const PGresult& answer, const std::string& name) {
    const auto text = [&answer](column which) { return std::string(::PQgetvalue(&answer, 0, which)); };
    const auto number = [&text](column which) { return std::strtoll(text(which).c_str(), nullptr, 10); };
    const auto wrong = [&name](errc code, const char* what) {
        return sequence_fault{code, "the sequence " + name + ", for fencing tokens, " + what};
    };
    if (text(exists) != "t") {
        return wrong(errc::invalid_options, "does not exist in this database, or not in the role's search_path");
    }
    if (text(is_sequence) != "t") return wrong(errc::invalid_options, "is something else than a sequence");
    if (text(permitted) != "t") {
        return wrong(errc::permission, "is not permitted to this role; GRANT USAGE ON SEQUENCE allows it");
    }
    if (text(permanent) != "t") {
        return wrong(errc::invalid_options, "is temporary or unlogged: a crash would send it back");
    }
    if (number(increment) < 1) return wrong(errc::invalid_options, "counts down");
    if (text(cycles) == "t") return wrong(errc::invalid_options, "would begin anew at its end; ALTER it to NO CYCLE");
    if (number(cache) != 1) {
        return wrong(errc::invalid_options, "gives each session numbers in stock; ALTER it to CACHE 1");
    }
    if (number(least) < 0) return wrong(errc::invalid_options, "has negative numbers; ALTER it to MINVALUE 0 or more");
    if (text(read_only) == "on") {
        return wrong(errc::invalid_options, "cannot be drawn from: default_transaction_read_only is on for this role");
    }
    return std::nullopt;
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
