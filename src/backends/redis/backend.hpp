// The Redis backend: names, links and news of one provider.
#ifndef HOLDFAST_BACKENDS_REDIS_BACKEND_HPP
#define HOLDFAST_BACKENDS_REDIS_BACKEND_HPP

#include <backends/redis/cluster.hpp>
#include <backends/redis/leftovers.hpp>
#include <backends/redis/shared_channel.hpp>
#include <backends/redis/strategy.hpp>
#include <backends/redis/subscriber.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

class channel_pool;
class cluster_news;
class node_channels;

class redis_backend final : public core::backend {
public:
    /// @param opts checked
    explicit redis_backend(const options& opts);

    std::string_view name() const noexcept override { return "redis"; }
    const holdfast::capabilities& capabilities() const noexcept override { return capabilities_; }
    const core::backend_traits& traits() const noexcept override { return traits_; }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::unique_ptr<core::link> make_shared_link(const core::claim& who, const core::backend_context& context) override;
    std::unique_ptr<core::watch> arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                     const core::backend_context& context, core::waiter where) override;

    std::size_t renewals_at_once(const core::claim& who) const noexcept override;

    std::vector<lock_entry> list(const list_query& query) override;
    std::vector<finding> examine(const examination& how) override;

    const strategy& commands() const noexcept { return strategy_; }
    /// Whether releases by processes like ours are told to us, for whom @p who waits.
    bool news_come(const core::claim& who) const;
    /// Whether those that a node of the cluster carries out are.
    bool news_come_from(const node& where, const core::claim& who);

private:
    const std::vector<std::shared_ptr<shared_channel>>& shared(const core::backend_context& context);
    leftovers& rest(const core::backend_context& context);
    std::optional<unsigned> slot_at(const server& master) const;

    const strategy strategy_;
    core::backend_traits traits_;
    holdfast::capabilities capabilities_;
    const std::vector<server> servers_;
    /// Null: there is none, but servers.
    const std::shared_ptr<cluster> cluster_;
    const std::shared_ptr<resolver> names_ = std::make_shared<resolver>();

    mutable std::mutex mutex_;
    std::shared_ptr<node_channels> nodes_;
    std::shared_ptr<cluster_news> cluster_news_;
    std::vector<std::shared_ptr<shared_channel>> shared_;
    std::unique_ptr<leftovers> rest_;
    std::shared_ptr<channel_pool> confirmers_;
    std::shared_ptr<subscriber> first_news_;
    std::shared_ptr<subscriber> last_news_;
    /// Of a single server.
    std::atomic<subscriber*> news_{nullptr};
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
