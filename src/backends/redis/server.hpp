// Where a Redis server is, and who we are to it.
#ifndef HOLDFAST_BACKENDS_REDIS_SERVER_HPP
#define HOLDFAST_BACKENDS_REDIS_SERVER_HPP

#include <backends/redis/node_identity.hpp>
#include <backends/redis/roll.hpp>
#include <backends/redis/tls.hpp>

#include <holdfast/backends/redis.hpp>
#include <holdfast/error.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

class sentinels;

/// What a connection needs to know.
struct server {
    server_address address;
    std::optional<std::string> user = {};
    std::optional<std::string> password = {};
    int database = 0;
    std::chrono::milliseconds connect_timeout{2000};
    /// Null: without TLS.
    std::shared_ptr<const tls_context> tls = {};
    /// Where several servers vote: to be entered on, before it has a vote, as this number.
    std::shared_ptr<redis::roll> roll = {};
    std::size_t number = 0;
    /// They are asked for the address, which is not known beforehand; null: it is.
    std::shared_ptr<redis::sentinels> sentinels = {};
    /// What it is called to them.
    std::string master_name = {};
    /// It is a node of a cluster, and must be this one; null: it is none.
    std::shared_ptr<node_identity> identity = {};
    /// An answer that takes longer is of no use any more, and the connection may be dead.
    std::chrono::milliseconds longest_silence{3000};

    /// For messages: "127.0.0.1:6379", "unix:/run/redis.sock".
    std::string text() const;
};

/// The same, each to be entered on one new roll. @param memory of the roll
std::vector<server> voters(std::vector<server> all, std::chrono::milliseconds memory);

/// Why something could not be done.
struct failure {
    errc code = errc::unavailable;
    int native_code = 0;
    std::string text = {};
    /// Trying again later, with nothing changed, can succeed.
    bool transient = true;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
