#include "quorum_explorer.hpp"

#include "model_network.hpp"

#include <support/chooser.hpp>

#include <backends/redis/backend.hpp>
#include <backends/redis/options.hpp>
#include <backends/redis/quorum_vote.hpp>
#include <core/acquire_operation.hpp>
#include <core/release_operation.hpp>
#include <core/runner.hpp>
#include <lease/renewal.hpp>

#include <algorithm>

namespace holdfast::explorer {
namespace {

using core::never;
using redis::leftovers;
using redis::request;
using redis::script;
using redis::strategy;
using redis::model::model_channel;
using redis::model::network;
using namespace std::chrono_literals;

constexpr std::size_t clients = 2;
constexpr std::chrono::milliseconds busy_wait = 4s;
constexpr std::chrono::milliseconds second_holds = 1s;
constexpr std::chrono::milliseconds release_timeout = 5s;
/// Longer than a lock lives that is not renewed, and longer than a vote may take.
constexpr std::chrono::milliseconds first_stops_for = 40s;
constexpr std::chrono::milliseconds second_stops_for = 10s;
constexpr std::chrono::milliseconds parted_for = 40s;
constexpr std::chrono::milliseconds splits_for = 2s;
/// What is on its way for longer than this is so for a reason of its own.
constexpr std::chrono::milliseconds longest_tick = 1s;
/// Enough to vote in vain for as long as a lock lives that nobody takes back, which a lost connection delivered late:
/// every 40 ms, eight steps each.
constexpr int most_steps = 10000;
/// From when a majority is free, and nothing goes wrong any more: a poll, one vote that somebody else spoils, and the
/// last one.
constexpr std::chrono::milliseconds longest_wait = busy_wait + 3s + 1s;

redis::options settings(std::size_t servers) {
    redis::options made;
    made.servers.clear();
    for (std::size_t at = 0; at < servers; ++at) {
        redis::server_address& one = made.servers.emplace_back();
        one.port = static_cast<std::uint16_t>(one.port + at);
    }
    // Drawn between the two: a run can be repeated.
    made.min_busy_wait = made.max_busy_wait = busy_wait;
    return redis::checked(made);
}

using channels = std::vector<std::shared_ptr<model_channel>>;

/// Who votes, as the link of a calling thread does it.
class direct_vote final : public redis::quorum_vote {
public:
    direct_vote(network& net, redis::model::client_side& owner, const strategy& commands, channels own, leftovers& rest,
                int pace)
        : quorum_vote(commands, own.size(), rest), net_(net), owner_(owner), channels_(std::move(own)), pace_(pace) {}

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (cmd.what == core::verb::try_acquire) owner_.asks(++net_.steps);
        return begin_vote(cmd, on_progress, net_.now);
    }
    core::progress advance() override { return go_on(net_.now); }
    void request_cancel() override { cancel(net_.now); }
    /// There is one.
    int descriptor() const noexcept override { return 1; }

private:
    void submit(std::size_t to, request& one, core::notifier&) override { channels_[to]->submit(one); }
    bool forget(std::size_t at, request& one) noexcept override {
        channels_[at]->forget(one);
        return one.sent;
    }
    bool is_done(std::size_t, const request& one) const override { return one.done; }
    bool is_sent(std::size_t, const request& one) const override { return one.sent; }
    bool is_out(std::size_t at, const request& one) const override { return channels_[at]->is_out(one); }
    std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                             core::notifier&) override {
        return channels_[to]->submit_detached(std::move(text), which, nullptr);
    }
    void drive(boottime::time_point) override {
        for (const auto& each : channels_) each->drive();
    }
    boottime::time_point again_at() const noexcept override {
        auto next = never;
        for (const auto& each : channels_) next = std::min(next, each->again_at());
        return next;
    }
    boottime::duration pick(boottime::duration shortest, boottime::duration) const override { return shortest * pace_; }

    network& net_;
    redis::model::client_side& owner_;
    const channels channels_;
    const int pace_;
};

