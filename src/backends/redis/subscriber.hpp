// News of releases: one subscription connection for all waiters of a provider.
#ifndef HOLDFAST_BACKENDS_REDIS_SUBSCRIBER_HPP
#define HOLDFAST_BACKENDS_REDIS_SUBSCRIBER_HPP

#include <backends/redis/connection.hpp>
#include <backends/redis/reactor_seat.hpp>
#include <core/parker.hpp>

#include <holdfast/observer.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Subscribes to channels as long as somebody listens to them; to those of the server's own keyspace events unless the
    server has them off.

    In a cluster the channels of releases are sharded, where the server knows that (Redis 7): they are told by the node
    that has their slot, and no other. Where a slot is moved away, listeners are notified, so that they look, and find
    the node that has it now.

    Read by the executor, or by a calling thread that stands waiting: that one reads for all, so that it need not be
   woken from another thread. Where nobody listens nobody reads.

    A listener is notified with `signal_wake` for each message, for each confirmation that messages will come from now
    on, when the server refuses its channel, and when the connection is lost: each of these is a reason to look. Whoever
    listens to what was refused hears nothing; it is tried again after a while, when somebody begins to listen.

    Thread safety: safe.
*/
class subscriber final {
public:
    static std::shared_ptr<subscriber> make(std::shared_ptr<const server> to, std::shared_ptr<resolver> names,
                                            const boost::asio::any_io_executor& executor,
                                            std::shared_ptr<observer> watcher, bool sharded = false);
    subscriber(std::shared_ptr<const server> to, std::shared_ptr<resolver> names, std::shared_ptr<observer> watcher,
               bool sharded);
    subscriber(const subscriber&) = delete;
    subscriber& operator=(const subscriber&) = delete;
    ~subscriber();

    /// @param reads it is going to stand at @ref wait_on_caller
    void add(const std::string& channel, core::notifier& listener, bool reads = false);
    void remove(const std::string& channel, core::notifier& listener) noexcept;

    /// See `watch::wait_on_caller`; for one who listens.
    void wait_on_caller(core::parker& self, boottime::time_point until);

    /// Messages come to that channel, as far as we know.
    /// @param channel makes its name, which is needed where some are refused to us
    bool works_for(const std::function<std::string()>& channel);

private:
    class name_news;
    /// What the server says about keyspace events.
    enum class events { unknown, off, on };
    struct topic {
        std::vector<core::notifier*> listeners;
        bool confirmed = false;
        /// When the server refused it; zero: it did not.
        boottime::time_point refused{};
        /// Nobody listens any more since then; kept for a while, for the next one.
        boottime::time_point idle_since{};
    };

    /// Messages come to most channels.
    bool works() const noexcept;
    bool has_exceptions() const noexcept { return has_exceptions_.load(std::memory_order_acquire); }
    void run();
    void drive(boottime::time_point now, bool read);
    /// Whether it is subscribed to where somebody listens.
    bool is_wanted(std::string_view channel) const noexcept;
    void subscribe_all(bool to_events);
    void subscribe(const std::vector<std::string_view>& channels);
    void subscribe(const char* command, const std::vector<std::string_view>& channels);
    void wake(std::string_view channel) noexcept;
    void heard_config(const redisReply& said);
    void heard_error(const redisReply& said);
    void hear();
    void heard(const redisReply& message);
    void lost(boottime::time_point now);
    void refuse(const std::vector<std::string>& channels, const failure& why);
    void sweep(boottime::time_point now);
    void wake_all() noexcept;
    boottime::time_point again_at() const noexcept;

    // Kept, because a turn of the executor may outlive the provider.
    const std::shared_ptr<const server> server_;
    const std::shared_ptr<resolver> names_;
    const std::shared_ptr<observer> observer_;
    const unsigned generation_ = core::fork_generation();
    std::atomic<bool> works_{false};
    std::atomic<bool> has_exceptions_{false};
    /// Up to which one of the sentinels' versions it was seen to listen to the right master.
    std::atomic<unsigned> of_version_{0};

    std::mutex mutex_;
    boost::asio::any_io_executor executor_;
    std::shared_ptr<reactor_seat> seat_;
    std::unique_ptr<name_news> name_news_;
    std::unique_ptr<connection> connection_;
    bool ready_ = false;
    /// The observer knows that channels are forbidden.
    bool told_ = false;
    /// Its answer is the first thing to be heard.
    bool config_is_out_ = false;
    events events_ = events::unknown;
    bool events_forbidden_ = false;
    const bool in_cluster_;
    /// The channels of releases are.
    bool sharded_ = false;
    struct subscription {
        bool to_events = false;
        /// It is of one sharded channel.
        bool sharded = false;
        std::vector<std::string> channels = {};
        /// How many of them are not confirmed.
        std::size_t left = 0;
    };
    /// Those that are not confirmed.
    std::deque<subscription> out_;
    /// How many listen to channels of releases; who listens to events listens to one of these too.
    int listening_ = 0;
    /// A calling thread reads, and the executor does not.
    bool led_ = false;
    bool executor_reads_ = false;
    int failures_ = 0;
    boottime::time_point pause_until_{};
    boottime::time_point sweep_at_ = core::never;
    std::unordered_map<std::string, topic> topics_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
