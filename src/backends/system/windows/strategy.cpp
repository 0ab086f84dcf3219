#include <backends/system/windows/strategy.hpp>

#include <backends/system/options.hpp>
#include <backends/system/windows/kernel_objects.hpp>
#include <backends/system/windows/wait_object.hpp>
#include <core/parker.hpp>
#include <core/windows/caller_wait.hpp>
#include <core/windows/timeout.hpp>
#include <core/windows/wide.hpp>
#include <names/names.hpp>

#include <algorithm>
#include <random>
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

// Whoever makes an object is denied, or denies, for a moment: as often as .NET, and with its waits.
constexpr int most_openings = 4;

// How long a waiter has no handle, so that the object of a holder that died can end.
constexpr std::chrono::milliseconds gap{10};

// Where the waiting threads are full: how often to look.
constexpr std::chrono::milliseconds shortest_probe{10};
constexpr std::chrono::milliseconds longest_probe{250};

class windows_watch;

/** One asker, and after a grant the hold.

    Its handle is closed as soon as it neither holds nor waits: an open one would keep the object of a holder that died.
*/
class windows_link final : public core::link {
public:
    windows_link(const core::claim& who, std::chrono::milliseconds refresh_every)
        : object_(who.target->kind == core::primitive_kind::semaphore ? wait_object::kind::semaphore
                                                                      : wait_object::kind::event,
                  object_name(who.target->name(), who.target->mapped()), who.target->max_count),
          is_semaphore_(who.target->kind == core::primitive_kind::semaphore),
          max_count_(who.target->max_count),
          refresh_every_(refresh_every) {}

    ~windows_link() override {
        if (held_ || taken_) object_.give_back();
    }

    progress start(const command& cmd, core::notifier&) override {
        asked_ = cmd.what;
        openings_ = 0;
        given_up_ = false;
        return advance();
    }

    progress advance() override {
        switch (asked_) {
            case verb::try_acquire: return try_acquire();
            case verb::count: return count();
            case verb::release: release(); break;
            case verb::probe: set_reply(held_ ? verdict::granted : verdict::not_held); break;
            default: set_failure(errc::unsupported, 0, "kernel objects have no such request"); break;
        }
        return {true, never};
    }

    void request_cancel() override { given_up_ = true; }
    bool reusable() const noexcept override { return false; }

    void set_watch(windows_watch* waiting) noexcept { watch_ = waiting; }
    wait_object& object() noexcept { return object_; }
    /// A wait has taken the object for this link.
    void set_taken() noexcept { taken_ = true; }
    /// The wait is over. What was granted in its last moment, and is not wanted any more, goes to the next one.
    void stop_waiting() noexcept {
        if (!held_ && std::exchange(taken_, false)) object_.give_back();
    }

private:
    progress try_acquire();
    progress count();
    void release();
    bool have_object(progress& how);
    void fail(DWORD error, const char* what);
    progress refused();

    wait_object object_;
    const bool is_semaphore_;
    const int max_count_;
    const std::chrono::milliseconds refresh_every_;
    windows_watch* watch_ = nullptr;
    verb asked_ = verb::try_acquire;
    int openings_ = 0;
    /// Without a handle until then; `never`: no handle is missing.
    boottime::time_point reopen_at_ = never;
    boottime::time_point refresh_at_ = never;
    bool given_up_ = false;
    /// Taken by a wait, and not yet accepted.
    bool taken_ = false;
    bool held_ = false;
};

class windows_watch : public core::watch {
public:
    windows_watch(windows_link& asking, core::notifier& on_wake) : link_(asking), on_wake_(on_wake) {
        link_.set_watch(this);
    }
    ~windows_watch() override {
        link_.set_watch(nullptr);
        link_.stop_waiting();
    }

    /// A thread stands for the link already, and will say when it has the lock.
    virtual bool is_standing() { return false; }
    /// After a refusal. @return when to ask again even if nobody wakes us
    virtual boottime::time_point stand_by() { return never; }
    /// Nobody waits for the object any more.
    virtual void stand_down() noexcept {}

protected:
    windows_link& link_;
    core::notifier& on_wake_;
};

/// One that stands on the thread that waits.
class caller_watch final : public windows_watch {
public:
    caller_watch(windows_link& asking, core::notifier& on_wake, bool can_be_cancelled)
        : windows_watch(asking, on_wake), can_be_cancelled_(can_be_cancelled) {}

    void wait_on_caller(core::parker& self, boottime::time_point until) override;

private:
    const bool can_be_cancelled_;
    core::caller_wait wait_;
};