/// The same, as a link of the executor does it.
class shared_vote final : public redis::quorum_vote {
public:
    shared_vote(network& net, redis::model::client_side& owner, const strategy& commands, const channels& all,
                leftovers& rest, int pace)
        : quorum_vote(commands, all.size(), rest), net_(net), owner_(owner), channels_(all), pace_(pace) {}
    ~shared_vote() override {
        forget_rest();
        for (std::size_t at = 0; at < servers(); ++at) {
            if (leg_at(at).undo != nullptr) leg_at(at).undo->asker = nullptr;
        }
    }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        if (cmd.what == core::verb::try_acquire) owner_.asks(++net_.steps);
        return begin_vote(cmd, on_progress, net_.now);
    }
    core::progress advance() override { return go_on(net_.now); }
    void request_cancel() override { cancel(net_.now); }
    bool reusable() const noexcept override { return false; }

private:
    void submit(std::size_t to, request& one, core::notifier& on_progress) override {
        one.asker = &on_progress;
        channels_[to]->submit(one);
    }
    bool forget(std::size_t at, request& one) noexcept override {
        channels_[at]->forget(one);
        return one.sent;
    }
    bool is_done(std::size_t, const request& one) const override { return one.done; }
    bool is_sent(std::size_t, const request& one) const override { return one.sent; }
    bool is_out(std::size_t at, const request& one) const override { return channels_[at]->is_out(one); }
    bool hears_later() const noexcept override { return true; }
    void keep(std::size_t at, std::shared_ptr<request> one, boottime::time_point until) override {
        channels_[at]->keep(std::move(one), until);
    }
    std::shared_ptr<request> submit_detached(std::size_t to, std::string text, const script& which,
                                             core::notifier& on_progress) override {
        return channels_[to]->submit_detached(std::move(text), which, &on_progress);
    }
    void set_asker(std::size_t, request& one, core::notifier* asker) noexcept override { one.asker = asker; }
    boottime::duration pick(boottime::duration shortest, boottime::duration) const override { return shortest * pace_; }

    network& net_;
    redis::model::client_side& owner_;
    const channels channels_;
    const int pace_;
};

/// News of releases for one client. Once it has subscribed it stays so.
struct newspaper {
    bool wanted = false;
    bool subscribed = false;
    /// On its way.
    int news = 0;
    core::notifier* reader = nullptr;
    int armed = 0;
};

class model_watch final : public core::watch {
public:
    model_watch(newspaper& from, core::notifier& on_wake) : from_(from) {
        from_.reader = &on_wake;
        from_.wanted = true;
        ++from_.armed;
    }
    ~model_watch() override { from_.reader = nullptr; }

private:
    newspaper& from_;
};

/// What all runs have in common.
struct fixed {
    explicit fixed(std::size_t servers) : real(settings(servers)) {}
    redis::redis_backend real;
};

class model_backend final : public core::backend {
public:
    /// @param splits its last server's connections stall
    model_backend(const fixed& all, network& net, redis::model::client_side& owner, std::string name, int pace,
                  bool splits)
        : real_(all.real),
          net_(net),
          owner_(owner),
          name_(std::move(name)),
          pace_(pace),
          stalls_until_(splits ? net.now + splits_for : net.now),
          shared_(make_channels("'", false)) {}

    std::string_view name() const noexcept override { return "model"; }
    const holdfast::capabilities& capabilities() const noexcept override { return real_.capabilities(); }
    const core::backend_traits& traits() const noexcept override { return real_.traits(); }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override {
        return real_.map_name(kind, name);
    }
    std::unique_ptr<core::link> make_link(const core::claim&, const core::backend_context&) override {
        return std::make_unique<direct_vote>(net_, owner_, real_.commands(), make_channels("", true), rest_, pace_);
    }
    std::unique_ptr<core::link> make_shared_link(const core::claim&, const core::backend_context&) override {
        return std::make_unique<shared_vote>(net_, owner_, real_.commands(), shared_, rest_, pace_);
    }
    std::unique_ptr<core::watch> arm(const core::claim&, core::link&, core::notifier& on_wake,
                                     const core::backend_context&, core::waiter) override {
        return std::make_unique<model_watch>(news, on_wake);
    }

    const redis::options& settings() const noexcept { return real_.commands().settings(); }

    newspaper news;

private:
    channels make_channels(const char* suffix, bool on_caller) {
        channels made;
        for (std::size_t at = 0; at < net_.servers(); ++at) {
            made.push_back(
                std::make_shared<model_channel>(net_, owner_, name_ + std::to_string(at) + suffix, at, on_caller));
        }
        made.back()->stall(stalls_until_);
        return made;
    }

