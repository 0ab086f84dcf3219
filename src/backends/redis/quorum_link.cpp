#include <backends/redis/quorum_link.hpp>
#include <backends/redis/quorum_vote.hpp>

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// A connection with more answers out than this belongs to a server that does not answer.
constexpr std::size_t most_out = 64;

/// A vote in our own time.
class quorum_link : public quorum_vote {
public:
    core::progress start(const core::command& cmd, core::notifier& on_progress) final {
        return begin_vote(cmd, on_progress, boottime::now());
    }
    core::progress advance() final { return go_on(boottime::now()); }
    void request_cancel() final { cancel(boottime::now()); }

protected:
    using quorum_vote::quorum_vote;
};

class direct_quorum final : public quorum_link {
public:
    direct_quorum(const strategy& commands, const std::vector<server>& to, resolver& names, leftovers& rest)
        : quorum_link(commands, to.size(), rest), voters_(voters(to, commands.settings().expiry)) {
        if (all_.open_with([] { return ::epoll_create1(EPOLL_CLOEXEC); }) < 0) {
            throw error(errc::unavailable, "redis: no descriptor left");
        }
        for (const server& each : voters_) {
            const auto number = static_cast<std::uint32_t>(channels_.size());
            channels_.push_back(std::make_unique<polled_channel>(each, names, all_.get(), number));
        }
    }

    bool await_answer(boottime::time_point until) override {
        const auto longest = std::min<boottime::duration>(until - boottime::now(), connection::longest_sleep);
        const auto time = std::chrono::floor<std::chrono::milliseconds>(longest);
        // What has still to be connected to may go on by other news than that of its socket.
        const auto connected = [](const auto& each) { return each->connected(); };
        if (time.count() <= 0 || !std::all_of(channels_.begin(), channels_.end(), connected)) return false;
        find_news(static_cast<int>(time.count()));
        return true;
    }

    int descriptor() const noexcept override { return all_.get(); }
    short poll_events() const noexcept override { return POLLIN; }
    bool reusable() const noexcept override {
        const auto fit = [](const auto& each) { return each->out() <= most_out; };
        return std::all_of(channels_.begin(), channels_.end(), fit);
    }

private:
    /// A channel whose descriptor is in an epoll set.
    class polled_channel final : public channel {
    public:
        polled_channel(const server& to, resolver& names, int set, std::uint32_t number)
            : channel(to, names), set_(set), number_(number) {}

        void tell(core::notifier* when_name_found) noexcept { on_name_found_ = when_name_found; }
        void enlist() noexcept {
            const int now = descriptor();
            const short events = poll_events();
            if (now < 0 || (now == known_ && events == events_)) return;
            epoll_event wanted{};
            wanted.events = ((events & POLLIN) != 0 ? EPOLLIN : 0U) | ((events & POLLOUT) != 0 ? EPOLLOUT : 0U);
            wanted.data.u32 = number_;
            if (::epoll_ctl(set_, now == known_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, now, &wanted) != 0) {
                // The set cannot tell of it; then it is asked each time.
                has_news = true;
                return;
            }
            known_ = now;
            events_ = events;
        }

        /// There is something to be read.
        bool has_news = false;

    private:
        void connection_ends() noexcept override {
            // In a forked child the set is still the parent's.
            if (known_ >= 0 && generation_ == core::fork_generation()) {
                ::epoll_ctl(set_, EPOLL_CTL_DEL, known_, nullptr);
            }
            known_ = -1;
        }

        const int set_;
        const std::uint32_t number_;
        const unsigned generation_ = core::fork_generation();
        int known_ = -1;
        short events_ = 0;
    };

