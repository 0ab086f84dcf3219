#include <backends/redis/cluster_link.hpp>
#include <backends/redis/course.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// What both kinds of links have in common.
class cluster_link : public server_link, protected carrier {
protected:
    cluster_link(redis_backend& owner, cluster& to) : server_link(owner), through_(to), course_(to, *this) {}

    void submit(request& one) override {
        // What belongs to one lock is in one slot.
        course_.begin(one, slot_of(command_.who->target->mapped()), boottime::now());
    }
    bool is_done(const request& one) override {
        if (stage_ == stage::confirming) return is_confirmed(one);
        return course_.go_on(boottime::now());
    }
    bool news_come() const override {
        return !course_.slot_moves() && owner_.news_come_from(course_.at(), *command_.who);
    }
    void request_cancel() override { course_.give_up_unsent(); }

    virtual bool is_confirmed(const request& one) const = 0;

    cluster& through_;
    course course_;
};

class direct_cluster_link final : public cluster_link {
public:
    direct_cluster_link(redis_backend& owner, cluster& to, resolver& names) : cluster_link(owner, to), names_(names) {}
    ~direct_cluster_link() override {
        own_channel* const present = course_.is_out() ? find(course_.at().get()) : nullptr;
        const bool is_open = present != nullptr && request_.sent && !request_.done;
        course_.forget();
        if (!is_open || core::fork_generation() != generation_) return;
        for (auto& each : channels_) each.second->hush();
        say_once_more(*present);
    }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (!begin(cmd)) return {true, core::never};
        asker_ = &on_progress;
        for (auto& each : channels_) each.second->asker = asker_;
        submit(request_);
        return look(began_);
    }
    core::progress advance() override {
        const auto now = boottime::now();
        const bool has_read = std::exchange(has_read_, false);
        const own_channel* const present = find(course_.at().get());
        for (auto& each : channels_) {
            if (!each.second->idle()) each.second->drive(now, !has_read || each.second.get() != present);
        }
        return look(now);
    }
    bool await_answer(boottime::time_point until) override {
        if (course_.asks() != nullptr || !course_.is_out()) return false;
        own_channel* const present = find(course_.at().get());
        if (present == nullptr || until - boottime::now() < connection::longest_sleep) return false;
        if (!present->await_answer()) return false;
        has_read_ = true;
        return true;
    }
    int descriptor() const noexcept override {
        const own_channel* const present = awaited();
        return present == nullptr ? -1 : present->descriptor();
    }
    short poll_events() const noexcept override {
        const own_channel* const present = awaited();
        return present == nullptr ? short{0} : present->poll_events();
    }
    bool reusable() const noexcept override {
        const own_channel* const present = find(course_.at().get());
        return present != nullptr && present->connected() &&
               std::all_of(channels_.begin(), channels_.end(), [](const auto& each) { return each.second->idle(); });
    }

private:
    class own_channel final : public channel {
    public:
        own_channel(node to, resolver& names) : channel(*to, names), to_(std::move(to)) {}
        core::notifier*& asker = on_name_found_;

    private:
        const node to_;
    };

    own_channel* find(const server* at) const noexcept {
        const auto found = channels_.find(at);
        return found == channels_.end() ? nullptr : found->second.get();
    }
    const own_channel* awaited() const noexcept {
        const server* const asked = course_.asks();
        return find(asked != nullptr ? asked : course_.at().get());
    }
    core::progress look(boottime::time_point now) {
        if (go_on(now)) return {true, core::never};
        auto next = course_.again_at();
        for (const auto& each : channels_) next = std::min(next, each.second->again_at());
        return {false, next};
    }
    own_channel& over(const node& to) {
        auto& found = channels_[to.get()];
        if (found == nullptr) {
            // Nodes that have left the cluster.
            std::erase_if(channels_, [&](const auto& each) {
                return each.second != nullptr && each.second->idle() && !through_.knows(*each.first);
            });
            found = std::make_unique<own_channel>(to, names_);
            found->asker = asker_;
        }
        return *found;
    }

    void send(const node& to, request& one) override {
        const auto now = boottime::now();
        own_channel& present = over(to);
        present.submit(one, now);
        if (!one.done) present.drive(now, false);
    }
    bool is_ended(const node&, const request& one) const override { return one.done; }
    bool was_sent(const node&, const request& one) const override { return one.sent; }
    bool leave(const node& at, const request& one) noexcept override {
        own_channel* const present = find(at.get());
        if (present != nullptr) present->forget(one);
        return one.sent;
    }
    bool is_confirmed(const request& one) const override { return one.done; }
    void submit_confirmation(request& write, request& wait) override {
        const auto now = boottime::now();
        own_channel& present = over(course_.at());
        write.asking = course_.slot_moves();
        present.submit(write, now);
        present.submit(wait, now);
        present.drive(now, false);
    }

    resolver& names_;
    core::notifier* asker_ = nullptr;
    std::map<const server*, std::unique_ptr<own_channel>> channels_;
    const unsigned generation_ = core::fork_generation();
    /// `await_answer` has.
    bool has_read_ = false;
};