    const redis::redis_backend& real_;
    network& net_;
    redis::model::client_side& owner_;
    const std::string name_;
    const int pace_;
    const boottime::time_point stalls_until_;
    const channels shared_;
    leftovers rest_{[this] { return leftovers::channels(shared_.begin(), shared_.end()); }};
};

/// Runs one operation in the network's time.
class task final : public core::runner {
public:
    task(network& net, core::provider_state& provider, std::unique_ptr<core::operation> op, const core::claim& who,
         bool on_caller)
        : runner(provider, *op, who, nullptr), net_(net), op_(std::move(op)), on_caller_(on_caller) {}

    void descriptor_has_news() noexcept { ready_ = true; }
    /// True when there was something to do.
    bool go_on() {
        if (complete_ || (started_ && !has_news() && !hears() && net_.now < next_.until)) return false;
        if (started_ && hears()) descriptor_ready();
        started_ = true;
        ready_ = false;
        complete_ = step(next_) == status::complete;
        if (complete_) settle(false);
        return true;
    }
    bool is_complete() const noexcept { return complete_; }
    boottime::time_point until() const noexcept { return next_.until; }
    const core::outcome& result() const noexcept { return op_->result(); }

private:
    bool hears() const noexcept { return ready_ && next_.descriptor >= 0; }
    void rouse() noexcept override {}
    core::moment time() const noexcept override { return core::moment(net_.now); }
    core::waiter who_waits(bool) const noexcept override {
        return on_caller_ ? core::waiter::caller : core::waiter::executor;
    }

    network& net_;
    const std::unique_ptr<core::operation> op_;
    const bool on_caller_;
    bool started_ = false;
    bool ready_ = false;
    bool complete_ = false;
    wait next_;
};

/// Acquires, has the lease renewed, and releases.
class client final : private redis::model::client_side {
public:
    enum class stage { idle, asking, holding, releasing, done, dead };

    client(const fixed& all, network& net, std::size_t number, const contest& what)
        : net_(net),
          name_(number == 0 ? "A" : "B"),
          number_(number),
          on_caller_(what.on_caller),
          holds_for_(number == 0 ? what.first_holds : second_holds),
          backend_(std::make_shared<model_backend>(all, net, side(), name_, number == 0 ? 2 : 6,
                                                   what.splits && number == 0)),
          provider_(core::provider_state::make(backend_, {})),
          who_{provider_->make_resource(core::primitive_kind::lock, "name", 1), core::access::exclusive,
               core::owner_id(name_)} {
        const script* which = nullptr;
        const std::string command = all.real.commands().undo(who_, which);
        id_ = redis::words_of(command)[4];
    }

    void ask_after(std::chrono::milliseconds pause, std::optional<std::chrono::milliseconds> limit) {
        ask_at_ = net_.now + pause;
        if (limit) deadline_ = ask_at_ + *limit;
        limit_ = limit ? timeout(*limit) : timeout::infinite();
    }
    void ask() {
        stage_ = stage::asking;
        main_ = run(std::make_unique<core::acquire_operation>(who_, traits(), limit_), on_caller_);
    }
    void cancel() {
        cancelled_at_ = net_.now;
        note(4);
        main_->notify(core::signal_cancel);
    }
    /// As `hold::begin_release` does: from here on nothing is renewed.
    void release() {
        stage_ = stage::releasing;
        released_at_ = net_.now;
        note(5);
        main_ = run(std::make_unique<core::release_operation>(who_, traits(), release_timeout), on_caller_);
    }
    /// As SIGSTOP does, and SIGCONT after a while.
    void stop() {
        note(12);
        const boottime::duration pause = number_ == 0 ? first_stops_for : second_stops_for;
        stopped_until_ = net_.now + pause;
        slack_ += pause;
    }
    /// From all servers.
    void part() {
        note(13);
        parted_until_ = net_.now + parted_for;
    }
    void die() {
        stage_ = stage::dead;
        note(6);
        main_.reset();
        renewing_.reset();
        provider_.reset();
        backend_.reset();
    }
    void subscribed() {
        note(7);
        news().subscribed = true;
        if (news().reader != nullptr) news().reader->notify(core::signal_wake);
    }
    void told() {
        note(8);
        --news().news;
        if (news().reader != nullptr) news().reader->notify(core::signal_wake);
    }
    void unsubscribed() {
        note(9);
        news().subscribed = false;
        news().news = 0;
    }

