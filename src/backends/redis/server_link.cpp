#include <backends/redis/server_link.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

constexpr std::size_t most_idle = 16;

class direct_link final : public server_link {
public:
    direct_link(redis_backend& owner, const server& to, resolver& names) : server_link(owner), channel_(to, names) {}
    ~direct_link() override {
        if (!request_.sent || request_.done || core::fork_generation() != generation_) return;
        channel_.hush();
        channel_.forget(request_);
        say_once_more(channel_);
    }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (!begin(cmd)) return {true, core::never};
        channel_.asker = &on_progress;
        channel_.submit(request_, began_);
        channel_.drive(began_, false);
        return look(began_);
    }
    core::progress advance() override {
        const auto now = boottime::now();
        channel_.drive(now, !std::exchange(has_read_, false));
        return look(now);
    }
    bool await_answer(boottime::time_point until) override {
        if (until - boottime::now() < connection::longest_sleep || !channel_.await_answer()) return false;
        has_read_ = true;
        return true;
    }
    void request_cancel() override {
        // What was never sent need not be awaited.
        if (!request_.sent) channel_.give_up(request_, errc::cancelled);
    }
    int descriptor() const noexcept override { return channel_.descriptor(); }
    short poll_events() const noexcept override { return channel_.poll_events(); }
    bool reusable() const noexcept override { return channel_.idle() && channel_.connected(); }

private:
    class own_channel final : public channel {
    public:
        using channel::channel;
        core::notifier*& asker = on_name_found_;
    };

    core::progress look(boottime::time_point now) {
        if (go_on(now)) return {true, core::never};
        // By then an answer is late, and driving the channel has it see to that.
        const auto late_at = now + channel_.longest_silence();
        return {false, std::min<boottime::time_point>(channel_.again_at(), late_at)};
    }
    void submit(request& one) override {
        const auto now = boottime::now();
        channel_.submit(one, now);
        channel_.drive(now, false);
    }
    bool is_done(const request& one) override { return one.done; }
    void submit_confirmation(request& write, request& wait) override {
        const auto now = boottime::now();
        channel_.submit(write, now);
        channel_.submit(wait, now);
        channel_.drive(now, false);
    }

    own_channel channel_;
    const unsigned generation_ = core::fork_generation();
    /// `await_answer` has.
    bool has_read_ = false;
};

class shared_link final : public server_link {
public:
    shared_link(redis_backend& owner, std::shared_ptr<shared_channel> over, std::shared_ptr<channel_pool> confirmers)
        : server_link(owner), channel_(std::move(over)), confirmers_(std::move(confirmers)) {}
    ~shared_link() override {
        // The channel knows nothing any more of what was seen to be done.
        if (!heard_ && channel_->forget(request_)) say_once_more(*channel_);
        if (extra_ == nullptr) return;
        channel_->forget(extra_->give_back);
        if (confirmer_ == nullptr) return;
        confirmer_->forget(extra_->write);
        confirmer_->forget(extra_->wait);
    }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (!begin(cmd)) return {true, core::never};
        on_progress_ = &on_progress;
        request_.asker = on_progress_;
        heard_ = false;
        channel_->submit(request_, began_);
        late_at_ = began_ + channel_->longest_silence();
        return {false, late_at_};
    }
    core::progress advance() override {
        const auto now = boottime::now();
        if (go_on(now)) return {true, core::never};
        if (now >= late_at_) {
            channel_->doubt();
            late_at_ = now + channel_->longest_silence();
        }
        return {false, late_at_};
    }
    void request_cancel() override { channel_->give_up_unsent(request_); }
    bool reusable() const noexcept override { return heard_ && extra_ == nullptr; }
    bool is_shared() const noexcept override { return true; }

private:
    void submit(request& one) override {
        one.asker = on_progress_;
        channel_->submit(one, boottime::now());
    }
    bool is_done(const request& one) override {
        const bool done = (stage_ == stage::confirming ? confirmer_ : channel_)->is_done(one);
        if (&one == &request_ && done) heard_ = true;
        return done;
    }
    void submit_confirmation(request& write, request& wait) override {
        confirmer_ = confirmers_->take();
        write.asker = wait.asker = on_progress_;
        confirmer_->submit_pair(write, wait);
    }
    void end_confirmation() override { confirmers_->put(std::exchange(confirmer_, nullptr)); }

    const std::shared_ptr<shared_channel> channel_;
    const std::shared_ptr<channel_pool> confirmers_;
    std::shared_ptr<shared_channel> confirmer_;
    core::notifier* on_progress_ = nullptr;
    boottime::time_point late_at_{};
    /// Nothing of the first request is out.
    bool heard_ = true;
};

}  // namespace

