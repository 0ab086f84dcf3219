#include <backends/redis/quorum_link.hpp>

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <random>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

using core::verb;
using core::verdict;

/// A connection with more answers out than this belongs to a server that does not answer.
constexpr std::size_t most_out = 64;
/// After a vote that nobody won: short, and at random, so that the same ones do not meet again.
constexpr std::chrono::milliseconds shortest_revote{5};
constexpr std::chrono::milliseconds longest_revote{50};
/// A lock that a bare majority has does not outlive the loss of one of them. So those that are still being connected to
/// are given as long as the others took, and no less than this.
constexpr boottime::duration shortest_spread = std::chrono::milliseconds(5);
/// How long it is awaited that what was granted in vain is given back: by who has granted it, and by who may have.
constexpr std::chrono::milliseconds longest_undo{500};
constexpr std::chrono::milliseconds shortest_undo{20};

/// One server's part of a link.
struct leg {
    std::shared_ptr<request> asked = std::make_shared<request>();
    bool out = false;
    bool granted = false;
    /// Out, but asked only when what takes back an earlier grant has been answered: it could take the new one.
    bool deferred = false;
    /// What takes back a grant that came to nothing.
    std::shared_ptr<request> undo;
    /// For how long the reply waits until it is known that nothing is held there.
    boottime::time_point undo_until{};
    /// Who that grant was for.
    core::owner_id undone;
    /// The leftovers' own for the same, where it was not answered. Until it is settled, a new vote for the same owner
    /// could be taken back by it.
    std::shared_ptr<const request> rest;
};

class quorum_link : public core::link {
public:
    quorum_link(const strategy& commands, std::size_t servers, leftovers& rest)
        : commands_(commands), rest_(rest), legs_(servers), used_(servers), tally_(servers) {}

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (!strategy::asks(cmd)) {
            set_reply(verdict::released);
            return {true, core::never};
        }
        began_ = boottime::now();
        give_up_at_ = began_ + (commands_.settings().expiry - commands_.settings().min_validity);
        what_ = cmd.what;
        who_ = cmd.who;
        // A semaphore is kept by one server, the first.
        command_ = cmd;
        used_ = cmd.who->mode == core::access::ticket ? 1 : legs_.size();
        tally_ = tally(used_);
        refused_until_ = spread_until_ = core::never;
        fault_ = {};
        undoing_ = cancelled_ = false;
        on_progress_ = &on_progress;
        begin(on_progress);
        for (std::size_t at = 0; at < used_; ++at) ask(at, cmd, on_progress);
        drive(began_);
        return look(began_);
    }

    core::progress advance() override {
        const auto now = boottime::now();
        drive(now);
        return look(now);
    }

    void request_cancel() override {
        // Whatever has not been answered is taken back; so there is no need to wait for it.
        if (what_ == verb::try_acquire && !undoing_) {
            cancelled_ = true;
            give_up_at_ = boottime::now();
        }
    }

protected:
    std::size_t servers() const noexcept { return legs_.size(); }
    leg& leg_at(std::size_t at) noexcept { return legs_[at]; }

    virtual void begin(core::notifier&) {}
    virtual void end() noexcept {}
    virtual void submit(std::size_t to, request& one, core::notifier& on_progress) = 0;
    /// @return whether it was sent
    virtual bool forget(std::size_t at, request& one) noexcept = 0;
    virtual bool is_done(std::size_t at, const request& one) const = 0;
    virtual bool is_sent(std::size_t at, const request& one) const = 0;
    /// Its answer is on its way over the connection that it was first sent over.
    virtual bool is_out(std::size_t at, const request& one) const = 0;
    /// Whether answers are heard when the command is over: nobody drives a link that is idle.
    virtual bool hears_later() const noexcept { return false; }
    /// Leaves it to the channel to see to it that it is answered. @pre hears_later
    virtual void keep(std::size_t, std::shared_ptr<request>, boottime::time_point) {}
    virtual std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                                     core::notifier& on_progress) = 0;
    /// Who is notified when a detached request is done; null: nobody.
    virtual void set_asker(std::size_t, request&, core::notifier*) noexcept {}
    virtual void drive(boottime::time_point) {}
    virtual boottime::time_point again_at() const noexcept { return core::never; }

