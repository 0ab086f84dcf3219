#include <core/provider_state.hpp>
#include <names/text.hpp>
#include <support/fake_session.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace holdfast::fakes {

using core::access;
using core::verb;
using core::verdict;

namespace {

/// An eventfd, which is to a reader what a socket with an answer is.
class event {
public:
    event() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (descriptor_ < 0) throw error(errc::unavailable, "no eventfd");
    }
    event(const event&) = delete;
    event& operator=(const event&) = delete;
    ~event() { ::close(descriptor_); }

    int get() const noexcept { return descriptor_; }
    void set() noexcept {
        const std::uint64_t one = 1;
        (void)!::write(descriptor_, &one, sizeof one);
    }
    void drain() noexcept {
        std::uint64_t count = 0;
        (void)!::read(descriptor_, &count, sizeof count);
    }

private:
    int descriptor_;
};

}  // namespace

struct session_server::session {
    event replies;
    /// Readable once the session has ended; a socket would have one descriptor for both.
    event ends;
    std::atomic<bool> alive{true};

    // The rest under the server's mutex.
    /// A command is out.
    bool busy = false;
    std::optional<core::reply> answer;
    boottime::time_point answer_at{};
    /// When the server's own timer ends the wait.
    boottime::time_point gives_up_at = core::never;
    fault present;
    bool cancel_ignored = false;
};

namespace {

/// Watches a parked session's descriptor with the reactor, as a backend with sockets would.
class end_watch : public std::enable_shared_from_this<end_watch> {
public:
    end_watch(const boost::asio::any_io_executor& executor, int descriptor, std::function<void()> suspicion)
        : descriptor_(executor, ::dup(descriptor)), suspicion_(std::move(suspicion)) {}

    void begin() {
        descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                               [self = shared_from_this()](const error_code& code) {
                                   if (code || self->over_.load(std::memory_order_acquire)) return;
                                   pollfd end{self->descriptor_.native_handle(), POLLIN, 0};
                                   if (::poll(&end, 1, 0) == 1) return self->suspicion_();
                                   // Woken by an event of a descriptor that had its place in the reactor before.
                                   self->begin();
                               });
    }
    void end() {
        over_.store(true, std::memory_order_release);
        // Where the handler runs, so that it does not begin again behind our back.
        boost::asio::post(descriptor_.get_executor(), [self = shared_from_this()] {
            error_code ignored;
            self->descriptor_.cancel(ignored);
        });
    }

private:
    boost::asio::posix::stream_descriptor descriptor_;
    std::function<void()> suspicion_;
    std::atomic<bool> over_{false};
};

}  // namespace

/// The client's side of one session.
class session_link final : public core::link {
public:
    session_link(std::shared_ptr<session_server> server, std::function<boost::asio::any_io_executor()> executor)
        : server_(std::move(server)), session_(server_->connect()), executor_(std::move(executor)) {}
    ~session_link() override { server_->end(*session_); }

    core::progress start(const core::command& cmd, core::notifier&) override {
        server_->request(*session_, cmd);
        return progress();
    }

    core::progress advance() override {
        session_->replies.drain();
        const std::lock_guard guard(server_->mutex_);
        session_server::session& mine = *session_;
        const auto now = boottime::now();
        if (mine.alive && !mine.answer && now >= mine.gives_up_at) {
            server_->forget(mine);
            server_->answer(mine, verdict::timed_out);
        }
        if (!mine.alive) {
            set_reply(verdict::link_lost).text = "the session has ended";
            mine.busy = false;
            return {true, core::never};
        }
        if (mine.answer && now >= mine.answer_at) {
            reply_ = std::move(*mine.answer);
            mine.answer.reset();
            mine.busy = false;
            return {true, core::never};
        }
        return again();
    }

    void request_cancel() override { server_->cancel(*session_); }

    int descriptor() const noexcept override { return session_->replies.get(); }
    short poll_events() const noexcept override { return POLLIN; }

    bool reusable() const noexcept override {
        const std::lock_guard guard(server_->mutex_);
        return session_->alive && !session_->busy;
    }
    bool keeps(const core::claim&) const noexcept override { return session_->alive; }