using core::verb;
using core::verdict;

bool server_link::begin(const core::command& cmd) {
    if (!strategy::asks(cmd)) {
        set_reply(verdict::released);
        return false;
    }
    stage_ = stage::asking;
    began_ = boottime::now();
    command_ = cmd;
    mode_ = cmd.who->mode;
    owner_.commands().fill(request_, cmd);
    return true;
}

bool server_link::go_on(boottime::time_point now) {
    if (stage_ == stage::asking) {
        if (!is_done(request_)) return false;
        if (!command_.together.empty()) {
            reply_ = owner_.commands().judge_together(command_, request_, began_);
            return true;
        }
        reply_ = owner_.commands().judge(command_.what, mode_, request_, began_, now, news_come());
        const bool granted = command_.what == verb::try_acquire && reply_.result == verdict::granted;
        if (!granted || owner_.commands().settings().min_replicas == 0) return true;
        confirm();
    }
    if (stage_ == stage::confirming) {
        if (!is_done(extra_->write) || !is_done(extra_->wait)) return false;
        end_confirmation();
        refusal_ = owner_.commands().judge_confirmation(extra_->write, extra_->wait);
        if (refusal_.empty()) {
            // Time has passed, and what is left of the lease may be too little by now.
            reply_ = owner_.commands().judge(command_.what, mode_, request_, began_, now, news_come());
            return true;
        }
        give_back();
    }
    if (!is_done(extra_->give_back)) return false;
    const auto back = owner_.commands().judge(verb::release, mode_, extra_->give_back, began_, now, false);
    set_failure(errc::unavailable, 0, refusal_);
    // Then the core sees to it.
    if (back.result != verdict::released && back.result != verdict::not_held) reply_.result = verdict::link_lost;
    return true;
}

void server_link::say_once_more(channel& over) noexcept {
    if (!strategy::takes_away(command_.what)) return;
    try {
        const auto now = boottime::now();
        over.submit_detached(std::move(request_.first), *request_.first_script, nullptr, now);
        over.drive(now, false);
    } catch (...) {
        // Then it is as if the connection had been lost as well.
    }
}

void server_link::say_once_more(shared_channel& over) noexcept {
    if (!strategy::takes_away(command_.what)) return;
    try {
        over.submit_detached(std::move(request_.first), *request_.first_script, nullptr);
    } catch (...) {
        // As above.
    }
}

bool server_link::news_come() const {
    return owner_.news_come(*command_.who);
}

void server_link::confirm() {
    stage_ = stage::confirming;
    extra_ = std::make_unique<confirmation>();
    owner_.commands().fill_confirmation(extra_->write, extra_->wait, *command_.who);
    submit_confirmation(extra_->write, extra_->wait);
}

void server_link::give_back() {
    stage_ = stage::giving_back;
    core::command back = command_;
    back.what = verb::release;
    owner_.commands().fill(extra_->give_back, back);
    submit(extra_->give_back);
}

std::shared_ptr<shared_channel> channel_pool::take() {
    {
        const std::lock_guard guard(mutex_);
        if (!idle_.empty()) {
            auto taken = std::move(idle_.back());
            idle_.pop_back();
            return taken;
        }
    }
    return make_();
}

void channel_pool::put(std::shared_ptr<shared_channel> returned) {
    const std::lock_guard guard(mutex_);
    if (idle_.size() < most_idle) idle_.push_back(std::move(returned));
}

std::unique_ptr<core::link> make_own_server_link(redis_backend& owner, const server& to, resolver& names) {
    return std::make_unique<direct_link>(owner, to, names);
}

std::unique_ptr<core::link> make_shared_server_link(redis_backend& owner, std::shared_ptr<shared_channel> over,
                                                    std::shared_ptr<channel_pool> confirmers) {
    return std::make_unique<shared_link>(owner, std::move(over), std::move(confirmers));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