    /// What is due. True when there was anything.
    bool go_on() {
        if (stage_ == stage::dead || is_stopped()) return false;
        bool any = false;
        if (stage_ == stage::idle && net_.now >= ask_at_) {
            ask();
            any = true;
        }
        any = step(main_) || any;
        any = step(renewing_) || any;
        if (renewing_ != nullptr && renewing_->is_complete()) end_renewal();
        if (main_ != nullptr && main_->is_complete()) end_main();
        if (stage_ == stage::holding) any = attend() || any;
        return any;
    }
    /// When something is due at the latest.
    boottime::time_point next() const noexcept {
        auto next = never;
        if (stage_ == stage::dead) return next;
        if (is_stopped()) return stopped_until_;
        if (stage_ == stage::idle) next = ask_at_;
        if (main_ != nullptr) next = std::min(next, main_->until());
        if (renewing_ != nullptr) next = std::min(next, renewing_->until());
        if (stage_ == stage::holding) next = std::min({next, release_at_, plan_->next_look()});
        return next;
    }

    /// What the holder is told when it asks whether it still holds.
    bool believes() const noexcept { return stage_ == stage::holding && !lost_ && net_.now < plan_->valid_until(); }
    /// Time is over, and nobody has told those who wait for that.
    bool is_deceived() const noexcept {
        return stage_ == stage::holding && !lost_ && !is_stopped() && net_.now >= plan_->valid_until();
    }
    boottime::time_point valid_until() const noexcept { return plan_->valid_until(); }
    bool is_mine(const network::entry& one) const noexcept { return one.id == id_; }
    std::size_t keys() const {
        std::size_t count = 0;
        for (std::size_t at = 0; at < net_.servers(); ++at) {
            const auto* const found = net_.at(at);
            if (found != nullptr && !found->in_doubt && is_mine(*found)) ++count;
        }
        return count;
    }

    const std::string& name() const noexcept { return name_; }
    boottime::time_point parted_until() const noexcept override { return parted_until_; }
    bool is_over() const noexcept { return stage_ == stage::dead || (stage_ == stage::done && renewing_ == nullptr); }
    bool is_at_work() const noexcept { return !is_over() && stage_ != stage::idle && !is_stopped(); }
    bool can_read() const noexcept { return stage_ != stage::dead; }
    newspaper& news() noexcept { return backend_->news; }
    redis::model::hash_pair situation() const noexcept {
        auto all = history_;
        all.mix_in(heard_);
        return all;
    }
    const std::string& violation() const noexcept { return violation_; }

    stage now_is() const noexcept { return stage_; }
    bool is_renewing() const noexcept { return renewing_ != nullptr; }
    bool was_cancelled() const noexcept { return cancelled_at_ != never; }
    bool acquired() const noexcept { return acquired_; }
    bool timed_out() const noexcept { return timed_out_; }

    const redis::model::client_side& side() const noexcept { return *this; }

private:
    redis::model::client_side& side() noexcept { return *this; }
    const core::backend_traits& traits() const noexcept { return provider_->traits(); }
    std::unique_ptr<task> run(std::unique_ptr<core::operation> op, bool on_caller) {
        return std::make_unique<task>(net_, *provider_, std::move(op), who_, on_caller);
    }
    void note(std::uint64_t what) noexcept {
        output();
        redis::model::mix(what, net_.now);
        history_.mix_in(what);
    }
    /// What it hears before it does anything might as well come in another order.
    void input(bool on_caller, const redis::model::hash_pair& what) noexcept override {
        heard_.add(what);
        if (on_caller && main_ != nullptr) main_->descriptor_has_news();
    }
    void output() noexcept override {
        history_.mix_in(heard_);
        heard_ = {};
    }
    bool holds() const noexcept override { return believes(); }
    bool is_stopped() const noexcept override { return net_.now < stopped_until_; }
    bool step(const std::unique_ptr<task>& one) {
        if (one == nullptr) return false;
        const bool by_time = net_.now >= one->until();
        if (!one->go_on()) return false;
        if (by_time) note(10);
        return true;
    }

