#include <backends/system/contender.hpp>
#include <backends/system/options.hpp>
#include <backends/system/strategy.hpp>
#include <core/hot.hpp>
#include <core/parker.hpp>
#include <kernel/wait_threads.hpp>
#include <names/text.hpp>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

using core::command;
using core::never;
using core::progress;
using core::verb;
using core::verdict;

// While another process changes the directory: how soon to try again. It is done within microseconds.
constexpr std::chrono::microseconds shortest_retry{50};
constexpr std::chrono::microseconds longest_retry{2000};
// Less than the core waits for an answer, so that the error says why.
constexpr std::chrono::seconds directory_patience{4};
// Whoever does not wait for the lock, waits for others to be done with the directory.
constexpr std::chrono::seconds least_patience{1};

// Where there is neither a thread nor a stop left for a wait: how often to look.
constexpr std::chrono::milliseconds shortest_probe{10};
constexpr std::chrono::milliseconds longest_probe{250};
constexpr std::chrono::milliseconds longest_slice{4};

class system_watch;

/// One asker, and after a grant the hold.
class system_link final : public core::link {
public:
    system_link(std::shared_ptr<set_directory> directory, const core::claim& who, const core::backend_context& context)
        : directory_(std::move(directory)), mapped_(who.target->mapped()), context_(context) {}

    HOLDFAST_HOT progress start(const command& cmd, core::notifier&) override {
        asked_ = cmd.what;
        who_ = cmd.who;
        given_up_ = false;
        retry_ = shortest_retry;
        reconnect_until_ = cmd.reconnect_until;
        if (!me_.has_place()) give_up_at_ = give_up_time();
        return advance();
    }

    core::taking take(const core::claim& who, timeout limit, core::parker* self) override;

    progress advance() override {
        switch (asked_) {
            case verb::try_acquire: return try_acquire();
            case verb::count: return count();
            case verb::release: release(); break;
            case verb::probe: set_reply(held_ ? verdict::granted : verdict::not_held); break;
            default: set_failure(errc::unsupported, 0, "semaphores have no such request"); break;
        }
        return {true, never};
    }

    void request_cancel() override { given_up_ = true; }

    /// Worth keeping: it has found the name's semaphores.
    HOLDFAST_HOT bool reusable() const noexcept override { return !held_ && me_.has_place(); }

    bool keeps(const core::claim&) const noexcept override { return held_ && me_.place()->set->look(); }
    std::shared_ptr<void> watch_loss(const core::claim& held, std::function<void()> suspicion) override;

    void set_watch(system_watch* waiting) noexcept { watch_ = waiting; }
    contender& me() noexcept { return me_; }
    bool held() const noexcept { return held_; }

private:
    progress try_acquire();
    progress count();
    void release();
    void fail(int error, const char* what);

    /// When to look for the place no more: not long after the caller's time is over.
    boottime::time_point give_up_time() const noexcept {
        const auto now = boottime::now();
        return std::min(std::max(reconnect_until_, now + least_patience), now + directory_patience);
    }
    /// True when there is a slot to ask; otherwise how far it has got.
    bool find_place(progress& how);

    const std::shared_ptr<set_directory> directory_;
    const std::string mapped_;
    const core::backend_context& context_;
    verb asked_ = verb::probe;
    const core::claim* who_ = nullptr;
    contender me_;
    system_watch* watch_ = nullptr;
    std::chrono::microseconds retry_ = shortest_retry;
    boottime::time_point reconnect_until_ = never;
    boottime::time_point give_up_at_ = never;
    bool given_up_ = false;
    /// What was granted has been accepted.
    bool held_ = false;
};

/// A waiter that stands in the kernel.
class system_watch : public core::watch {
public:
    system_watch(system_link& asking, core::notifier& on_wake, const core::backend_context& context,
                 std::string_view lock_name)
        : link_(asking), on_wake_(on_wake), context_(context), lock_name_(lock_name) {
        link_.set_watch(this);
    }
    ~system_watch() override {
        link_.set_watch(nullptr);
        if (stop_) stop_set_->return_stop(*stop_);
        // Granted while the wait was being ended, or half of it.
        if (!link_.held()) link_.me().leave();
    }