    std::shared_ptr<void> watch_loss(const core::claim&, std::function<void()> suspicion) override {
        auto made = std::make_shared<end_watch>(executor_(), session_->ends.get(), std::move(suspicion));
        made->begin();
        return {made.get(), [made](void*) { made->end(); }};
    }

private:
    core::progress progress() {
        const std::lock_guard guard(server_->mutex_);
        return again();
    }
    core::progress again() const {
        // An answer that is there already is told by the descriptor alone, as a socket would.
        if (session_->answer && session_->answer_at <= boottime::now()) return {false, core::never};
        return {false, session_->answer ? session_->answer_at : session_->gives_up_at};
    }

    const std::shared_ptr<session_server> server_;
    const std::shared_ptr<session_server::session> session_;
    const std::function<boost::asio::any_io_executor()> executor_;
};

session_server::~session_server() = default;

void session_server::script(verb what, fault which, int times) {
    const std::lock_guard guard(mutex_);
    faults_.add(what, which, times);
}

void session_server::clear_script() {
    const std::lock_guard guard(mutex_);
    faults_.clear();
}

void session_server::refuse_connections(int times, std::function<void()> thrower) {
    const std::lock_guard guard(mutex_);
    refused_connections_ = times;
    thrower_ = std::move(thrower);
}

void session_server::before_cancel(std::function<void()> hook) {
    const std::lock_guard guard(mutex_);
    before_cancel_ = std::move(hook);
}

bool session_server::take_elsewhere(const std::string& mapped, access mode) {
    const std::lock_guard guard(mutex_);
    table& where = tables_[mapped];
    if (!where.holders.empty()) return false;
    ++where.elsewhere;
    where.elsewhere_mode = mode;
    return true;
}

void session_server::free_elsewhere(const std::string& mapped) {
    const std::lock_guard guard(mutex_);
    table& where = tables_[mapped];
    if (where.elsewhere == 0) return;
    --where.elsewhere;
    grant_waiters(where);
}

int session_server::kill_holders(const std::string& mapped) {
    const std::lock_guard guard(mutex_);
    const auto found = tables_.find(mapped);
    if (found == tables_.end()) return 0;
    const auto holders = found->second.holders;
    for (const hold& each : holders) kill(*each.by);
    return static_cast<int>(holders.size());
}

int session_server::kill_idle() {
    const std::lock_guard guard(mutex_);
    int count = 0;
    for (const auto& each : sessions_) {
        const bool holds = std::any_of(tables_.begin(), tables_.end(),
                                       [&](auto& name) { return find(name.second, *each) != nullptr; });
        if (each->busy || holds || !each->alive) continue;
        kill(*each);
        ++count;
    }
    return count;
}

int session_server::holds() const {
    const std::lock_guard guard(mutex_);
    std::size_t count = 0;
    for (const auto& each : tables_) count += each.second.holders.size();
    return static_cast<int>(count);
}

int session_server::waiters() const {
    const std::lock_guard guard(mutex_);
    std::size_t count = 0;
    for (const auto& each : tables_) count += each.second.waiters.size();
    return static_cast<int>(count);
}

int session_server::sessions() const {
    const std::lock_guard guard(mutex_);
    return static_cast<int>(sessions_.size());
}

int session_server::broken_rules() const {
    const std::lock_guard guard(mutex_);
    return broken_rules_;
}

int session_server::requests() const {
    const std::lock_guard guard(mutex_);
    return requests_;
}

std::shared_ptr<session_server::session> session_server::connect() {
    const std::lock_guard guard(mutex_);
    if (refused_connections_ > 0) {
        --refused_connections_;
        if (thrower_) thrower_();
        throw error(errc::unavailable, "connection refused");
    }
    auto made = std::make_shared<session>();
    sessions_.push_back(made);
    return made;
}

void session_server::end(session& which) {
    const std::lock_guard guard(mutex_);
    which.alive = false;
    forget(which);
    std::erase_if(sessions_, [&](const auto& each) { return each.get() == &which; });
}