    /// As the queue of renewals does.
    bool attend() {
        if (net_.now < plan_->next_look()) {
            if (net_.now < release_at_) return false;
            release();
            return true;
        }
        note(11);
        switch (plan_->look(net_.now)) {
            case core::renewal::step::wait: break;
            case core::renewal::step::lost:
                net_.say(name_ + " has lost it");
                lost_ = true;
                release_at_ = net_.now;
                break;
            case core::renewal::step::renew:
                net_.say(name_ + " renews");
                renewal_sent_at_ = net_.now;
                renewing_ = run(
                    std::make_unique<core::query_operation>(
                        who_, traits(), core::verb::renew,
                        std::min<std::chrono::nanoseconds>(traits().renewal_cadence, plan_->valid_until() - net_.now)),
                    false);
                break;
        }
        return true;
    }
    void end_renewal() {
        const core::outcome& how = renewing_->result();
        output();
        auto result = core::renewal::result::failed;
        if (how.succeeded) {
            result = core::renewal::result::renewed;
        } else if (how.code == errc::not_held) {
            result = core::renewal::result::not_held;
            if (believes()) fail("is told that it does not hold what it holds");
        }
        net_.say(name_ + (how.succeeded ? " has renewed" : " has not renewed"));
        if (stage_ == stage::holding)
            plan_->ended(result, traits().renewal_cadence, renewal_sent_at_, net_.now, how.valid_until);
        renewing_.reset();
    }
    void end_main() {
        const auto ended = std::move(main_);
        const core::outcome& how = ended->result();
        output();
        net_.say(name_ + (how.succeeded ? " succeeds" : " fails: " + make_error_code(how.code).message()));
        if (stage_ == stage::asking) {
            end_acquire(how);
        } else {
            end_release(how);
        }
    }
    void end_acquire(const core::outcome& how) {
        check_time_of_acquire(how);
        if (how.succeeded) {
            acquired_ = true;
            stage_ = stage::holding;
            plan_.emplace(traits().renewal_cadence, how.asked_at, how.valid_until);
            release_at_ = net_.now + holds_for_;
            const auto& settings = backend_->settings();
            if (how.valid_until - net_.now < settings.min_validity - traits().lease_margin) {
                fail("succeeds with too little left");
            }
            return;
        }
        stage_ = stage::done;
        timed_out_ = how.code == errc::timed_out;
        if (was_cancelled() && timed_out_) fail("was cancelled, and says that its time is over");
        if (!was_cancelled() && how.code == errc::cancelled) fail("says that it was cancelled, and was not");
        if (timed_out_ && net_.now < deadline_) fail("times out before its time");
    }
    void check_time_of_acquire(const core::outcome& how) {
        // The answer, the cancellation, the look at what is held, and what is given back.
        const auto grace = 3 * traits().reply_grace + traits().cancel_grace + slack_;
        if (deadline_ != never && net_.now > deadline_ + grace) fail("its acquire ends too late");
        if (was_cancelled() && net_.now > cancelled_at_ + grace) fail("its cancelled acquire ends too late");
        if (was_cancelled() && how.succeeded) fail("succeeds after it was cancelled");
    }
    void end_release(const core::outcome& how) {
        stage_ = stage::done;
        if (net_.now > released_at_ + release_timeout + slack_) fail("its release ends too late");
        if (how.succeeded && keys() > net_.servers() / 2) fail("has released, and a majority still has its key");
        if (!how.succeeded && how.code == errc::lost && !lost_ && net_.now < plan_->valid_until()) {
            fail("is told that it has lost what it held");
        }
    }
    void fail(const char* why) {
        if (violation_.empty()) violation_ = name_ + " " + why;
    }

    network& net_;
    const std::string name_;
    const std::size_t number_;
    const bool on_caller_;
    const boottime::duration holds_for_;
    std::shared_ptr<model_backend> backend_;
    std::shared_ptr<core::provider_state> provider_;
    const core::claim who_;
    /// What servers know it by.
    std::string id_;

    stage stage_ = stage::idle;
    std::unique_ptr<task> main_;
    std::optional<core::renewal> plan_;
    std::unique_ptr<task> renewing_;
    boottime::time_point renewal_sent_at_{};
    bool lost_ = false;
    bool acquired_ = false;
    bool timed_out_ = false;
    boottime::time_point ask_at_{};
    timeout limit_ = timeout::infinite();
    boottime::time_point deadline_ = never;
    boottime::time_point cancelled_at_ = never;
    boottime::time_point release_at_ = never;
    boottime::time_point released_at_ = never;
    boottime::time_point stopped_until_{};
    boottime::time_point parted_until_{};
    /// How long it could not do anything.
    boottime::duration slack_{0};
    redis::model::hash_pair history_;
    redis::model::hash_pair heard_;
    std::string violation_;
};

