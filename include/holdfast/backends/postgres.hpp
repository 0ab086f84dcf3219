// Holdfast: advisory locks of a PostgreSQL server.
#ifndef HOLDFAST_BACKENDS_POSTGRES_HPP
#define HOLDFAST_BACKENDS_POSTGRES_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>
#include <holdfast/timeout.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

/// libpq's `PGconn`.
struct pg_conn;

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// @brief What stands between us and the server, and lends out its sessions.
enum class pooler {
    /// Nothing: a pooler that is found is refused, since its mode cannot be seen.
    none,
    /// A pooler that gives each client a session for as long as it is connected.
    session,
    /// A pooler that gives each client a session for one transaction: needs `transaction_scope`.
    transaction,
};

/// @brief Where the server is, and how its connections are used.
struct options {
    /// A connection string of libpq, in either form: `host=db user=app dbname=app sslmode=verify-full`, or a URI. All
    /// that libpq takes is allowed: several hosts, `service`, `passfile`, TLS. Empty: libpq's defaults and environment.
    std::string connection = {};
    /// Refuse names that are no key of the server's own, instead of hashing them. See @ref key_name.
    bool strict_names = false;
    /// Let locks share connections. False: a connection for each lock, without a limit. Unless it is said: true, but
    /// false with `transaction_scope`, which goes with nothing else.
    std::optional<bool> multiplexing = {};
    /// Hold each lock by a transaction that is open as long as the lock is held, on a connection of its own. For
    /// poolers in transaction mode, which keep nothing else. There are no fencing tokens then.
    bool transaction_scope = false;
    /// The most connections of one provider; 1 to 10000. With fewer than locks in use at once nothing hangs, but waits
    /// end later.
    int max_connections = 50;
    /// How many of them may stand waiting in the server, at least 0. Others wait without a connection.
    int max_waiting_connections = 32;
    /// How often those who wait without a connection are tried again; at least 1 ms.
    std::chrono::milliseconds retry_every{250};
    /// The longest that a wait stands in the server before it queues again, because a statement that waits holds VACUUM
    /// back. Zero: as long as the wait takes; with `transaction_scope` it is never more than 500 ms.
    std::chrono::milliseconds max_server_wait{0};
    /// How long connecting may take, over all hosts, of which each has an equal share; more than zero. Unless it is
    /// said: libpq's `connect_timeout`, which is for each host, from the connection string or `PGCONNECT_TIMEOUT`; else
    /// 4 s.
    std::optional<std::chrono::milliseconds> connect_timeout = {};
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

/// @brief How names are used on a connection of the user's own.
struct connection_options {
    /// Refuse names that are no key of the server's own, instead of hashing them.
    bool strict_names = false;
    /// What stands between the connection and the server: `none` or `session`. A pooler of which nothing is said is
    /// refused, since its mode cannot be seen, and in transaction mode it keeps no locks.
    postgres::pooler pooler = postgres::pooler::none;
};

/** @brief A provider of advisory locks that are held by a session of your own: @p connection, libpq's `PGconn*`.

    The locks belong to the session, also when they are taken within a transaction that is open on it: they survive its
    rollback. An acquire within a transaction runs behind a savepoint, so that its failure does not end the
    transaction, and leaves the transaction's settings as they were. Excludes everybody whom the provider of a URL
    excludes; a name that the session holds already, by whatever means, is refused too: waiting for it without end is
    `errc::deadlock`, and for a time `errc::timed_out` once that is over. Circles of waits among such sessions are seen
    by the server: `errc::deadlock`.

    The connection stays yours. It must outlive the provider and all that was made from it, is never closed, and serves
    one call at a time: whoever uses it for something else must not do so while a call is under way. Releasing while it
    cannot be used (it is busy, or its transaction has failed) is `errc::invalid_state`; the release is then made up for
   by the next call. Cancelling a wait blocks for as long as connecting to the server takes.

    `state()` looks whether the session lives; `lost_token()` does not fire. `list` and `examine` ask over this
   connection.

    @par Errors
    `errc::invalid_argument` for a null pointer; `errc::invalid_options` for a pooler in transaction mode. Acquiring:
    `errc::invalid_state` for a connection that is closed, busy, in pipeline mode, or in a failed transaction;
    `errc::unsupported`, with nothing locked, for a standby, and for a pooler of which nothing was said.
*/
HOLDFAST_API provider make_provider(::pg_conn* connection, const connection_options& opts = {},
                                    const provider_settings& settings = {});

/// @brief How a lock is held: as a writer, like every `lock`, or as a reader.
enum class lock_mode { write, read };

/// @name Locks that end with a transaction
/// Taken in the transaction that is open on @p connection, and held until that ends, however it does; a rollback to a
/// savepoint from before frees them as well. There is nothing to release, and so no handle. The transaction's settings
/// are left as they were, and it can go on after a failure. A pooler in between does no harm, in whichever mode: it
/// keeps the session until the transaction ends. The transaction should be `READ COMMITTED`: under `REPEATABLE READ`
/// and `SERIALIZABLE` it reads what was there before the lock was granted.
/// @{
/** @brief Waits until the lock is had.

    @par Errors
    Throws @ref error: `errc::timed_out`; `errc::cancelled`; `errc::deadlock`, also for a wait without end for what
    this very session holds; `errc::invalid_state` where no transaction is open, or it has failed, or the connection
    is closed or busy; `errc::unsupported`, with nothing locked, on a standby; `errc::invalid_name`; `errc::in_doubt`
   when the server does not answer in time, after which the connection should be closed; and what the server says.
    @par Thread safety
    The connection must not be used by anybody else meanwhile.
    @par Cancellation
    By @p stop, which blocks for as long as connecting to the server takes.
*/
HOLDFAST_API void acquire_in_transaction(::pg_conn* connection, std::string_view name,
                                         timeout limit = timeout::infinite(), lock_mode mode = lock_mode::write,
                                         const std::stop_token& stop = {});
/// @brief The same; false when somebody else had the lock for the whole time.
HOLDFAST_API bool try_acquire_in_transaction(::pg_conn* connection, std::string_view name,
                                             timeout limit = timeout::zero(), lock_mode mode = lock_mode::write,
                                             const std::stop_token& stop = {});
/// @}

/** @brief Serves the schemes `postgres` and `postgresql`.

    `postgres://user:password@host:port,other:port/database?option=value`. Options: `strict`, `multiplexing`,
   `transaction_scope` (booleans), `max_connections`, `max_waiting_connections` (counts), `retry_every`,
   `max_server_wait`, `connect_timeout`, `lost_after`, `keepalive` (times such as `500ms`, `30s`, `2m`), `pooler`
   (`none`, `session`, `transaction`), `fencing_sequence` for the fields of @ref options; and every other parameter of
   libpq, such as `sslmode`.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
