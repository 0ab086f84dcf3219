// Holdfast: locks in Redis.
#ifndef HOLDFAST_BACKENDS_REDIS_HPP
#define HOLDFAST_BACKENDS_REDIS_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// @brief Where one server is.
struct server_address {
    /// A name, or an address in numbers (IPv4 or IPv6, without brackets).
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    /// A unix socket instead of host and port.
    std::string socket_path = {};
};

/// @brief Whom to trust, and who we are, on connections with TLS (1.2 or later).
struct tls_options {
    /// The certificates of those who may vouch for the server, in PEM; empty: the system's.
    std::string ca_file = {};
    /// Our own certificate with its chain, and its key, which has no pass phrase; in PEM. Both or neither.
    std::string cert_file = {};
    std::string key_file = {};
    /// Whom the server's certificate must name; empty: the host, or its address in numbers.
    std::string server_name = {};
};

/// @brief Which server, and how long locks live there without being renewed.
struct options {
    /// One; or several that know nothing of each other, of which a majority decides (Redlock), an odd number. All with
    /// the same user, password and database.
    std::vector<server_address> servers = {server_address{}};
    /// @ref servers are nodes of a Redis Cluster, which are asked for all others; the cluster is one server in the
    /// sense of everything here. With database 0 only.
    bool cluster = false;
    /// The name under which sentinels know a master. Set: @ref servers are the sentinels, and locks are kept by whom
    /// they name, one server in the sense of everything here.
    std::string sentinel_master = {};
    /// For the sentinels, as @ref user and @ref password for the master.
    std::optional<std::string> sentinel_user = {};
    std::optional<std::string> sentinel_password = {};
    /// The ACL user; unset: the default user.
    std::optional<std::string> user = {};
    std::optional<std::string> password = {};
    /// Unset: without TLS. All servers alike, also sentinels. Files are read once, when the provider is made.
    std::optional<tls_options> tls = {};
    /// The number of the database. Locks in different databases are different locks.
    int database = 0;
    /// Stands before every key, as StackExchange.Redis' key prefix does.
    std::string key_prefix = {};

    /// How long a lock outlives a holder that has died. At least 100 ms, at most 2147483647 ms, as all times here;
    /// .NET's default is the same.
    std::chrono::milliseconds expiry = std::chrono::seconds(30);
    /// What must be left of the expiry when an acquire succeeds; more than zero, less than @ref expiry. Zero: nine
    /// tenths of the expiry.
    std::chrono::milliseconds min_validity = std::chrono::milliseconds(0);
    /// Time between renewals; less than @ref min_validity, and at most @ref expiry less 2 % of it and 4 ms, since a
    /// lock ends 1 % and 2 ms before its key. Zero: a third of min_validity.
    std::chrono::milliseconds extension_cadence = std::chrono::milliseconds(0);
    /// The bounds of the time between tries where no news of releases can come: holders that use .NET, servers that
    /// forbid publishing. Drawn at random, as .NET does. Ten times as seldom where news do come.
    std::chrono::milliseconds min_busy_wait = std::chrono::milliseconds(10);
    std::chrono::milliseconds max_busy_wait = std::chrono::milliseconds(800);
    /// Fencing tokens, from one counter for all names with this prefix, which never expires: `holdfast:fencing`; in a
    /// cluster from one for each slot, at most 16384. They can go back when the server loses data: a failover, a crash
    /// without persistence, a flush. Not with several servers.
    bool fencing = false;
    /// Replicas of a single server that must have a lock before it counts as acquired (WAIT). Where too few have it
    /// within @ref replica_timeout it is given back, and the acquire fails with `errc::unavailable`. A failover after
    /// that may still lose it. Zero: none.
    int min_replicas = 0;
    /// At most what is left of @ref expiry without @ref min_validity. Zero: a third of that.
    std::chrono::milliseconds replica_timeout = std::chrono::milliseconds(0);
    /// How long one attempt to connect may take. More than zero.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(2);
};

/** @brief A provider of locks kept in Redis (5 or later).

    Gives `lock`, `reader_writer_lock` and `semaphore`, shared with .NET's RedisDistributedLock and its kin.

    @par Errors
    `errc::invalid_options` for options out of range. The server itself is first talked to when a lock is acquired.
*/
HOLDFAST_API provider make_provider(const options& opts, const provider_settings& settings = {});

/** @brief Serves the schemes `redis`, `redis+sentinel` and `redis+cluster`, those with `rediss` for `redis` with TLS,
   and `unix` and `redis+unix` for sockets.

    `redis://[[user]:password@]host[:port][,host[:port]...][/database]`, `unix:///run/redis.sock?database=1`.

    Options, for the fields of @ref options: `database`, `prefix`, `expiry`, `min_validity`, `extension_cadence`,
    `min_busy_wait`, `max_busy_wait`, `connect_timeout`, `fencing`, `min_replicas`, `replica_timeout`; with `rediss`
    also `ca_file`, `cert_file`, `key_file` and `server_name`; with `+sentinel`, whose hosts are sentinels,
    `master` (default `mymaster`), `sentinel_user` and `sentinel_password`. Times are written `500ms`, `30s` or `2m`.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