class shared_cluster_link final : public cluster_link {
public:
    shared_cluster_link(redis_backend& owner, cluster& to, std::shared_ptr<node_channels> over)
        : cluster_link(owner, to), channels_(std::move(over)) {}
    ~shared_cluster_link() override {
        shared_channel* const present = course_.is_out() ? find(course_.at()) : nullptr;
        const bool is_open = present != nullptr && present->is_out(request_);
        course_.forget();
        if (is_open) say_once_more(*present);
        if (confirmer_ == nullptr) return;
        confirmer_->forget(extra_->write);
        confirmer_->forget(extra_->wait);
    }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (!begin(cmd)) return {true, core::never};
        on_progress_ = &on_progress;
        submit(request_);
        return look(began_);
    }
    core::progress advance() override { return look(boottime::now()); }
    bool reusable() const noexcept override { return false; }

private:
    core::progress look(boottime::time_point now) {
        if (go_on(now)) return {true, core::never};
        return {false, course_.again_at()};
    }
    shared_channel* find(const node& at) const noexcept {
        const auto found =
            std::find_if(used_.begin(), used_.end(), [&at](const auto& each) { return each.first == at; });
        return found == used_.end() ? nullptr : found->second.get();
    }
    void send(const node& to, request& one) override {
        one.asker = on_progress_;
        if (find(to) == nullptr) used_.emplace_back(to, channels_->to(to));
        find(to)->submit(one, boottime::now());
    }
    bool is_ended(const node& at, const request& one) const override { return find(at)->is_done(one); }
    bool was_sent(const node& at, const request& one) const override { return find(at)->is_sent(one); }
    bool leave(const node& at, const request& one) noexcept override {
        shared_channel* const present = find(at);
        return present != nullptr && present->forget(one);
    }
    bool is_confirmed(const request& one) const override { return confirmer_->is_done(one); }
    void submit_confirmation(request& write, request& wait) override {
        pool_ = channels_->confirmers(course_.at());
        confirmer_ = pool_->take();
        write.asker = wait.asker = on_progress_;
        write.asking = course_.slot_moves();
        confirmer_->submit_pair(write, wait);
    }
    void end_confirmation() override { pool_->put(std::exchange(confirmer_, nullptr)); }

    const std::shared_ptr<node_channels> channels_;
    /// Those that requests of ours may be in.
    std::vector<std::pair<node, std::shared_ptr<shared_channel>>> used_;
    std::shared_ptr<channel_pool> pool_;
    std::shared_ptr<shared_channel> confirmer_;
    core::notifier* on_progress_ = nullptr;
};

}  // namespace

/// @pre mutex_ is held
node_channels::entry& node_channels::entry_of(const node& where) {
    entry& found = entries_[where];
    if (found.shared != nullptr) return found;
    // Nodes that have left the cluster; links that are still there keep what they use.
    std::erase_if(entries_, [&](const auto& each) { return each.first != where && !of_->knows(*each.first); });
    found.shared = shared_channel::make(where, names_, executor_);
    found.confirmers = std::make_shared<channel_pool>(
        [where, names = names_, executor = executor_] { return shared_channel::make(where, names, executor); });
    return found;
}

std::shared_ptr<shared_channel> node_channels::to(const node& where) {
    const std::lock_guard guard(mutex_);
    return entry_of(where).shared;
}

std::shared_ptr<channel_pool> node_channels::confirmers(const node& where) {
    const std::lock_guard guard(mutex_);
    return entry_of(where).confirmers;
}

std::unique_ptr<core::link> make_own_cluster_link(redis_backend& owner, cluster& to, resolver& names) {
    return std::make_unique<direct_cluster_link>(owner, to, names);
}

std::unique_ptr<core::link> make_shared_cluster_link(redis_backend& owner, cluster& to,
                                                     std::shared_ptr<node_channels> over) {
    return std::make_unique<shared_cluster_link>(owner, to, std::move(over));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
