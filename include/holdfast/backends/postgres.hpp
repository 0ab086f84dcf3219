// Holdfast: advisory locks of a PostgreSQL server.
#ifndef HOLDFAST_BACKENDS_POSTGRES_HPP
#define HOLDFAST_BACKENDS_POSTGRES_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// @brief What stands between us and the server, and lends out its sessions.
enum class pooler {
    /// Nothing: a pooler that is found is refused, since its mode cannot be seen.
    none,
    /// A pooler that gives each client a session for as long as it is connected.
    session,
};

/// @brief Where the server is, and how its connections are used.
struct options {
    /// A connection string of libpq, in either form: `host=db user=app dbname=app sslmode=verify-full`, or a URI. All
    /// that libpq takes is allowed: several hosts, `service`, `passfile`, TLS. Empty: libpq's defaults and environment.
    std::string connection = {};
    /// Refuse names that are no key of the server's own, instead of hashing them. See @ref key_name.
    bool strict_names = false;
    /// Let locks share connections. False: a connection for each lock, without a limit.
    bool multiplexing = true;
    /// The most connections of one provider; 1 to 10000. With fewer than locks in use at once nothing hangs, but waits
    /// end later.
    int max_connections = 50;
    /// How many of them may stand waiting in the server, at least 0. Others wait without a connection.
    int max_waiting_connections = 32;
    /// How often those who wait without a connection are tried again; at least 1 ms.
    std::chrono::milliseconds retry_every{250};
    /// The longest that a wait stands in the server before it queues again, because a statement that waits holds VACUUM
    /// back. Zero: as long as the wait takes.
    std::chrono::milliseconds max_server_wait{0};
    /// How long connecting may take, over all hosts; more than zero. It counts instead of libpq's parameter.
    std::chrono::milliseconds connect_timeout{4000};
    /// How soon a connection whose other end has gone without a word is given up, here and by the server; at least 1 s.
    /// TCP keepalive and its user timeout are set accordingly, here unless the connection string sets them.
    std::chrono::milliseconds lost_after{15000};
    /// How often the server is asked something on a connection that holds locks and is idle otherwise. Zero: never.
    std::chrono::milliseconds keepalive{0};
    postgres::pooler pooler = postgres::pooler::none;
    /// A sequence that fencing tokens are drawn from, as it is written in SQL: `locks.tokens`. Empty: no tokens. It has
    /// to exist, with `USAGE` for the role, and to be without `CYCLE` and with `CACHE 1`, which is the default.
    std::string fencing_sequence = {};
};

/// @name Explicit keys
/// The name of the lock on a key of the server's own, to be given to `make_lock` and its kin.
/// @{
/// `pg_advisory_lock(key)`: 16 hexadecimal digits.
HOLDFAST_API std::string key_name(std::int64_t key);
/// `pg_advisory_lock(key1, key2)`: twice 8 hexadecimal digits with a comma between.
HOLDFAST_API std::string key_name(std::int32_t key1, std::int32_t key2);
/// @}

/** @brief A provider of advisory locks in one database of a PostgreSQL server, version 10 or later.

    Gives `lock` and `reader_writer_lock`; the lock is the write lock of the same name. Excludes .NET's
    PostgresDistributedLock and PostgresDistributedReaderWriterLock of the same name in the same database.

    @par Errors
    `errc::invalid_options` for unusable options. Nothing is sent before a lock is acquired.
*/
HOLDFAST_API provider make_provider(const options& opts, const provider_settings& settings = {});

/** @brief Serves the schemes `postgres` and `postgresql`.

    `postgres://user:password@host:port,other:port/database?option=value`. Options: `strict`, `multiplexing` (booleans),
    `max_connections`, `max_waiting_connections` (counts), `retry_every`, `max_server_wait`, `connect_timeout`,
    `lost_after`, `keepalive` (times such as `500ms`, `30s`, `2m`), `pooler` (`none`, `session`), `fencing_sequence`
    for the fields of @ref options; and every other parameter of libpq, such as `sslmode`.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