private:
    void ask(std::size_t at, const core::command& cmd, core::notifier& on_progress) {
        leg& one = legs_[at];
        if (one.out && !one.deferred) forget(at, *one.asked);
        if (one.asked == nullptr) {
            one.asked = std::make_shared<request>();
        } else {
            *one.asked = request{};
        }
        one.out = true;
        one.granted = false;
        one.deferred = cmd.what == verb::try_acquire && one.undo != nullptr && one.undone == cmd.who->owner;
        if (one.deferred) {
            set_asker(at, *one.undo, &on_progress);
            return;
        }
        one.undo = nullptr;
        if (one.undone != cmd.who->owner) one.rest = nullptr;
        if (cmd.what == verb::try_acquire && owes(at)) {
            one.out = false;
            if (fault_.text.empty()) fault_.text = "a server that did not answer has not been reached since";
            tally_.add(tally::answer::fault);
            return;
        }
        submit_command(at, cmd, on_progress);
    }

    /// Whether something of the same owner may still be taken back there.
    bool owes(std::size_t at) {
        leg& one = legs_[at];
        if (one.rest != nullptr && rest_.is_settled(at, *one.rest)) one.rest = nullptr;
        return one.rest != nullptr;
    }

    void submit_command(std::size_t at, const core::command& cmd, core::notifier& on_progress) {
        request& one = *legs_[at].asked;
        commands_.fill(one, cmd);
        one.reconnect_until = {};
        one.one_of_many = true;
        // A majority may have answered before one of them says that it does not know the script.
        one.with_source = cmd.what == verb::release;
        submit(at, one, on_progress);
    }

    /// True when it has been asked by now.
    bool ask_deferred(std::size_t at) {
        leg& one = legs_[at];
        if (!one.deferred) return true;
        if (!is_done(at, *one.undo)) return false;
        one.deferred = false;
        const bool answered = one.undo->answer != nullptr;
        if (!answered || owes(at)) {
            // It may still be carried out, over this connection or the leftovers' own, and would take the new vote
            // away: this server has none for this owner, for now.
            one.out = false;
            if (answered) refused_until_ = std::min(refused_until_, boottime::now() + shortest_revote);
            tally_.add(answered ? tally::answer::no : tally::answer::fault);
            return false;
        }
        one.undo = nullptr;
        submit_command(at, command_, *on_progress_);
        return true;
    }

    core::progress look(boottime::time_point now) {
        bool more = false;
        for (std::size_t at = 0; at < used_; ++at) {
            leg& one = legs_[at];
            if (!one.out) continue;
            const bool was_deferred = one.deferred;
            if (!ask_deferred(at)) continue;
            more = more || was_deferred;
            if (!is_done(at, *one.asked)) continue;
            one.out = false;
            count(one);
        }
        if (more) drive(now);
        if (!undoing_ && !decide(now)) {
            // Once it is won, nothing is given up.
            const bool spreads = spread_until_ != core::never;
            return {false, std::min(spreads ? spread_until_ : give_up_at_, again_at())};
        }
        if (undoing_) {
            const auto until = undo_until(now);
            if (now < until) return {false, std::min(until, again_at())};
        }
        for (std::size_t at = 0; at < used_; ++at) leave(at);
        end();
        return {true, core::never};
    }

    /// The command is done; what the server has not confirmed by now is not this link's to wait for.
    void leave(std::size_t at) {
        leg& one = legs_[at];
        if (one.undo != nullptr) set_asker(at, *one.undo, nullptr);
        bool open = false;
        if (undoing_ && one.undo != nullptr && one.rest == nullptr) {
            open = !is_done(at, *one.undo) || one.undo->answer == nullptr;
        } else if (what_ == verb::release) {
            open = one.out ? !hears_later() || !is_out(at, *one.asked) : one.asked->answer == nullptr;
            if (open && one.out) forget(at, *one.asked);
            if (one.out && !open) {
                // A majority is enough for the caller; the others are to hear of it all the same.
                keep(at, std::move(one.asked), boottime::now() + commands_.settings().expiry);
            }
            one.out = false;
        }
        if (!open) return;
        const bool again = one.undo != nullptr && is_sent(at, *one.undo);
        const script* which = nullptr;
        std::string text = commands_.undo(*who_, which);
        const auto until = boottime::now() + commands_.settings().expiry;
        one.rest = rest_.take_back(at, who_->owner, std::move(text), *which, until);
        one.undone = who_->owner;
        if (one.rest != nullptr && !again) one.undo = nullptr;
    }

    /// Until when to await answers of undos; a past time when there are none.
    boottime::time_point undo_until(boottime::time_point now) {
        auto until = boottime::time_point::min();
        for (std::size_t at = 0; at < used_; ++at) {
            leg& one = legs_[at];
            if (one.undo == nullptr || now >= one.undo_until) continue;
            if (is_done(at, *one.undo)) {
                one.undo_until = {};
            } else {
                until = std::max(until, one.undo_until);
            }
        }
        return until;
    }

    void count(leg& one) {
        core::reply said = commands_.judge(what_, who_->mode, *one.asked, began_, false);
        switch (said.result) {
            case verdict::granted:
            case verdict::released:
                one.granted = true;
                count_ = said.count;
                tally_.add(tally::answer::yes);
                break;
            case verdict::refused:
            case verdict::not_held:
                refused_until_ = std::min(refused_until_, said.retry_at);
                tally_.add(tally::answer::no);
                break;
            case verdict::timed_out:
            case verdict::deadlock:
            case verdict::doubt:
            case verdict::failed:
            case verdict::link_lost:
                if (fault_.text.empty()) fault_ = std::move(said);
                tally_.add(tally::answer::fault);
                break;
        }
    }

    /// True when the reply is there.
    bool decide(boottime::time_point now) {
        const bool over = now >= give_up_at_;
        switch (what_) {
            case verb::try_acquire:
                if (tally_.won()) {
                    if (spread_until_ == core::never) spread_until_ = end_of_spread(now);
                    if (!cancelled_ && now < spread_until_ && some_unsent()) return false;
                    grant(now);
                    return true;
                }
                if (!tally_.cannot_win() && !over) return false;
                take_back();
                if (tally_.faulty() || !tally_.cannot_win()) {
                    set_fault(over);
                } else {
                    refuse(now);
                }
                return true;
            case verb::renew:
                if (tally_.won()) {
                    grant(now);
                } else if (tally_.denied()) {
                    set_reply(verdict::not_held);
                } else if (tally_.cannot_win() || over) {
                    set_fault(over);
                } else {
                    return false;
                }
                return true;
            case verb::release:
                // Where some did not answer it may be held still, whoever answers first.
                if (tally_.won() && !hears_later() && some_out()) {
                    // It is cheaper to hear them now than to ask them again over another connection.
                    const boottime::duration longest = shortest_undo;
                    if (spread_until_ == core::never) spread_until_ = now + std::min(now - began_, longest);
                    if (now < spread_until_) return false;
                }
                if (tally_.won() || (tally_.complete() && tally_.yes() > 0 && !tally_.faulty())) {
                    set_reply(verdict::released);
                } else if (tally_.denied()) {
                    set_reply(verdict::not_held);
                } else if (tally_.faulty() || over) {
                    set_fault(over);
                } else {
                    return false;
                }
                return true;
            default:
                // Withdrawals: what cannot be taken away ends with its time. Counts: of one server.
                if (!tally_.won() && !tally_.cannot_win() && !over) return false;
                if (what_ == verb::count && !tally_.won()) {
                    set_fault(over);
                } else {
                    set_reply(what_ == verb::count ? verdict::granted : verdict::released).count = count_;
                }
                return true;
        }
    }

    /// Some are to answer soon.
    bool some_out() const {
        for (std::size_t at = 0; at < used_; ++at) {
            if (legs_[at].out && is_out(at, *legs_[at].asked)) return true;
        }
        return false;
    }

    /// What is won must be told while enough is left of it.
    boottime::time_point end_of_spread(boottime::time_point now) const noexcept {
        return now + std::min(std::max(now - began_, shortest_spread), (give_up_at_ - now) / 2);
    }

    /// Some have not even been asked, since they are still being connected to.
    bool some_unsent() const {
        for (std::size_t at = 0; at < used_; ++at) {
            if (legs_[at].out && !legs_[at].deferred && !is_sent(at, *legs_[at].asked)) return true;
        }
        return false;
    }

    void grant(boottime::time_point now) {
        auto sent = core::never;
        for (std::size_t at = 0; at < used_; ++at) {
            if (legs_[at].granted) sent = std::min(sent, legs_[at].asked->sent_at);
        }
        const auto& settings = commands_.settings();
        core::reply& made = set_reply(verdict::granted);
        made.lifetime = settings.expiry + (sent - began_);
        // Too little would be left: as good as nothing, and given back at once.
        if (what_ == verb::try_acquire && now - sent > settings.expiry - settings.min_validity) {
            made.lifetime = std::chrono::nanoseconds(0);
        }
    }

    void refuse(boottime::time_point now) {
        core::reply& made = set_reply(verdict::refused);
        made.retry_at = refused_until_;
        if (tally_.yes() == 0) return;
        thread_local std::minstd_rand random(std::random_device{}());
        made.retry_at = std::min<boottime::time_point>(
            made.retry_at, now + std::chrono::microseconds(std::uniform_int_distribution<long long>(
                                     std::chrono::microseconds(shortest_revote).count(),
                                     std::chrono::microseconds(longest_revote).count())(random)));
    }

    void set_fault(bool over) {
        if (fault_.text.empty()) {
            fault_.code = errc::unavailable;
            fault_.text = over ? "no answer in time" : "no answer";
        }
        set_failure(fault_.code, fault_.native_code,
                    "no majority of the " + std::to_string(used_) + " servers: " + fault_.text);
    }

    /// Nothing may stay of an acquire that failed: neither what was granted nor what may still be.
    void take_back() {
        const auto now = boottime::now();
        for (std::size_t at = 0; at < used_; ++at) {
            leg& one = legs_[at];
            const bool doubtful = one.out ? !one.deferred && forget(at, *one.asked)
                                          : one.asked->done && one.asked->answer == nullptr && one.asked->sent;
            one.out = false;
            if (!one.granted && !doubtful) continue;
            one.rest = nullptr;
            const script* which = nullptr;
            std::string text = commands_.undo(*who_, which);
            one.undo = submit_detached(at, std::move(text), *which, *on_progress_);
            one.undone = who_->owner;
            // Whoever did not answer before the others is hardly waited for, but when it had no time to answer.
            one.undo_until = now + (one.granted || cancelled_ ? longest_undo : shortest_undo);
        }
        undoing_ = true;
        drive(now);
    }

    const strategy& commands_;
    leftovers& rest_;
    std::vector<leg> legs_;
    std::size_t used_;
    tally tally_;
    verb what_ = verb::try_acquire;
    const core::claim* who_ = nullptr;
    core::command command_;
    boottime::time_point began_{};
    boottime::time_point give_up_at_{};
    boottime::time_point refused_until_{};
    boottime::time_point spread_until_ = core::never;
    core::reply fault_;
    int count_ = 0;
    core::notifier* on_progress_ = nullptr;
    bool cancelled_ = false;
    bool undoing_ = false;
};

