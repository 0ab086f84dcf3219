// Slots of a Redis cluster: which one a key is in, who has it, and where redirections lead.
#ifndef HOLDFAST_BACKENDS_REDIS_SLOTS_HPP
#define HOLDFAST_BACKENDS_REDIS_SLOTS_HPP

#include <backends/redis/protocol.hpp>

#include <holdfast/backends/redis.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

constexpr unsigned slot_count = 16384;

/// CRC-16/XMODEM, which spreads keys over slots (redis.io/docs/reference/cluster-spec).
std::uint16_t crc16(std::string_view text) noexcept;
/// What of the key counts: what stands between its first '{' and the first '}' after that; all of it where that is
/// nothing.
std::string_view hashed_part(std::string_view key) noexcept;
/// Whether it is only a part.
inline bool has_hash_tag(std::string_view key) noexcept {
    return hashed_part(key).size() != key.size();
}
inline unsigned slot_of(std::string_view key) noexcept {
    return crc16(hashed_part(key)) % slot_count;
}
/// The smallest number whose digits, as a hash tag, are in that slot. @pre slot < slot_count
std::string tag_of(unsigned slot);

/// What a node answers that does not serve the slot.
struct redirection {
    /// For this one command only, which must say so (ASKING).
    bool asking = false;
    unsigned slot = 0;
    /// An empty host is that of the node that says so.
    server_address where;
};
/// @param error "MOVED 3999 127.0.0.1:6381", "ASK 3999 host:6381" @return nothing where it is none, or senseless
std::optional<redirection> redirection_from(std::string_view error);

/// Slots from `first` to `last`, and who has them.
struct slot_range {
    unsigned first = 0;
    unsigned last = 0;
    /// An empty host is that of the node that says so.
    server_address master;
    /// Empty: not told.
    std::string id;
};
/// Of CLUSTER SLOTS; empty where that is no answer to it, or one that names a slot twice. Ranges that make no sense are
/// left out.
std::vector<slot_range> ranges_from(const redisReply& answer);
/// By node: the configuration epoch, with which the later of two claims to a slot is the greater. Of CLUSTER NODES;
/// empty where that is no answer to it.
std::map<std::string, std::uint64_t, std::less<>> epochs_from(const redisReply& answer);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