/// One run.
class run {
public:
    run(const contest& what, const fixed& all, chooser& choose, bool tracing)
        : what_(what),
          chooser_(choose),
          net_(what.servers, what.slow_to_connect),
          disturbances_left_(what.disturbances) {
        net_.tracing = tracing;
        for (std::size_t at = 0; at < clients; ++at) {
            all_.push_back(std::make_unique<client>(all, net_, at, what));
        }
    }

    /// False when another run has been in the same situation.
    bool execute() {
        all_[0]->ask_after(0ms, std::nullopt);
        all_[1]->ask_after(what_.second_asks, what_.limit);
        settle();
        for (int step = 0; violation_.empty(); ++step) {
            if (step > most_steps) {
                fail("does not end");
                break;
            }
            if (!open_ && has_come(what_.opens)) open_ = true;
            if (open_ && chooser_.is_elsewhere() && chooser_.was_here(situation())) return false;
            if (!take_step()) {
                check_end();
                break;
            }
            settle();
            check();
        }
        return true;
    }

    const std::string& violation() const noexcept { return violation_; }
    const std::string& trace() const noexcept { return net_.trace; }
    void report(contest_result& into) const {
        into.acquired_by_both += all_[0]->acquired() && all_[1]->acquired() ? 1U : 0U;
        into.cancelled += all_[1]->was_cancelled() ? 1U : 0U;
        into.timed_out += all_[1]->timed_out() ? 1U : 0U;
        into.left_in_doubt += left_in_doubt_ ? 1U : 0U;
    }

private:
    enum class happening {
        answer,
        confirm,
        tell,
        open,
        arrive,
        stray,
        tick,
        cancel,
        release,
        cut,
        cut_late,
        vanish,
        unsubscribe,
        stop,
        part,
        die
    };
    struct option {
        happening what;
        std::size_t at = 0;
    };

    bool has_come(phase which) {
        switch (which) {
            case phase::start: return true;
            case phase::splitting: return all_[0]->acquired() && all_[1]->keys() > 0;
            case phase::waiting: return all_[1]->can_read() && all_[1]->news().armed > 0;
            case phase::renewing: return all_[0]->is_renewing();
            case phase::releasing: return all_[0]->now_is() == client::stage::releasing;
        }
        return true;
    }

    /// What is due now, and what that makes due.
    void settle() {
        for (int round = 0;; ++round) {
            bool any = false;
            for (const auto& each : all_) any = each->go_on() || any;
            any = net_.turn() || any;
            publish();
            if (!any) return;
            if (round > 200) return fail("never rests");
        }
    }
    void publish() {
        // Whoever releases asks the servers in their order: the last one's word is what counts.
        int& count = net_.told[net_.servers() - 1];
        for (; count > 0; --count) {
            for (const auto& each : all_) {
                if (each->can_read() && each->news().subscribed) ++each->news().news;
            }
        }
    }

