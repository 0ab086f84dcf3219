// News of releases in a cluster: one subscription connection to each master that has slots of waiters.
#ifndef HOLDFAST_BACKENDS_REDIS_CLUSTER_NEWS_HPP
#define HOLDFAST_BACKENDS_REDIS_CLUSTER_NEWS_HPP

#include <backends/redis/cluster.hpp>
#include <backends/redis/subscriber.hpp>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Listens where a slot's releases are told, and goes along when the slot gets another owner.

    Thread safety: safe.
*/
class cluster_news final : public std::enable_shared_from_this<cluster_news> {
public:
    cluster_news(std::shared_ptr<cluster> of, std::shared_ptr<resolver> names,
                 const boost::asio::any_io_executor& executor, std::shared_ptr<observer> watcher)
        : of_(std::move(of)), names_(std::move(names)), executor_(executor), observer_(std::move(watcher)) {}
    cluster_news(const cluster_news&) = delete;
    cluster_news& operator=(const cluster_news&) = delete;

    /// Until the result is destroyed. @param channels all of that slot
    std::unique_ptr<core::watch> listen(unsigned slot, std::vector<std::string> channels, core::notifier& listener);
    /// Owners of slots have changed.
    void follow();
    /// Whether releases that the node carries out are told to us on that channel, as far as we know.
    bool come_from(const node& where, const std::function<std::string()>& channel);

private:
    class registration;

    void settle(registration& one);

    const std::shared_ptr<cluster> of_;
    const std::shared_ptr<resolver> names_;
    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<observer> observer_;
    const unsigned generation_ = core::fork_generation();

    std::mutex mutex_;
    std::map<node, std::shared_ptr<subscriber>> subscribers_;
    std::list<registration*> all_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