void session_server::request(session& from, const core::command& cmd) {
    const std::lock_guard guard(mutex_);
    ++requests_;
    // The protocol has one request at a time.
    if (from.busy) ++broken_rules_;
    from.busy = true;
    from.answer.reset();
    from.gives_up_at = core::never;
    from.cancel_ignored = false;
    if (!from.alive) {
        // A dead socket is readable.
        from.replies.set();
        return;
    }
    from.present = faults_.take(cmd.what);
    switch (from.present.kind) {
        case fault_kind::fails: answer(from, verdict::failed, from.present.code); return;
        case fault_kind::doubt_before: answer(from, verdict::doubt, from.present.code); return;
        case fault_kind::link_lost_before: kill(from); return;
        case fault_kind::hangs: return;
        case fault_kind::ignores_cancel: from.cancel_ignored = true; break;
        case fault_kind::none:
        case fault_kind::doubt_after:
        case fault_kind::link_lost_after:
        case fault_kind::late:
        case fault_kind::arrives_late:
        case fault_kind::hangs_after: break;
    }
    carry_out(from, cmd);
}

void session_server::cancel(session& from) {
    std::function<void()> hook;
    {
        const std::lock_guard guard(mutex_);
        hook = before_cancel_;
    }
    if (hook) hook();
    const std::lock_guard guard(mutex_);
    if (!from.busy || from.answer || from.cancel_ignored) return;
    const auto kind = from.present.kind;
    if (kind == fault_kind::hangs || kind == fault_kind::hangs_after) return;
    from.gives_up_at = core::never;
    forget(from);
    answer(from, verdict::failed, errc::cancelled);
}

void session_server::carry_out(session& from, const core::command& cmd) {
    table& where = tables_[cmd.who->target->mapped()];
    switch (cmd.what) {
        case verb::try_acquire: try_acquire(from, cmd); return;
        case verb::wait: wait(from, cmd, false); return;
        case verb::convert: convert(from, cmd); return;
        case verb::revert:
            if (hold* mine = find(where, from)) mine->mode = access::upgradeable;
            grant_waiters(where);
            answer(from, verdict::released);
            return;
        case verb::release: release(from, *cmd.who); return;
        case verb::probe: {
            const hold* const mine = find(where, from);
            const bool yes = mine != nullptr && (!cmd.upgraded || mine->mode == access::exclusive);
            answer(from, yes ? verdict::granted : verdict::not_held);
            return;
        }
        case verb::count:
            answer(from, verdict::granted, errc::unavailable,
                   std::max(0, cmd.who->target->max_count - static_cast<int>(where.holders.size())));
            return;
        case verb::renew:
        case verb::withdraw: break;
    }
    answer(from, verdict::failed, errc::unsupported);
}

void session_server::try_acquire(session& from, const core::command& cmd) {
    table& where = tables_[cmd.who->target->mapped()];
    if (find(where, from) != nullptr) ++broken_rules_;
    if (!where.waiters.empty() || !compatible(where, *cmd.who)) {
        answer(from, verdict::refused);
        return;
    }
    grant(where, from, cmd.who->mode);
}

void session_server::convert(session& from, const core::command& cmd) {
    table& where = tables_[cmd.who->target->mapped()];
    hold* const mine = find(where, from);
    if (mine == nullptr) {
        answer(from, verdict::not_held, errc::lost);
    } else if (where.holders.size() == 1 && where.elsewhere == 0) {
        grant(where, from, access::exclusive);
    } else if (cmd.limit == std::chrono::milliseconds::zero()) {
        answer(from, verdict::refused);
    } else {
        wait(from, cmd, true);
    }
}

void session_server::wait(session& from, const core::command& cmd, bool converting) {
    table& where = tables_[cmd.who->target->mapped()];
    for (auto& each : tables_) {
        // Never wait on a session that holds: others' locks would stand and wait with it.
        if (!converting && find(each.second, from) != nullptr) ++broken_rules_;
    }
    if (cmd.limit >= std::chrono::milliseconds::zero()) from.gives_up_at = boottime::now() + cmd.limit;
    const waiter joined{&from, *cmd.who, converting};
    if (converting) {
        where.waiters.push_front(joined);
    } else {
        where.waiters.push_back(joined);
    }
    grant_waiters(where);
}

void session_server::release(session& from, const core::claim& who) {
    table& where = tables_[who.target->mapped()];
    const auto before = where.holders.size();
    std::erase_if(where.holders, [&](const hold& each) { return each.by == &from; });
    const bool held = where.holders.size() != before;
    grant_waiters(where);
    answer(from, held ? verdict::released : verdict::not_held);
}