    /// The expected first. False when nothing is left to happen.
    bool take_step() {
        options_.clear();
        const auto& lines = net_.channels();
        for (std::size_t at = 0; at < lines.size(); ++at) {
            if (lines[at]->can_answer()) options_.push_back({happening::answer, at});
        }
        for (std::size_t at = 0; at < clients; ++at) {
            if (!all_[at]->can_read()) continue;
            const newspaper& news = all_[at]->news();
            if (news.wanted && !news.subscribed) options_.push_back({happening::confirm, at});
            if (news.news > 0) options_.push_back({happening::tell, at});
        }
        for (std::size_t at = 0; at < lines.size(); ++at) {
            if (lines[at]->can_open()) options_.push_back({happening::open, at});
            if (lines[at]->can_arrive()) options_.push_back({happening::arrive, at});
        }
        offer_strays(true);
        const auto next = next_tick();
        if (options_.empty() && next != never) options_.push_back({happening::tick});
        if (options_.empty()) return false;
        if (open_) {
            const bool busy = options_.front().what != happening::tick;
            offer_strays(false);
            const std::size_t expected = options_.size();
            if (disturbances_left_ > 0) offer_disturbances(busy && next != never);
            const std::size_t picked = chooser_.pick(options_.size(), expected);
            if (picked >= expected) --disturbances_left_;
            carry_out(options_[picked], next);
        } else {
            carry_out(options_.front(), next);
        }
        return true;
    }
    /// What was lost on its way comes when it can do harm, or when everything else is over.
    void offer_strays(bool when_expected) {
        const bool all_over = std::all_of(all_.begin(), all_.end(), [](const auto& each) { return each->is_over(); });
        for (std::size_t at = 0; at < net_.strays().size(); ++at) {
            if ((all_over || net_.strays()[at].owner->holds()) == when_expected) {
                options_.push_back({happening::stray, at});
            }
        }
    }
    /// What somebody does, and what goes wrong.
    void offer_disturbances(bool while_busy) {
        if (while_busy) options_.push_back({happening::tick});
        const client& second = *all_[1];
        if (second.now_is() == client::stage::asking && !second.was_cancelled() && second.is_at_work()) {
            options_.push_back({happening::cancel, 1});
        }
        if (all_[0]->now_is() == client::stage::holding && all_[0]->is_at_work())
            options_.push_back({happening::release, 0});
        const auto& lines = net_.channels();
        for (std::size_t at = 0; at < lines.size(); ++at) {
            if (lines[at]->can_be_cut()) options_.push_back({happening::cut, at});
            if (lines[at]->can_arrive()) options_.push_back({happening::cut_late, at});
        }
        for (std::size_t at = 0; at < net_.strays().size(); ++at) options_.push_back({happening::vanish, at});
        for (std::size_t at = 0; at < clients; ++at) {
            if (all_[at]->can_read() && all_[at]->news().news > 0) options_.push_back({happening::unsubscribe, at});
        }
        for (std::size_t at = 0; at < clients; ++at) {
            if (all_[at]->is_at_work()) options_.push_back({happening::stop, at});
        }
        if (!all_[0]->is_at_work()) return;
        options_.push_back({happening::part, 0});
        options_.push_back({happening::die, 0});
    }
    boottime::time_point next_tick() const {
        auto next = never;
        for (const auto& each : all_) next = std::min(next, each->next());
        for (const model_channel* each : net_.channels()) next = std::min(next, each->next());
        // Something is on its way.
        return !options_.empty() && next != never ? std::min<boottime::time_point>(next, net_.now + longest_tick)
                                                  : next;
    }
    void carry_out(const option& chosen, boottime::time_point next) {
        const auto line = [&]() -> model_channel& { return *net_.channels()[chosen.at]; };
        const auto say = [&](const std::string& what) { net_.say("  " + what); };
        switch (chosen.what) {
            case happening::answer:
                if (net_.tracing) say("answer to " + line().name());
                line().answer();
                break;
            case happening::confirm:
                if (net_.tracing) say("subscribed " + all_[chosen.at]->name());
                all_[chosen.at]->subscribed();
                break;
            case happening::tell:
                if (net_.tracing) say("told " + all_[chosen.at]->name());
                all_[chosen.at]->told();
                break;
            case happening::open:
                if (net_.tracing) say("connected " + line().name());
                line().open();
                break;
            case happening::arrive:
                if (net_.tracing) say("request of " + line().name());
                line().arrive();
                break;
            case happening::stray:
                say("request of a lost connection");
                net_.stray_arrives(chosen.at);
                break;
            case happening::tick:
                if (net_.tracing) {
                    say("+" + std::to_string(std::chrono::duration<double, std::milli>(next - net_.now).count()) +
                        " ms");
                }
                net_.now = std::max(net_.now, next);
                break;
            case happening::cancel:
                say("CANCEL");
                all_[chosen.at]->cancel();
                break;
            case happening::release:
                say("RELEASE");
                all_[chosen.at]->release();
                break;
            case happening::cut:
            case happening::cut_late:
                if (net_.tracing) {
                    say("LOST " + line().name() +
                        (chosen.what == happening::cut_late ? ", and what it sent arrives later" : ""));
                }
                line().cut(chosen.what == happening::cut_late);
                break;
            case happening::vanish:
                say("VANISHES what a lost connection had sent");
                net_.stray_vanishes(chosen.at);
                break;
            case happening::unsubscribe:
                say("NO NEWS");
                all_[chosen.at]->unsubscribed();
                break;
            case happening::stop:
                if (net_.tracing) say("STOPS " + all_[chosen.at]->name());
                all_[chosen.at]->stop();
                break;
            case happening::part:
                say("CUTS OFF");
                all_[chosen.at]->part();
                break;
            case happening::die:
                say("DIES");
                all_[chosen.at]->die();
                break;
        }
    }