    /// True once: asking before the first wait is left to the wait, which asks too.
    bool is_new() noexcept { return std::exchange(new_, false); }
    /// Another thread stands for the link already, and will say when it has the lock.
    virtual bool is_standing() { return false; }
    /// After a refusal. @return when to ask again even if nobody wakes us
    virtual boottime::time_point stand_by() { return never; }

protected:
    /// Sees to a stop for the present place.
    bool have_stop();
    void tell(const char* text);

    system_link& link_;
    core::notifier& on_wake_;
    std::shared_ptr<open_set> stop_set_;
    std::optional<int> stop_;

private:
    const core::backend_context& context_;
    const std::string_view lock_name_;
    bool told_ = false;
    bool new_ = true;
};

/// One that stands on the thread that waits.
class caller_watch final : public system_watch, private core::other_sleep {
public:
    caller_watch(system_link& asking, core::notifier& on_wake, const core::backend_context& context,
                 std::string_view lock_name, bool can_be_cancelled)
        : system_watch(asking, on_wake, context, lock_name), can_be_cancelled_(can_be_cancelled) {}

    void wait_on_caller(core::parker& self, boottime::time_point until) override;

private:
    void end() noexcept override { stop_set_->stop(*stop_); }

    const bool can_be_cancelled_;
};

/// One for which a helper thread stands.
class helper_watch final : public system_watch {
public:
    using system_watch::system_watch;
    ~helper_watch() override;

    bool is_standing() override {
        const std::lock_guard guard(mutex_);
        return standing_;
    }
    boottime::time_point stand_by() override;

private:
    void stand() noexcept;

    const std::shared_ptr<core::wait_threads> threads_ = core::wait_threads::shared();
    std::chrono::milliseconds probe_{shortest_probe};
    std::mutex mutex_;
    std::condition_variable ended_;
    bool standing_ = false;
    bool leaving_ = false;
};

bool system_link::find_place(progress& how) {
    if (me_.has_place()) return true;
    const core::resource& target = *who_->target;
    const bool rw = target.kind == core::primitive_kind::reader_writer_lock;
    std::shared_ptr<slot> found;
    failure why;
    switch (directory_->find(rw ? set_kind::readers : set_kind::tickets, mapped_, target.max_count, found, why)) {
        case set_directory::resolution::found: me_.go_to(std::move(found)); return true;
        case set_directory::resolution::busy:
            if (given_up_) {
                set_reply(verdict::refused);
                how = {true, never};
                return false;
            }
            if (const auto now = boottime::now(); now < give_up_at_) {
                how = {false, now + retry_};
                retry_ = std::min(2 * retry_, longest_retry);
                return false;
            }
            why = {errc::unavailable, EWOULDBLOCK,
                   "another process keeps the directory '" + directory_->path() + "' locked"};
            break;
        case set_directory::resolution::failed: break;
    }
    set_failure(why.code, why.native_code, std::move(why.text));
    how = {true, never};
    return false;
}

progress system_link::try_acquire() {
    for (;;) {
        progress how{true, never};
        if (watch_ != nullptr && watch_->is_standing()) {
            set_reply(verdict::refused);
            return how;
        }
        if (!find_place(how)) return how;
        const int wanted = who_->target->max_count;
        if (me_.place()->max_count != wanted) {
            set_failure(errc::invalid_argument, 0,
                        "the semaphore is in use with " + std::to_string(me_.place()->max_count) + " tickets, not " +
                            std::to_string(wanted) + "; all who use it must agree");
            return how;
        }
        // A link may serve a reader after a writer.
        me_.want(who_->mode);
        int error = 0;
        if (watch_ != nullptr && watch_->is_new()) {
            error = EAGAIN;
        } else if (!me_.is_inside()) {
            error = me_.try_enter();
        }
        if (error == EIDRM) {
            // To be found anew, for which there is as much time as for a new link.
            give_up_at_ = give_up_time();
            continue;
        }
        if (error == 0) {
            held_ = true;
            set_reply(verdict::granted);
        } else if (error == EAGAIN && wanted > most_tickets) {
            set_failure(errc::unavailable, 0, "32767 tickets are taken, and the kernel can count no more of them");
        } else if (error == EAGAIN) {
            core::reply& answer = set_reply(verdict::refused);
            if (watch_ != nullptr) answer.retry_at = watch_->stand_by();
        } else {
            fail(error, "cannot take it");
        }
        return how;
    }
}

