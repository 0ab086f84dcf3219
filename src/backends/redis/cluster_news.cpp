#include <backends/redis/cluster_news.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

class cluster_news::registration final : public core::watch {
public:
    registration(std::shared_ptr<cluster_news> with, unsigned of, std::vector<std::string> channels,
                 core::notifier& listener)
        : slot(of), with_(std::move(with)), channels_(std::move(channels)), listener_(listener) {
        const std::lock_guard guard(with_->mutex_);
        place_ = with_->all_.insert(with_->all_.end(), this);
        try {
            with_->settle(*this);
        } catch (...) {
            with_->all_.erase(place_);
            throw;
        }
    }
    ~registration() override {
        // In a forked child the mutex may be held by a thread that is not there.
        if (core::fork_generation() != with_->generation_) return;
        const std::lock_guard guard(with_->mutex_);
        leave();
        with_->all_.erase(place_);
    }

    /// @pre the mutex is held
    void go_to(const node& where, const std::shared_ptr<subscriber>& news) {
        leave();
        news_ = news;
        at = where;
        try {
            for (; joined_ < channels_.size(); ++joined_) news_->add(channels_[joined_], listener_);
        } catch (...) {
            leave();
            throw;
        }
    }

    const unsigned slot;
    /// Null: nowhere.
    node at;

private:
    void leave() noexcept {
        for (; joined_ > 0; --joined_) news_->remove(channels_[joined_ - 1], listener_);
        news_.reset();
        at.reset();
    }

    const std::shared_ptr<cluster_news> with_;
    const std::vector<std::string> channels_;
    core::notifier& listener_;
    std::list<registration*>::iterator place_;
    std::shared_ptr<subscriber> news_;
    std::size_t joined_ = 0;
};

/// @pre mutex_ is held
void cluster_news::settle(registration& one) {
    const node owner = of_->owner_of(one.slot);
    if (owner == nullptr || owner == one.at) return;
    auto& news = subscribers_[owner];
    if (news == nullptr) news = subscriber::make(owner, names_, executor_, observer_, true);
    one.go_to(owner, news);
}

std::unique_ptr<core::watch> cluster_news::listen(unsigned slot, std::vector<std::string> channels,
                                                  core::notifier& listener) {
    return std::make_unique<registration>(shared_from_this(), slot, std::move(channels), listener);
}

void cluster_news::follow() {
    const std::lock_guard guard(mutex_);
    for (registration* const each : all_) settle(*each);
    // Nodes that have left the cluster.
    std::erase_if(subscribers_, [this](const auto& each) { return !of_->knows(*each.first); });
}

bool cluster_news::come_from(const node& where, const std::function<std::string()>& channel) {
    const std::lock_guard guard(mutex_);
    const auto found = subscribers_.find(where);
    return found != subscribers_.end() && found->second->works_for(channel);
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
