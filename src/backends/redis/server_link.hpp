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

/// What links to one server, and to a cluster, have in common.
class server_link : public core::link {
public:
    explicit server_link(redis_backend& owner) noexcept : owner_(owner) {}

protected:
    enum class stage { asking, confirming, giving_back };
    /// What comes after a grant that replicas must have, too.
    struct confirmation {
        /// A write of the connection that WAIT is asked on; it also says whether the lock is still ours.
        request write;
        request wait;
        request give_back;
    };

    /// False when the answer is there already.
    bool begin(const core::command& cmd);
    /// True when the reply is there.
    bool go_on(boottime::time_point now);

    virtual void submit(request& one) = 0;
    virtual bool is_done(const request& one) = 0;
    /// Both go over one connection, which has nothing else to do meanwhile.
    virtual void submit_confirmation(request& write, request& wait) = 0;
    virtual void end_confirmation() {}
    /** Where nobody awaits the answer any more to what takes something away: says it once more behind it, with its
        script. The server may answer later that it does not know that, and nobody would be there to hear it.
    */
    void say_once_more(channel& over) noexcept;
    void say_once_more(shared_channel& over) noexcept;
    /// Whether a release of what was refused would be told.
    virtual bool news_come() const;

    redis_backend& owner_;
    core::command command_;
    request request_;
    std::unique_ptr<confirmation> extra_;
    boottime::time_point began_{};
    stage stage_ = stage::asking;

private:
    void confirm();
    void give_back();

    core::access mode_{};
    std::string refusal_;
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
