// Links to a cluster.
#ifndef HOLDFAST_BACKENDS_REDIS_CLUSTER_LINK_HPP
#define HOLDFAST_BACKENDS_REDIS_CLUSTER_LINK_HPP

#include <backends/redis/cluster.hpp>
#include <backends/redis/server_link.hpp>

#include <map>
#include <memory>
#include <mutex>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** The connections that asynchronous operations share: one to each node.

    Thread safety: safe.
*/
class node_channels {
public:
    node_channels(std::shared_ptr<cluster> of, std::shared_ptr<resolver> names,
                  const boost::asio::any_io_executor& executor)
        : of_(std::move(of)), names_(std::move(names)), executor_(executor) {}
    node_channels(const node_channels&) = delete;
    node_channels& operator=(const node_channels&) = delete;

    std::shared_ptr<shared_channel> to(const node& where);
    /// Those that one operation at a time has for itself.
    std::shared_ptr<channel_pool> confirmers(const node& where);

private:
    struct entry {
        std::shared_ptr<shared_channel> shared;
        std::shared_ptr<channel_pool> confirmers;
    };
    entry& entry_of(const node& where);

    const std::shared_ptr<cluster> of_;
    const std::shared_ptr<resolver> names_;
    const boost::asio::any_io_executor executor_;
    std::mutex mutex_;
    std::map<node, entry> entries_;
};

/// Connections of its own, one to each node, driven by the thread that calls.
std::unique_ptr<core::link> make_own_cluster_link(redis_backend& owner, cluster& to, resolver& names);
/// A place in the connections that asynchronous operations share.
std::unique_ptr<core::link> make_shared_cluster_link(redis_backend& owner, cluster& to,
                                                     std::shared_ptr<node_channels> over);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