/// A semaphore that ends one wait of this process at a time.
class wait_stop final : private core::other_sleep {
public:
    explicit wait_stop(std::shared_ptr<open_set> in) : set_(std::move(in)), index_(set_->take_stop()) {}
    wait_stop(const wait_stop&) = delete;
    wait_stop& operator=(const wait_stop&) = delete;
    ~wait_stop() {
        if (index_) set_->return_stop(*index_);
    }
    /// False when too many processes wait that can be interrupted.
    explicit operator bool() const noexcept { return index_.has_value(); }

    /// EAGAIN also where @p self is roused.
    int stand(contender& who, core::parker& self, boottime::time_point until) {
        if (!self.begin_other(*this)) return EAGAIN;
        const int error = who.stand(until, index_);
        if (!self.end_other()) return error;
        set_->rearm(*index_);
        // Roused in the same moment as a signal came.
        return error == EINTR ? EAGAIN : error;
    }

private:
    void end() noexcept override { set_->stop(*index_); }

    const std::shared_ptr<open_set> set_;
    const std::optional<int> index_;
};

HOLDFAST_HOT core::taking system_link::take(const core::claim& who, timeout limit, core::parker* self) {
    if (!me_.has_place() || me_.place()->max_count != who.target->max_count || who.target->max_count > most_tickets) {
        return core::taking::beyond;
    }
    me_.want(who.mode);
    const auto until = limit.is_infinite() ? never : boottime::now() + limit.duration();
    // A signal of the user's costs the place in the kernel's line, but neither that in the process nor a writer's gate.
    int error = EINTR;
    if (limit.is_zero()) {
        error = me_.try_enter();
    } else if (self == nullptr) {
        while (error == EINTR) error = me_.stand(until, std::nullopt);
    } else if (wait_stop stop(me_.place()->set); stop) {
        while (error == EINTR) error = stop.stand(me_, *self, until);
    } else {
        return core::taking::beyond;
    }
    if (error == 0) {
        held_ = true;
        return core::taking::granted;
    }
    // A writer may have got half of it.
    me_.leave();
    return error == EAGAIN ? core::taking::refused : core::taking::beyond;
}

progress system_link::count() {
    progress how{true, never};
    int free = -1;
    while (free < 0) {
        if (!find_place(how)) return how;
        free = me_.place()->set->value(me_.place()->first);
        // Removed, by ipcrm(1) for one: the name has others by now, or none. What a look still finds can be read again.
        if (free < 0 && me_.place()->set->look()) {
            set_failure(errc::unavailable, 0, "the semaphore cannot be read");
            return how;
        }
    }
    const slot& place = *me_.place();
    const int taken = std::min(place.max_count, most_tickets) - free;
    set_reply(verdict::granted).count = std::max(0, who_->target->max_count - taken);
    return how;
}

HOLDFAST_HOT void system_link::release() {
    if (!std::exchange(held_, false)) {
        set_reply(verdict::not_held);
        return;
    }
    const int error = me_.leave();
    if (error == 0) {
        set_reply(verdict::released);
    } else if (error == EIDRM) {
        set_reply(verdict::not_held).text = "its set of semaphores was removed while it was held (ipcrm?)";
    } else {
        fail(error, "cannot give it back");
    }
}

void system_link::fail(int error, const char* what) {
    errc code = errc::unavailable;
    std::string text = std::string(what) + ": " + std::generic_category().message(error);
    if (error == EACCES) code = errc::permission;
    if (error == ERANGE) text += "; somebody has changed the semaphores' values";
    if (error == ENOSPC) text += "; the kernel has no room for what it must undo when a process dies (kernel.sem)";
    set_failure(code, error, std::move(text));
}

std::shared_ptr<void> system_link::watch_loss(const core::claim& held, std::function<void()> suspicion) {
    auto made = me_.place()->set->on_removal(std::move(suspicion));
    if (made == nullptr && context_.observer != nullptr) {
        context_.observer->notice(held.target->name(),
                                  "no thread to be had: a loss is seen by state() and release() only");
    }
    return made;
}

bool system_watch::have_stop() {
    const auto& set = link_.me().place()->set;
    if (stop_ && stop_set_ == set) return true;
    if (stop_) stop_set_->return_stop(*stop_);
    stop_ = set->take_stop();
    stop_set_ = set;
    return stop_.has_value();
}

void system_watch::tell(const char* text) {
    if (told_ || context_.observer == nullptr) return;
    told_ = true;
    context_.observer->notice(lock_name_, text);
}

