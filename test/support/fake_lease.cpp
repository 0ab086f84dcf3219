#include <core/provider_state.hpp>
#include <names/text.hpp>
#include <support/fake_lease.hpp>

#include <algorithm>

namespace holdfast::fakes {

using core::access;
using core::verb;
using core::verdict;

namespace {

constexpr const char* elsewhere = "elsewhere";

core::reply reply_of(verdict result, errc code = errc::unavailable) {
    core::reply made;
    made.result = result;
    made.code = code;
    return made;
}

}  // namespace

struct lease_server::conversation {
    bool alive = true;
    bool busy = false;
    /// Counts commands, so that an answer that comes too late finds nobody.
    unsigned serial = 0;
    core::notifier* on_progress = nullptr;
    std::optional<core::reply> answer;
    /// What is renewed together: copies, because an answer may come when the asker is gone.
    std::vector<core::renewal_share> together;
    fault present;
};

class lease_link final : public core::link {
public:
    lease_link(std::shared_ptr<lease_server> server, std::chrono::milliseconds lifetime)
        : server_(std::move(server)), conversation_(server_->connect()), lifetime_(lifetime) {}
    ~lease_link() override { server_->end(*conversation_); }

    core::progress start(const core::command& cmd, core::notifier& on_progress) override {
        together_ = cmd.together;
        server_->request(conversation_, cmd, on_progress, lifetime_);
        return {false, core::never};
    }

    core::progress advance() override {
        const std::lock_guard guard(server_->mutex_);
        auto& mine = *conversation_;
        if (mine.answer) {
            reply_ = std::move(*mine.answer);
            mine.answer.reset();
            std::copy(mine.together.begin(), mine.together.end(), together_.begin());
        } else if (!mine.alive) {
            set_reply(verdict::link_lost).text = "the connection has ended";
        } else {
            return {false, core::never};
        }
        mine.busy = false;
        mine.on_progress = nullptr;
        return {true, core::never};
    }

    void request_cancel() override {
        const std::lock_guard guard(server_->mutex_);
        ++server_->cancels_;
    }

