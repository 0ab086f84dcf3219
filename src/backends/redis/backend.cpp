#include <backends/redis/backend.hpp>
#include <backends/redis/cluster_link.hpp>
#include <backends/redis/cluster_news.hpp>
#include <backends/redis/options.hpp>
#include <backends/redis/quorum_link.hpp>
#include <backends/redis/sentinels.hpp>
#include <backends/redis/server_link.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

class release_watch final : public core::watch {
public:
    release_watch(std::shared_ptr<subscriber> news, std::string channel, const std::vector<std::string>& events,
                  core::notifier& on_wake, core::waiter where)
        : news_(std::move(news)), on_wake_(on_wake), reads_(where != core::waiter::executor) {
        channels_.reserve(events.size() + 1);
        try {
            listen(std::move(channel));
            for (const std::string& each : events) listen(each);
        } catch (...) {
            leave();
            throw;
        }
    }
    ~release_watch() override { leave(); }

    void wait_on_caller(core::parker& self, boottime::time_point until) override { news_->wait_on_caller(self, until); }

private:
    void listen(std::string channel) {
        news_->add(channel, on_wake_, reads_);
        channels_.push_back(std::move(channel));
    }
    void leave() noexcept {
        for (const std::string& each : channels_) news_->remove(each, on_wake_);
    }

    const std::shared_ptr<subscriber> news_;
    std::vector<std::string> channels_;
    core::notifier& on_wake_;
    const bool reads_;
};

/// An answer that takes longer than this is of no use any more.
std::chrono::milliseconds longest_silence_of(const options& opts) {
    const auto longest =
        std::clamp(opts.expiry - opts.min_validity, std::chrono::milliseconds(1000), std::chrono::milliseconds(5000));
    // What a grant may have to wait for before it is answered.
    return opts.min_replicas > 0 ? longest + opts.replica_timeout : longest;
}

std::vector<server> servers_of(const options& opts) {
    std::vector<server> made;
    const auto tls = opts.tls ? std::make_shared<const tls_context>(*opts.tls) : nullptr;
    if (!opts.sentinel_master.empty()) {
        std::vector<server> all;
        for (const server_address& each : opts.servers) {
            all.push_back({each, opts.sentinel_user, opts.sentinel_password, 0, opts.connect_timeout, tls});
        }
        server& master = made.emplace_back();
        master.user = opts.user;
        master.password = opts.password;
        master.database = opts.database;
        master.connect_timeout = opts.connect_timeout;
        master.sentinels = std::make_shared<sentinels>(opts.sentinel_master, std::move(all), opts.expiry);
        master.master_name = opts.sentinel_master;
        master.tls = tls;
        master.longest_silence = longest_silence_of(opts);
        return made;
    }
    for (const server_address& each : opts.servers) {
        made.push_back({each, opts.user, opts.password, opts.database, opts.connect_timeout, tls});
        made.back().longest_silence = longest_silence_of(opts);
    }
    return made;
}

}  // namespace

redis_backend::redis_backend(const options& opts)
    : strategy_(opts),
      servers_(servers_of(opts)),
      cluster_(opts.cluster ? std::make_shared<cluster>(servers_, opts.expiry) : nullptr) {
    if (cluster_ != nullptr) {
        cluster_->when_changed([this] {
            std::shared_ptr<cluster_news> news;
            {
                const std::lock_guard guard(mutex_);
                news = cluster_news_;
            }
            if (news != nullptr) news->follow();
        });
    }
    traits_.family = core::family::lease;
    traits_.announces = true;
    traits_.links_reconnect = true;
    traits_.reply_grace = longest_silence_of(opts);
    traits_.lease_margin = lease_margin(opts.expiry);
    traits_.renewal_cadence = opts.extension_cadence;

    capabilities_.lock = capabilities_.reader_writer_lock = capabilities_.semaphore = true;
    capabilities_.current_count = capabilities_.cross_process = true;
    capabilities_.loss_detection = loss_detection::before_expiry;
    if (opts.fencing) capabilities_.fencing = fencing_support::may_regress;
}

std::string redis_backend::map_name(core::primitive_kind kind, std::string_view name) const {
    return strategy_.key_of(kind, name);
}