/// Sends what the present command's fault leaves of the answer.
void session_server::answer(session& to, verdict result, errc code, int count) {
    core::reply made;
    made.result = result;
    made.code = code;
    made.text = result == verdict::failed ? "the fake server says no" : "";
    made.count = count;
    if (result == verdict::granted) made.token = ++last_token_;
    to.answer_at = boottime::now();
    to.gives_up_at = core::never;
    switch (to.present.kind) {
        case fault_kind::link_lost_after: kill(to); return;
        case fault_kind::hangs_after: return;
        case fault_kind::doubt_after:
            made.result = verdict::doubt;
            made.code = to.present.code;
            break;
        case fault_kind::arrives_late:
        case fault_kind::late: to.answer_at += to.present.delay; break;
        case fault_kind::none:
        case fault_kind::fails:
        case fault_kind::doubt_before:
        case fault_kind::link_lost_before:
        case fault_kind::hangs:
        case fault_kind::ignores_cancel: break;
    }
    to.answer = std::move(made);
    to.replies.set();
}

/// The session ends on the server's side: its locks are free, and its client can see it.
void session_server::kill(session& which) {
    which.alive = false;
    which.answer.reset();
    which.replies.set();
    which.ends.set();
    forget(which);
}

void session_server::forget(session& which) {
    for (auto& each : tables_) {
        auto& [name, where] = each;
        const auto gone = std::erase_if(where.waiters, [&](const waiter& one) { return one.by == &which; });
        std::size_t freed = 0;
        if (!which.alive) freed = std::erase_if(where.holders, [&](const hold& one) { return one.by == &which; });
        if (gone + freed > 0) grant_waiters(where);
    }
}

void session_server::grant_waiters(table& where) {
    while (!where.waiters.empty()) {
        const waiter first = where.waiters.front();
        if (first.converting) {
            if (where.holders.size() != 1 || where.elsewhere != 0) return;
        } else if (!compatible(where, first.who)) {
            return;
        }
        where.waiters.pop_front();
        grant(where, *first.by, first.converting ? access::exclusive : first.who.mode);
    }
}

void session_server::grant(table& where, session& to, access mode) {
    if (hold* mine = find(where, to)) {
        mine->mode = mode;
    } else {
        where.holders.push_back({&to, mode});
    }
    answer(to, verdict::granted);
}

bool session_server::compatible(const table& where, const core::claim& who) {
    if (who.mode == access::ticket) {
        return static_cast<int>(where.holders.size()) + where.elsewhere < who.target->max_count;
    }
    const auto excludes = [&](access held) {
        return who.mode == access::exclusive || held == access::exclusive ||
               (held == access::upgradeable && who.mode == access::upgradeable);
    };
    if (where.elsewhere > 0 && excludes(where.elsewhere_mode)) return false;
    return std::none_of(where.holders.begin(), where.holders.end(),
                        [&](const hold& each) { return excludes(each.mode); });
}

session_server::hold* session_server::find(table& where, const session& by) {
    const auto found =
        std::find_if(where.holders.begin(), where.holders.end(), [&](const hold& each) { return each.by == &by; });
    return found == where.holders.end() ? nullptr : &*found;
}

session_backend::session_backend(std::shared_ptr<session_server> server, const session_options& options)
    : server_(std::move(server)) {
    traits_.family = core::family::session;
    traits_.waits_on_server = true;
    traits_.reply_grace = options.reply_grace;
    traits_.cancel_grace = options.cancel_grace;
}

const holdfast::capabilities& session_backend::capabilities() const noexcept {
    static const holdfast::capabilities all{
        .lock = true,
        .reader_writer_lock = true,
        .upgradeable_reader_writer_lock = true,
        .semaphore = true,
        .current_count = true,
        .cross_process = false,
        .loss_detection = loss_detection::connection,
        .fencing = fencing_support::monotonic,
    };
    return all;
}

std::string session_backend::map_name(core::primitive_kind kind, std::string_view name) const {
    names::require_utf8(name);
    return std::string(kind == core::primitive_kind::semaphore ? "semaphore:" : "lock:").append(name);
}

std::unique_ptr<core::link> session_backend::make_link(const core::claim&, const core::backend_context& context) {
    return std::make_unique<session_link>(server_, context.executor);
}

provider make_session_provider(const std::shared_ptr<session_server>& server, const provider_settings& settings,
                               const session_options& options) {
    return provider(core::provider_state::make(std::make_shared<session_backend>(server, options), settings));
}

}  // namespace holdfast::fakes