    bool reusable() const noexcept override {
        const std::lock_guard guard(server_->mutex_);
        return conversation_->alive && !conversation_->busy;
    }

private:
    const std::shared_ptr<lease_server> server_;
    const std::shared_ptr<lease_server::conversation> conversation_;
    const std::chrono::milliseconds lifetime_;
    std::span<core::renewal_share> together_;
};

class lease_watch final : public core::watch {
public:
    lease_watch(std::shared_ptr<lease_server> server, const std::string& mapped, core::notifier& on_wake)
        : server_(std::move(server)), entry_{mapped, &on_wake} {
        const std::lock_guard guard(server_->mutex_);
        server_->listeners_.push_back(&entry_);
    }
    ~lease_watch() override {
        const std::lock_guard guard(server_->mutex_);
        std::erase(server_->listeners_, &entry_);
    }

private:
    const std::shared_ptr<lease_server> server_;
    lease_server::listener entry_;
};

lease_server::lease_server() : thread_([this] { serve(); }) {}

lease_server::~lease_server() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void lease_server::script(verb what, fault which, int times) {
    const std::lock_guard guard(mutex_);
    faults_.add(what, which, times);
}

void lease_server::clear_script() {
    const std::lock_guard guard(mutex_);
    faults_.clear();
}

void lease_server::refuse_connections(int times, std::function<void()> thrower) {
    const std::lock_guard guard(mutex_);
    refused_connections_ = times;
    thrower_ = std::move(thrower);
}

void lease_server::lose_wakes(int count) {
    const std::lock_guard guard(mutex_);
    lost_wakes_ = count;
}

void lease_server::wake_all() {
    const std::lock_guard guard(mutex_);
    for (listener* each : listeners_) each->on_wake->notify(core::signal_wake);
}

int lease_server::kill_idle() {
    const std::lock_guard guard(mutex_);
    int count = 0;
    for (const auto& each : conversations_) {
        if (each->busy || !each->alive) continue;
        kill(*each);
        ++count;
    }
    return count;
}

void lease_server::take_elsewhere(const std::string& mapped, std::chrono::milliseconds lifetime, access mode) {
    const std::lock_guard guard(mutex_);
    tables_[mapped].holders[elsewhere] = {mode, boottime::now() + lifetime};
}

void lease_server::free_elsewhere(const std::string& mapped) {
    const std::lock_guard guard(mutex_);
    tables_[mapped].holders.erase(elsewhere);
    publish(mapped);
}

int lease_server::expire(const std::string& mapped) {
    const std::lock_guard guard(mutex_);
    const auto found = tables_.find(mapped);
    if (found == tables_.end()) return 0;
    purge(found->second);
    const auto count = found->second.holders.size();
    found->second.holders.clear();
    publish(mapped);
    return static_cast<int>(count);
}

int lease_server::holds() const {
    const std::lock_guard guard(mutex_);
    std::size_t count = 0;
    for (auto& each : tables_) {
        purge(each.second);
        count += each.second.holders.size();
    }
    return static_cast<int>(count);
}

int lease_server::marks() const {
    const std::lock_guard guard(mutex_);
    return static_cast<int>(std::count_if(tables_.begin(), tables_.end(), [this](auto& each) {
        purge(each.second);
        return !each.second.marked_by.empty();
    }));
}

int lease_server::watches() const {
    const std::lock_guard guard(mutex_);
    return static_cast<int>(listeners_.size());
}

int lease_server::connections() const {
    const std::lock_guard guard(mutex_);
    return static_cast<int>(conversations_.size());
}

int lease_server::broken_rules() const {
    const std::lock_guard guard(mutex_);
    return broken_rules_;
}

int lease_server::cancels() const {
    const std::lock_guard guard(mutex_);
    return cancels_;
}

int lease_server::requests(verb what) const {
    const std::lock_guard guard(mutex_);
    const auto found = requests_.find(what);
    return found == requests_.end() ? 0 : found->second;
}

std::shared_ptr<lease_server::conversation> lease_server::connect() {
    const std::lock_guard guard(mutex_);
    if (refused_connections_ > 0) {
        --refused_connections_;
        if (thrower_) thrower_();
        throw error(errc::unavailable, "connection refused");
    }
    auto made = std::make_shared<conversation>();
    conversations_.push_back(made);
    return made;
}

void lease_server::end(conversation& which) {
    const std::lock_guard guard(mutex_);
    which.alive = false;
    which.on_progress = nullptr;
    std::erase_if(conversations_, [&](const auto& each) { return each.get() == &which; });
}

void lease_server::request(const std::shared_ptr<conversation>& from, const core::command& cmd,
                           core::notifier& on_progress, std::chrono::milliseconds lifetime) {
    const std::lock_guard guard(mutex_);
    ++requests_[cmd.what];
    if (from->busy) ++broken_rules_;
    from->busy = true;
    ++from->serial;
    from->on_progress = &on_progress;
    from->answer.reset();
    from->together.assign(cmd.together.begin(), cmd.together.end());
    if (!from->alive) {
        on_progress.notify(core::signal_progress);
        return;
    }
    from->present = faults_.take(cmd.what);
    switch (from->present.kind) {
        case fault_kind::fails: deliver(from, reply_of(verdict::failed, from->present.code), {}); return;
        case fault_kind::doubt_before: deliver(from, reply_of(verdict::doubt, from->present.code), {}); return;
        case fault_kind::link_lost_before: kill(*from); return;
        case fault_kind::hangs: return;
        case fault_kind::arrives_late:
            later(from->present.delay, [this, from, what = cmd.what, who = *cmd.who, staying = cmd.staying, lifetime] {
                from->present = {};
                carry_out(from, what, who, staying, lifetime);
            });
            return;
        case fault_kind::none:
        case fault_kind::doubt_after:
        case fault_kind::link_lost_after:
        case fault_kind::late:
        case fault_kind::hangs_after:
        case fault_kind::ignores_cancel: break;
    }
    carry_out(from, cmd.what, *cmd.who, cmd.staying, lifetime);
}

void lease_server::carry_out(const std::shared_ptr<conversation>& from, verb what, const core::claim& who, bool staying,
                             std::chrono::milliseconds lifetime) {
    core::reply made = from->together.empty() ? decide(what, who, staying, lifetime) : renew_all(*from, lifetime);
    switch (from->present.kind) {
        case fault_kind::link_lost_after: kill(*from); return;
        case fault_kind::hangs_after: return;
        case fault_kind::doubt_after: made = reply_of(verdict::doubt, from->present.code); break;
        default: break;
    }
    deliver(from, std::move(made),
            from->present.kind == fault_kind::late ? from->present.delay : std::chrono::milliseconds(0));
}

core::reply lease_server::renew_all(conversation& from, std::chrono::milliseconds lifetime) {
    for (auto& each : from.together) each.result = decide(verb::renew, each.who, false, lifetime).result;
    core::reply made = reply_of(verdict::granted);
    made.lifetime = lifetime;
    return made;
}

core::reply lease_server::decide(verb what, const core::claim& who, bool staying, std::chrono::milliseconds lifetime) {
    const std::string& mapped = who.target->mapped();
    table& where = tables_[mapped];
    purge(where);
    const auto mine = where.holders.find(who.owner.text());
    const bool held = mine != where.holders.end();
    core::reply made;
    switch (what) {
        case verb::try_acquire: return try_acquire(who, staying, lifetime);
        case verb::renew:
            if (!held) return reply_of(verdict::not_held);
            mine->second.until = boottime::now() + lifetime;
            made = reply_of(verdict::granted);
            made.lifetime = lifetime;
            return made;
        case verb::probe:
            if (!held) return reply_of(verdict::not_held);
            made = reply_of(verdict::granted);
            made.lifetime = mine->second.until - boottime::now();
            made.token = last_token_;
            return made;
        case verb::release:
            if (!held) return reply_of(verdict::not_held);
            where.holders.erase(mine);
            publish(mapped);
            return reply_of(verdict::released);
        case verb::withdraw:
            if (where.marked_by == who.owner.text()) {
                where.marked_by.clear();
                publish(mapped);
            }
            return reply_of(verdict::released);
        case verb::count:
            made = reply_of(verdict::granted);
            made.count = std::max(0, who.target->max_count - static_cast<int>(where.holders.size()));
            return made;
        case verb::wait:
        case verb::convert:
        case verb::revert: break;
    }
    return reply_of(verdict::failed, errc::unsupported);
}

core::reply lease_server::try_acquire(const core::claim& who, bool staying, std::chrono::milliseconds lifetime) {
    table& where = tables_[who.target->mapped()];
    const auto now = boottime::now();
    if (where.holders.contains(who.owner.text())) {
        ++broken_rules_;
        return refuse(where, false, lifetime);
    }
    if (!compatible(where, who)) {
        const bool marks = staying && who.mode == access::exclusive &&
                           who.target->kind == core::primitive_kind::reader_writer_lock &&
                           (where.marked_by.empty() || where.marked_by == who.owner.text());
        if (marks) {
            where.marked_by = who.owner.text();
            where.mark_until = now + lifetime;
        }
        return refuse(where, marks, lifetime);
    }
    if (where.marked_by == who.owner.text()) where.marked_by.clear();
    where.holders[who.owner.text()] = {who.mode, now + lifetime};
    core::reply made = reply_of(verdict::granted);
    made.lifetime = lifetime;
    made.token = ++last_token_;
    return made;
}

core::reply lease_server::refuse(const table& where, bool marked, std::chrono::milliseconds lifetime) const {
    core::reply made = reply_of(verdict::refused);
    for (const auto& each : where.holders) made.retry_at = std::min(made.retry_at, each.second.until);
    if (!where.marked_by.empty()) made.retry_at = std::min(made.retry_at, where.mark_until);
    // A mark is kept by asking again.
    if (marked) made.retry_at = std::min(made.retry_at, boottime::now() + lifetime / 2);
    return made;
}

void lease_server::deliver(const std::shared_ptr<conversation>& to, core::reply made, std::chrono::milliseconds delay) {
    later(delay, [to, serial = to->serial, made = std::move(made)] {
        if (!to->alive || to->serial != serial || to->on_progress == nullptr) return;
        to->answer = made;
        // Under the mutex, so that nobody can see the answer, finish and be gone before this call returns.
        to->on_progress->notify(core::signal_progress);
    });
}

void lease_server::kill(conversation& which) {
    which.alive = false;
    if (which.on_progress != nullptr) which.on_progress->notify(core::signal_progress);
}

void lease_server::publish(const std::string& mapped) {
    if (lost_wakes_ > 0) {
        --lost_wakes_;
        return;
    }
    later({}, [this, mapped] {
        for (listener* each : listeners_) {
            if (each->mapped == mapped) each->on_wake->notify(core::signal_wake);
        }
    });
}

void lease_server::let_go() {
    const std::lock_guard guard(mutex_);
    for (auto& each : std::exchange(held_back_, {})) later({}, std::move(each));
}

void lease_server::later(std::chrono::milliseconds delay, std::function<void()> job) {
    if (delay == until_let_go) {
        held_back_.push_back(std::move(job));
        return;
    }
    jobs_.emplace(boottime::now() + delay, std::move(job));
    changed_.notify_one();
}

void lease_server::purge(table& where) const {
    const auto now = boottime::now();
    std::erase_if(where.holders, [now](const auto& each) { return now >= each.second.until; });
    if (now >= where.mark_until) where.marked_by.clear();
}

bool lease_server::compatible(const table& where, const core::claim& who) {
    if (who.mode == access::ticket) return static_cast<int>(where.holders.size()) < who.target->max_count;
    if (who.mode == access::exclusive) return where.holders.empty();
    if (!where.marked_by.empty()) return false;
    return std::none_of(where.holders.begin(), where.holders.end(),
                        [](const auto& each) { return each.second.mode == access::exclusive; });
}

void lease_server::serve() {
    std::unique_lock guard(mutex_);
    while (!stopping_) {
        if (jobs_.empty()) {
            changed_.wait(guard);
            continue;
        }
        const auto due = jobs_.begin();
        const auto left = due->first - boottime::now();
        if (left > boottime::duration::zero()) {
            changed_.wait_for(guard, left);
            continue;
        }
        const auto job = std::move(due->second);
        jobs_.erase(due);
        job();
    }
}

lease_backend::lease_backend(std::shared_ptr<lease_server> server, const lease_options& options)
    : server_(std::move(server)), lifetime_(options.lifetime), renewals_at_once_(options.renewals_at_once) {
    traits_.family = core::family::lease;
    traits_.announces = true;
    traits_.reply_grace = options.reply_grace;
    traits_.cancel_grace = options.cancel_grace;
    traits_.lease_margin = options.margin;
    traits_.renewal_cadence = options.lifetime / 3;
}

const holdfast::capabilities& lease_backend::capabilities() const noexcept {
    static const holdfast::capabilities all{
        .lock = true,
        .reader_writer_lock = true,
        .upgradeable_reader_writer_lock = false,
        .semaphore = true,
        .current_count = true,
        .cross_process = false,
        .loss_detection = loss_detection::before_expiry,
        .fencing = fencing_support::monotonic,
    };
    return all;
}

std::string lease_backend::map_name(core::primitive_kind kind, std::string_view name) const {
    names::require_utf8(name);
    return std::string(kind == core::primitive_kind::semaphore ? "semaphore:" : "lock:").append(name);
}

std::unique_ptr<core::link> lease_backend::make_link(const core::claim&, const core::backend_context&) {
    return std::make_unique<lease_link>(server_, lifetime_);
}

std::unique_ptr<core::watch> lease_backend::arm(const core::claim& who, core::link&, core::notifier& on_wake,
                                                const core::backend_context&, core::waiter) {
    return std::make_unique<lease_watch>(server_, who.target->mapped(), on_wake);
}

provider make_lease_provider(const std::shared_ptr<lease_server>& server, const provider_settings& settings,
                             const lease_options& options) {
    return provider(core::provider_state::make(std::make_shared<lease_backend>(server, options), settings));
}

}  // namespace holdfast::fakes