bool redis_backend::news_come(const core::claim& who) const {
    subscriber* const news = news_.load(std::memory_order_acquire);
    return news != nullptr && news->works_for([&] { return strategy_.channel_of(who); });
}

bool redis_backend::news_come_from(const node& where, const core::claim& who) {
    const std::lock_guard guard(mutex_);
    return cluster_news_ != nullptr && where != nullptr &&
           cluster_news_->come_from(where, [&] { return strategy_.channel_of(who); });
}

/// @pre mutex_ is held
const std::vector<std::shared_ptr<shared_channel>>& redis_backend::shared(const core::backend_context& context) {
    if (shared_.empty()) {
        const bool vote = servers_.size() > 1;
        for (const server& each : vote ? voters(servers_, strategy_.settings().expiry) : servers_) {
            shared_.push_back(shared_channel::make(std::make_shared<const server>(each), names_, context.executor()));
        }
    }
    return shared_;
}

/// @pre mutex_ is held
leftovers& redis_backend::rest(const core::backend_context& context) {
    if (rest_ == nullptr) {
        rest_ = std::make_unique<leftovers>([this, context] {
            const std::lock_guard guard(mutex_);
            const auto& all = shared(context);
            return leftovers::channels(all.begin(), all.end());
        });
    }
    return *rest_;
}

std::unique_ptr<core::link> redis_backend::make_link(const core::claim&, const core::backend_context& context) {
    const std::lock_guard guard(mutex_);
    if (cluster_ != nullptr) return make_own_cluster_link(*this, *cluster_, *names_);
    if (servers_.size() > 1) return make_direct_quorum(strategy_, servers_, *names_, rest(context));
    return make_own_server_link(*this, servers_.front(), *names_);
}

std::unique_ptr<core::link> redis_backend::make_shared_link(const core::claim&, const core::backend_context& context) {
    const std::lock_guard guard(mutex_);
    if (cluster_ != nullptr) {
        if (nodes_ == nullptr) {
            nodes_ = std::make_shared<node_channels>(cluster_, names_, context.executor());
        }
        return make_shared_cluster_link(*this, *cluster_, nodes_);
    }
    const auto& channels = shared(context);
    if (servers_.size() > 1) return make_shared_quorum(strategy_, channels, rest(context));
    if (confirmers_ == nullptr) {
        confirmers_ = std::make_shared<channel_pool>(
            [to = std::make_shared<const server>(servers_.front()), names = names_, executor = context.executor()] {
                return shared_channel::make(to, names, executor);
            });
    }
    return make_shared_server_link(*this, channels.front(), confirmers_);
}

std::size_t redis_backend::renewals_at_once(const core::claim& who) const noexcept {
    // Each of several servers has its own votes to be renewed; in a cluster one script asks for the keys of one slot.
    return servers_.size() > 1 || cluster_ != nullptr ? 1 : strategy::renewals_at_once(who);
}

std::unique_ptr<core::watch> redis_backend::arm(const core::claim& who, core::link&, core::notifier& on_wake,
                                                const core::backend_context& context, core::waiter where) {
    if (cluster_ != nullptr) {
        std::shared_ptr<cluster_news> news;
        {
            const std::lock_guard guard(mutex_);
            if (cluster_news_ == nullptr) {
                cluster_news_ = std::make_shared<cluster_news>(cluster_, names_, context.executor(), context.observer);
            }
            news = cluster_news_;
        }
        std::vector<std::string> channels = strategy_.event_channels_of(who);
        channels.insert(channels.begin(), strategy_.channel_of(who));
        return news->listen(slot_of(who.target->mapped()), std::move(channels), on_wake);
    }
    // A semaphore is kept by the first server. Other releases go to all servers in their order, so when the last one
    // tells of it the others have heard it as well.
    const bool first = who.mode == core::access::ticket || servers_.size() == 1;
    const std::lock_guard guard(mutex_);
    auto& news = first ? first_news_ : last_news_;
    if (news == nullptr) {
        news = subscriber::make(std::make_shared<const server>(first ? servers_.front() : servers_.back()), names_,
                                context.executor(), context.observer);
        if (servers_.size() == 1) news_.store(news.get(), std::memory_order_release);
    }
    return std::make_unique<release_watch>(news, strategy_.channel_of(who), strategy_.event_channels_of(who), on_wake,
                                           where);
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
