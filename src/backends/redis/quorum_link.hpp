// Links to several independent servers, of which a majority decides (Redlock).
#ifndef HOLDFAST_BACKENDS_REDIS_QUORUM_LINK_HPP
#define HOLDFAST_BACKENDS_REDIS_QUORUM_LINK_HPP

#include <backends/redis/leftovers.hpp>
#include <backends/redis/shared_channel.hpp>
#include <backends/redis/strategy.hpp>

#include <memory>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// Links of the calling thread: a connection to each server, and one descriptor for all of them.
std::unique_ptr<core::link> make_direct_quorum(const strategy& commands, const std::vector<server>& servers,
                                               resolver& names, leftovers& rest);
/// Links of the executor: places in the connections that all asynchronous operations share.
std::unique_ptr<core::link> make_shared_quorum(const strategy& commands,
                                               const std::vector<std::shared_ptr<shared_channel>>& channels,
                                               leftovers& rest);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