/// One for which a thread of the hub stands.
class hub_watch final : public windows_watch {
public:
    hub_watch(windows_link& asking, core::notifier& on_wake, std::shared_ptr<core::wait_hub> hub,
              const core::backend_context& context, std::string_view lock_name)
        : windows_watch(asking, on_wake), hub_(std::move(hub)), context_(context), lock_name_(lock_name) {}
    ~hub_watch() override { hub_watch::stand_down(); }

    bool is_standing() override { return hub_->waits(wait_); }
    boottime::time_point stand_by() override;
    void stand_down() noexcept override {
        if (!std::exchange(stands_, false)) return;
        hub_->end(wait_);
        if (wait_.taken()) link_.set_taken();
    }

private:
    const std::shared_ptr<core::wait_hub> hub_;
    const core::backend_context& context_;
    const std::string_view lock_name_;
    core::wait_hub::wait wait_;
    std::chrono::milliseconds probe_{shortest_probe};
    bool stands_ = false;
    bool told_ = false;
};

/// True when there is a handle; otherwise how far it has got.
bool windows_link::have_object(progress& how) {
    if (object_.is_open()) return true;
    if (given_up_) {
        set_reply(verdict::refused);
        return false;
    }
    const DWORD error = object_.open();
    if (error == 0) {
        reopen_at_ = refresh_at_ = never;
        if (refresh_every_ == std::chrono::milliseconds::max()) return true;
        // At the same moments in all processes: only when no waiter has a handle can a dead holder's object end.
        const auto now = boottime::now();
        refresh_at_ = now + (refresh_every_ - now.time_since_epoch() % refresh_every_);
        return true;
    }
    if (error == ERROR_ACCESS_DENIED && ++openings_ < most_openings) {
        static thread_local std::minstd_rand random{std::random_device{}()};
        const int most = 10 * openings_ - 1;
        how = {false, boottime::now() + std::chrono::milliseconds(std::uniform_int_distribution<int>(0, most)(random))};
        return false;
    }
    fail(error, "cannot open the kernel object");
    return false;
}

progress windows_link::refused() {
    core::reply& answer = set_reply(verdict::refused);
    if (watch_ != nullptr) {
        answer.retry_at = object_.is_open() ? std::min(watch_->stand_by(), refresh_at_) : reopen_at_;
    }
    return {true, never};
}

progress windows_link::try_acquire() {
    progress how{true, never};
    if (watch_ != nullptr) {
        const auto now = boottime::now();
        const bool refresh = object_.is_open() && now >= refresh_at_;
        if (!refresh && watch_->is_standing()) {
            set_reply(verdict::refused).retry_at = refresh_at_;
            return how;
        }
        watch_->stand_down();
        if (refresh && !taken_) {
            object_.close();
            refresh_at_ = never;
            reopen_at_ = now + gap;
        }
        if (!taken_ && !object_.is_open() && reopen_at_ != never && now < reopen_at_) return refused();
    }
    if (!taken_) {
        if (!have_object(how)) return how;
        const auto counts = is_semaphore_ ? look_at_semaphore(object_.handle()) : std::nullopt;
        if (counts && counts->most != max_count_) {
            object_.close();
            set_failure(errc::invalid_argument, 0,
                        "the semaphore is in use with " + std::to_string(counts->most) + " tickets, not " +
                            std::to_string(max_count_) + "; all who use it must agree");
            return how;
        }
        const DWORD got = object_.try_take();
        if (got == WAIT_TIMEOUT) return refused();
        if (got != WAIT_OBJECT_0) {
            fail(::GetLastError(), "cannot take it");
            return how;
        }
    }
    taken_ = false;
    held_ = true;
    set_reply(verdict::granted);
    return how;
}

progress windows_link::count() {
    progress how{true, never};
    if (!have_object(how)) return how;
    const auto counts = look_at_semaphore(object_.handle());
    object_.close();
    if (!counts) {
        set_failure(errc::unsupported, 0, "this Windows does not tell a semaphore's count");
        return how;
    }
    const long taken = counts->most - counts->free;
    set_reply(verdict::granted).count = static_cast<int>(std::max(0L, max_count_ - taken));
    return how;
}

void windows_link::release() {
    if (!std::exchange(held_, false)) {
        set_reply(verdict::not_held);
        return;
    }
    const DWORD error = object_.give_back();
    object_.close();
    if (error == 0) {
        set_reply(verdict::released);
    } else if (error == ERROR_TOO_MANY_POSTS) {
        set_reply(verdict::not_held).text = "somebody else has given back this ticket";
    } else {
        fail(error, "cannot give it back");
    }
}