    std::uint64_t situation() const {
        auto all = net_.situation();
        for (const auto& each : all_) {
            all.mix_in(each->situation());
            if (!each->can_read()) continue;
            all.mix_in(static_cast<std::uint64_t>(each->news().news));
            all.mix_in(each->news().subscribed ? 1U : 0U);
        }
        // What checks remember, and choices are made by.
        if (free_since_ != never) all.mix_in(static_cast<std::uint64_t>((net_.now - free_since_).count()));
        if (chooser_.chooses()) all.mix_in(disturbances_left_);
        return all.as_is + all.swapped;
    }

    void check() {
        std::size_t holders = 0;
        for (const auto& each : all_) {
            if (!each->violation().empty()) fail(each->violation());
            if (each->is_deceived()) fail(each->name() + " is not told that its time is over");
            if (!each->believes()) continue;
            ++holders;
            std::size_t outlive = 0;
            for (std::size_t at = 0; at < net_.servers(); ++at) {
                const auto* const found = net_.at(at);
                if (found != nullptr && each->is_mine(*found) && found->until >= each->valid_until()) ++outlive;
            }
            if (outlive <= net_.servers() / 2) fail(each->name() + " believes for longer than a majority remembers");
        }
        if (holders > 1) fail("two holders");
        if (net_.has_robbed) fail("what a holder has is taken back");
        check_wait();
    }
    /// Whoever waits has it soon when it can.
    void check_wait() {
        const client& waiter = *all_[1];
        if (waiter.now_is() != client::stage::asking || what_.limit) return;
        if (!all_[0]->is_over() || !net_.strays().empty() || !waiter.is_at_work() ||
            net_.now < all_[0]->parted_until()) {
            free_since_ = never;
            return;
        }
        std::size_t free = 0;
        for (std::size_t at = 0; at < net_.servers(); ++at) {
            const auto* const found = net_.at(at);
            const bool is_free = found == nullptr || waiter.is_mine(*found);
            if (is_free && !net_.has_lost_undo(at, waiter.side())) ++free;
        }
        if (free <= net_.servers() / 2 || (open_ && chooser_.chooses())) {
            free_since_ = never;
        } else if (free_since_ == never) {
            free_since_ = net_.now;
        } else if (net_.now > free_since_ + longest_wait) {
            fail(waiter.name() + " waits for what nobody has");
        }
    }
    void check_end() {
        for (const auto& each : all_) {
            if (!each->is_over()) fail(each->name() + " never ends");
        }
        for (std::size_t at = 0; at < net_.servers(); ++at) {
            const auto* const found = net_.at(at);
            if (found == nullptr) continue;
            const bool is_dead_ones = all_[0]->now_is() == client::stage::dead && all_[0]->is_mine(*found);
            if (found->in_doubt || is_dead_ones) {
                left_in_doubt_ = true;
            } else {
                fail("server " + std::to_string(at) + " keeps what nobody holds, and nobody takes it back");
            }
        }
    }
    void fail(const std::string& why) {
        if (violation_.empty()) violation_ = why;
    }

    const contest& what_;
    chooser& chooser_;
    network net_;
    std::vector<std::unique_ptr<client>> all_;
    std::size_t disturbances_left_;
    bool open_ = false;
    bool left_in_doubt_ = false;
    boottime::time_point free_since_ = never;
    std::vector<option> options_;
    std::string violation_;
};

}  // namespace

contest_result explore(const contest& what) {
    const fixed all(what.servers);
    contest_result found;
    std::unique_ptr<chooser> choices;
    if (what.samples == 0) {
        choices = std::make_unique<every_choice>(what.depth);
    } else {
        choices = std::make_unique<random_choice>(what.depth, what.samples);
    }
    do {
        ++found.runs;
        {
            run one(what, all, *choices, false);
            if (!one.execute()) ++found.cut_short;
            one.report(found);
            if (one.violation().empty()) continue;
        }
        choices->repeat();
        run again(what, all, *choices, true);
        again.execute();
        found.violation = what.name + ": " + again.violation() + "\n" + again.trace();
        return found;
    } while (choices->advance());
    return found;
}

}  // namespace holdfast::explorer