    void begin(core::notifier& on_progress) override {
        for (const auto& each : channels_) each->tell(&on_progress);
        // Nothing can have been answered that has yet to be sent.
        looked_ = true;
    }
    /// Asks the set which of the servers have answered: asking each would cost a call for every one that has not.
    void find_news(int longest) noexcept {
        std::array<epoll_event, 16> seen{};
        const int count = ::epoll_wait(all_.get(), seen.data(), static_cast<int>(seen.size()), longest);
        for (int i = 0; i < count; ++i) channels_[seen.at(static_cast<std::size_t>(i)).data.u32]->has_news = true;
        looked_ = true;
    }
    void end() noexcept override {
        for (const auto& each : channels_) each->hush();
    }
    void submit(std::size_t to, request& one, core::notifier&) override { channels_[to]->submit(one, boottime::now()); }
    bool forget(std::size_t at, request& one) noexcept override {
        channels_[at]->forget(one);
        return one.sent;
    }
    bool is_done(std::size_t, const request& one) const override { return one.done; }
    bool is_sent(std::size_t, const request& one) const override { return one.sent; }
    bool is_out(std::size_t, const request& one) const override { return one.sent && one.losses == 0; }
    std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                             core::notifier&) override {
        return channels_[to]->submit_detached(std::move(text), which, nullptr, boottime::now());
    }
    void drive(boottime::time_point now) override {
        if (!std::exchange(looked_, false)) find_news(0);
        for (const auto& each : channels_) {
            each->drive(now, std::exchange(each->has_news, false));
            each->enlist();
        }
    }
    boottime::time_point again_at() const noexcept override {
        auto next = core::never;
        for (const auto& each : channels_) next = std::min(next, each->again_at());
        return next;
    }

    const std::vector<server> voters_;
    core::forked_descriptor all_;
    std::vector<std::unique_ptr<polled_channel>> channels_;
    /// Since the last time that they were driven.
    bool looked_ = false;
};

class shared_quorum final : public quorum_link {
public:
    shared_quorum(const strategy& commands, const std::vector<std::shared_ptr<shared_channel>>& channels,
                  leftovers& rest)
        : quorum_link(commands, channels.size(), rest), channels_(channels) {}
    ~shared_quorum() override {
        forget_rest();
        for (std::size_t at = 0; at < servers(); ++at) {
            if (leg_at(at).undo != nullptr) channels_[at]->set_asker(*leg_at(at).undo, nullptr);
        }
    }

    bool reusable() const noexcept override { return false; }

private:
    void submit(std::size_t to, request& one, core::notifier& on_progress) override {
        one.asker = &on_progress;
        channels_[to]->submit(one, boottime::now());
    }
    bool forget(std::size_t at, request& one) noexcept override { return channels_[at]->forget(one); }
    bool is_done(std::size_t at, const request& one) const override { return channels_[at]->is_done(one); }
    bool is_sent(std::size_t at, const request& one) const override { return channels_[at]->is_sent(one); }
    bool is_out(std::size_t at, const request& one) const override { return channels_[at]->is_out(one); }
    bool hears_later() const noexcept override { return true; }
    void keep(std::size_t at, std::shared_ptr<request> one, boottime::time_point until) override {
        channels_[at]->keep(std::move(one), until);
    }
    std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                             core::notifier& on_progress) override {
        return channels_[to]->submit_detached(std::move(text), which, &on_progress);
    }
    void set_asker(std::size_t at, request& one, core::notifier* asker) noexcept override {
        channels_[at]->set_asker(one, asker);
    }

    const std::vector<std::shared_ptr<shared_channel>> channels_;
};

}  // namespace

std::unique_ptr<core::link> make_direct_quorum(const strategy& commands, const std::vector<server>& servers,
                                               resolver& names, leftovers& rest) {
    return std::make_unique<direct_quorum>(commands, servers, names, rest);
}

std::unique_ptr<core::link> make_shared_quorum(const strategy& commands,
                                               const std::vector<std::shared_ptr<shared_channel>>& channels,
                                               leftovers& rest) {
    return std::make_unique<shared_quorum>(commands, channels, rest);
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