void windows_link::fail(DWORD error, const char* what) {
    object_.close();
    errc code = errc::unavailable;
    std::string text = std::string(what) + ": " + core::system_message(error);
    if (error == ERROR_ACCESS_DENIED) code = errc::permission;
    if (error == ERROR_INVALID_HANDLE) {
        code = errc::invalid_name;
        text =
            "the name is in use for a kernel object of another kind: a lock and a semaphore cannot share a name here";
    }
    set_failure(code, static_cast<int>(error), std::move(text));
}

void caller_watch::wait_on_caller(core::parker& self, boottime::time_point until) {
    wait_object& object = link_.object();
    if (!object.is_open()) {
        // The gap.
        self.park(until);
        return;
    }
    const DWORD ended = can_be_cancelled_ ? wait_.wait(object.handle(), self, until)
                                          : ::WaitForSingleObject(object.handle(), core::milliseconds_until(until));
    if (ended == WAIT_TIMEOUT) return;
    if (ended == WAIT_OBJECT_0) link_.set_taken();
    on_wake_.notify(core::signal_wake);
    self.calm();
}

boottime::time_point hub_watch::stand_by() {
    if (hub_->begin(wait_, link_.object().handle(), on_wake_)) {
        stands_ = true;
        return never;
    }
    if (!std::exchange(told_, true) && context_.observer != nullptr) {
        context_.observer->notice(lock_name_, "every waiting thread is full: looking at intervals");
    }
    const auto next = boottime::now() + probe_;
    probe_ = std::min(2 * probe_, longest_probe);
    return next;
}

}  // namespace

std::wstring object_name(std::string_view name, std::string_view mapped) {
    constexpr std::size_t hash_units = 88;
    constexpr std::string_view prefix = "Global\\";
    std::wstring made = core::to_wide(mapped);
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    const std::wstring whole = core::to_wide(name);
    // A long name is cut, and that may split a pair. UTF-8 has no half pairs, so the mapped name has another character
    // in its place; the object's name has the half.
    constexpr wchar_t replacement = 0xFFFD;
    if (made.size() <= hash_units || whole.size() < made.size() - prefix.size()) return made;
    const std::size_t last = made.size() - hash_units - 1;
    if (made[last] == replacement && last >= prefix.size()) made[last] = whole[last - prefix.size()];
    return made;
}

const capabilities& windows_backend::capabilities() const noexcept {
    static const holdfast::capabilities mine{
        .lock = true,
        .semaphore = true,
        .current_count = true,
        .cross_process = true,
    };
    return mine;
}

const core::backend_traits& windows_backend::traits() const noexcept {
    static const core::backend_traits mine;
    return mine;
}

std::string windows_backend::map_name(core::primitive_kind, std::string_view name) const {
    // Windows ends a name there, and so does .NET: another name would be the same lock.
    if (name.find('\0') != std::string_view::npos) {
        throw error(errc::invalid_name, "the name holds a NUL character, which the name of a kernel object cannot");
    }
    return names::system_object(name, options_.exact_names ? names::mode::exact : names::mode::mapped);
}

std::unique_ptr<core::link> windows_backend::make_link(const core::claim& who, const core::backend_context&) {
    return std::make_unique<windows_link>(who, options_.abandonment_check);
}

std::unique_ptr<core::watch> windows_backend::arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                                  const core::backend_context& context, core::waiter where) {
    auto& link = static_cast<windows_link&>(asking);
    if (where == core::waiter::executor) {
        return std::make_unique<hub_watch>(link, on_wake, hub_, context, who.target->name());
    }
    return std::make_unique<caller_watch>(link, on_wake, where == core::waiter::caller);
}

std::shared_ptr<core::backend> make_backend(const options& opts) {
    return std::make_shared<windows_backend>(opts);
}

void check_here(const options& opts) {
    if (opts.scope != scope::machine) {
        throw error(errc::invalid_options, "system: on Windows locks are the machine's, as .NET's are");
    }
    if (!opts.directory.empty()) {
        throw error(errc::invalid_options, "system: on Windows there is no directory: kernel objects have names");
    }
    if (opts.abandonment_check <= std::chrono::milliseconds::zero()) {
        throw error(errc::invalid_options, "system: 'abandonment_check' must be more than nothing");
    }
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