class direct_quorum final : public quorum_link {
public:
    direct_quorum(const strategy& commands, const std::vector<server>& to, resolver& names, leftovers& rest)
        : quorum_link(commands, to.size(), rest) {
        if (all_.open_with([] { return ::epoll_create1(EPOLL_CLOEXEC); }) < 0) {
            throw error(errc::unavailable, "redis: no descriptor left");
        }
        for (const server& each : to) channels_.push_back(std::make_unique<polled_channel>(each, names, all_.get()));
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
        polled_channel(const server& to, resolver& names, int set) : channel(to, names), set_(set) {}

        void tell(core::notifier* when_name_found) noexcept { on_name_found_ = when_name_found; }
        void enlist() noexcept {
            const int now = descriptor();
            const short events = poll_events();
            if (now < 0 || (now == known_ && events == events_)) return;
            epoll_event wanted{};
            wanted.events = ((events & POLLIN) != 0 ? EPOLLIN : 0U) | ((events & POLLOUT) != 0 ? EPOLLOUT : 0U);
            ::epoll_ctl(set_, now == known_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, now, &wanted);
            known_ = now;
            events_ = events;
        }

    private:
        void connection_ends() noexcept override {
            // In a forked child the set is still the parent's.
            if (known_ >= 0 && generation_ == core::fork_generation()) {
                ::epoll_ctl(set_, EPOLL_CTL_DEL, known_, nullptr);
            }
            known_ = -1;
        }

        const int set_;
        const unsigned generation_ = core::fork_generation();
        int known_ = -1;
        short events_ = 0;
    };