void caller_watch::wait_on_caller(core::parker& self, boottime::time_point until) {
    contender& me = link_.me();
    int error = EIDRM;
    if (me.has_place() && !can_be_cancelled_) {
        error = me.stand(until, std::nullopt);
    } else if (me.has_place() && have_stop()) {
        if (!self.begin_other(*this)) return;
        error = me.stand(until, stop_);
        if (self.end_other()) stop_set_->rearm(*stop_);
    } else if (me.has_place()) {
        tell("too many waits that can be cancelled: this one goes to the end of the line every few milliseconds");
        if (self.calm()) return;
        error = me.stand(std::min(until, boottime::now() + longest_slice), std::nullopt);
    }
    // Cancelled, out of time, or a signal of the user's, after which it stands again.
    if (error == EAGAIN || error == EINTR) return;
    on_wake_.notify(core::signal_wake);
    self.calm();
}

helper_watch::~helper_watch() {
    std::unique_lock lock(mutex_);
    leaving_ = true;
    if (!standing_) return;
    stop_set_->stop(*stop_);
    ended_.wait(lock, [this] { return !standing_; });
    stop_set_->rearm(*stop_);
}

boottime::time_point helper_watch::stand_by() {
    if (have_stop()) {
        {
            const std::lock_guard guard(mutex_);
            standing_ = true;
        }
        try {
            if (threads_->run([this] { stand(); })) return never;
        } catch (const std::exception&) {
            // No memory: as if there were no thread.
        }
        const std::lock_guard guard(mutex_);
        standing_ = false;
    }
    tell("every helper thread is in use: looking at intervals, without a place in the line");
    const auto next = boottime::now() + probe_;
    probe_ = std::min(2 * probe_, longest_probe);
    return next;
}

void helper_watch::stand() noexcept {
    int error = EINTR;
    while (error == EINTR) error = link_.me().stand(never, stop_);
    const std::lock_guard guard(mutex_);
    standing_ = false;
    // Whatever it was: the next try meets it too.
    if (!leaving_) on_wake_.notify(core::signal_wake);
    // Under the mutex: the watch is destroyed as soon as it is free.
    ended_.notify_all();
}

}  // namespace

const capabilities& system_backend::capabilities() const noexcept {
    static const holdfast::capabilities mine{
        .lock = true,
        .reader_writer_lock = true,
        .semaphore = true,
        .current_count = true,
        .cross_process = true,
        .loss_detection = loss_detection::best_effort,
    };
    return mine;
}

const core::backend_traits& system_backend::traits() const noexcept {
    static const core::backend_traits mine{.answers_at_once = true};
    return mine;
}

std::string system_backend::map_name(core::primitive_kind kind, std::string_view name) const {
    names::require_utf8(name);
    const char* prefix = "lock:";
    if (kind == core::primitive_kind::semaphore) prefix = "semaphore:";
    if (kind == core::primitive_kind::reader_writer_lock) prefix = "readers:";
    return std::string(prefix).append(name);
}

std::unique_ptr<core::link> system_backend::make_link(const core::claim& who, const core::backend_context& context) {
    return std::make_unique<system_link>(directory_, who, context);
}

std::unique_ptr<core::watch> system_backend::arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                                 const core::backend_context& context, core::waiter where) {
    auto& link = static_cast<system_link&>(asking);
    std::string_view lock_name = who.target->name();
    if (where == core::waiter::executor) return std::make_unique<helper_watch>(link, on_wake, context, lock_name);
    return std::make_unique<caller_watch>(link, on_wake, context, lock_name, where == core::waiter::caller);
}

std::shared_ptr<core::backend> make_backend(const options& opts) {
    return std::make_shared<system_backend>(opts);
}

void check_here(const options& opts) {
    const auto refuse = [](const char* message) {
        throw error(errc::invalid_options, std::string("system: ") + message);
    };
    if (!opts.directory.empty() && opts.directory.front() != '/') {
        refuse("the directory must be absolute, as in system:?directory=/dev/shm/app");
    }
    if (opts.directory.find('\0') != std::string::npos) refuse("the directory's name holds a NUL");
    if (opts.exact_names) refuse("'exact_names' is for Windows");
    if (opts.abandonment_check != options().abandonment_check) refuse("'abandonment_check' is for Windows");
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
