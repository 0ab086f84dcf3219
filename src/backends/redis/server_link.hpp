// Links to one server.
#ifndef HOLDFAST_BACKENDS_REDIS_SERVER_LINK_HPP
#define HOLDFAST_BACKENDS_REDIS_SERVER_LINK_HPP

#include <backends/redis/backend.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Connections of the executor's that one operation at a time has for itself: WAIT stops all that comes after it.

    Thread safety: safe.
*/
class channel_pool {
public:
    using maker = std::function<std::shared_ptr<shared_channel>()>;

    explicit channel_pool(maker make) : make_(std::move(make)) {}
    channel_pool(const channel_pool&) = delete;
    channel_pool& operator=(const channel_pool&) = delete;

    std::shared_ptr<shared_channel> take();
    /// @pre no answer is out
    void put(std::shared_ptr<shared_channel> returned);

private:
    const maker make_;
    std::mutex mutex_;
    std::vector<std::shared_ptr<shared_channel>> idle_;
};

/// A connection of its own, driven by the thread that calls.
std::unique_ptr<core::link> make_own_server_link(redis_backend& owner, const server& to, resolver& names);
/// A place in the connection that asynchronous operations share.
std::unique_ptr<core::link> make_shared_server_link(redis_backend& owner, std::shared_ptr<shared_channel> over,
                                                    std::shared_ptr<channel_pool> confirmers);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