    void begin(core::notifier& on_progress) override {
        for (const auto& each : channels_) each->tell(&on_progress);
    }
    void end() noexcept override {
        for (std::size_t at = 0; at < servers(); ++at) {
            leg& one = leg_at(at);
            // An answer that still comes is swallowed; but what was not sent will not be, and nobody is to be told.
            if (one.out && !one.deferred && !one.asked->sent) channels_[at]->forget(*one.asked);
            if (one.deferred || one.asked == nullptr || !one.asked->sent) one.out = false;
            channels_[at]->hush();
        }
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
        for (const auto& each : channels_) {
            each->drive(now, true);
            each->enlist();
        }
    }
    boottime::time_point again_at() const noexcept override {
        auto next = core::never;
        for (const auto& each : channels_) next = std::min(next, each->again_at());
        return next;
    }

    core::forked_descriptor all_;
    std::vector<std::unique_ptr<polled_channel>> channels_;
};

class shared_quorum final : public quorum_link {
public:
    shared_quorum(const strategy& commands, const std::vector<std::shared_ptr<shared_channel>>& channels,
                  leftovers& rest)
        : quorum_link(commands, channels.size(), rest), channels_(channels) {}
    ~shared_quorum() override {
        end();
        for (std::size_t at = 0; at < servers(); ++at) {
            if (leg_at(at).undo != nullptr) channels_[at]->set_asker(*leg_at(at).undo, nullptr);
        }
    }

    bool reusable() const noexcept override { return false; }

private:
    void end() noexcept override {
        for (std::size_t at = 0; at < servers(); ++at) {
            leg& one = leg_at(at);
            if (one.out && !one.deferred) channels_[at]->forget(*one.asked);
            one.out = false;
        }
    }
    void submit(std::size_t to, request& one, core::notifier& on_progress) override {
        one.asker = &on_progress;
        channels_[to]->submit(one);
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
