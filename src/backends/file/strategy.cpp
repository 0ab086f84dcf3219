#include <backends/file/options.hpp>
#include <backends/file/strategy.hpp>
#include <backends/file/system_calls.hpp>
#include <kernel/inotify_hub.hpp>
#include <kernel/stander.hpp>
#include <names/names.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

using core::command;
using core::never;
using core::progress;
using core::verb;
using core::verdict;

// A lock that is given up makes one of these; each is only a reason to look.
constexpr std::uint32_t news = IN_CLOSE_WRITE | IN_CLOSE_NOWRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t suspicious = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

// The kernel tells of a close before it drops the lock: an answer of "busy" right after one is asked again, ever later.
constexpr std::array<std::chrono::microseconds, 7> after_close{
    std::chrono::microseconds(20),   std::chrono::microseconds(60),   std::chrono::microseconds(200),
    std::chrono::microseconds(600),  std::chrono::microseconds(2000), std::chrono::microseconds(5000),
    std::chrono::microseconds(10000)};

// A wait this long is worth a helper thread, for holders that unlock without an event.
constexpr std::chrono::milliseconds patience{25};
// Where there is neither event nor helper: how often to look.
constexpr std::chrono::milliseconds shortest_probe{10};
constexpr std::chrono::milliseconds longest_probe{250};

// Watches that are left behind where a release is in a hurry.
constexpr std::size_t most_retired = 16;

// Idle open files that all lock objects of a process keep for their next acquire.
constexpr int most_spares = 64;
std::atomic<int> spares{0};

class file_link;

/// A waiter's ear: at the inode it waits for, wherever the path leads.
class file_watch final : public core::watch, private core::inotify_hub::listener {
public:
    file_watch(file_link& asking, core::notifier& on_wake, const core::backend_context& context,
               std::string_view lock_name, core::waiter where);
    ~file_watch() override;

    void wait_on_caller(core::parker& self, boottime::time_point until) override;

    /// The link has opened this file; -1: none any more.
    void listen(int descriptor);
    /// The link is about to close its file, which is not the lock's any more, and to look for the lock elsewhere.
    void turn_away();
    /// When to ask again, after "busy".
    boottime::time_point retry_at(boottime::time_point now);
    bool for_ever() const noexcept { return where_ == core::waiter::caller_for_ever; }

private:
    void on_file_event(std::uint32_t mask) noexcept override;
    void stand_no_more();
    void tell(const char* text);

    file_link& link_;
    core::notifier& on_wake_;
    const core::backend_context& context_;
    const std::string_view lock_name_;
    const core::waiter where_;
    std::shared_ptr<core::inotify_hub> hub_;
    std::shared_ptr<void> delivery_;
    std::unique_ptr<core::stander> stander_;
    boottime::time_point stand_at_ = never;
    std::chrono::milliseconds probe_{shortest_probe};
    bool deaf_ = false;
    bool told_ = false;
    /// How many of `after_close` are used up since the last close.
    std::atomic<std::size_t> closes_seen_{after_close.size()};
};

/// One asker with its open file, and after a grant the hold.
class file_link final : public core::link {
public:
    /// @param path outlives this object
    file_link(std::shared_ptr<const settings> how, const std::string& path, const core::backend_context& context)
        : settings_(std::move(how)), file_(*settings_, path), context_(context) {}

    ~file_link() override {
        if (counted_) spares.fetch_sub(1, std::memory_order_relaxed);
    }

    progress start(const command& cmd, core::notifier&) override {
        switch (cmd.what) {
            case verb::try_acquire: try_acquire(); break;
            case verb::release: release(); break;
            case verb::probe: set_reply(locked_ ? verdict::granted : verdict::not_held); break;
            default: set_failure(errc::unsupported, 0, "files have no such request"); break;
        }
        return {true, never};
    }

    core::taking take(const core::claim&, timeout limit, core::parker* self) override {
        failure why;
        bool stands = false;
        for (;;) {
            if (file_.descriptor() < 0 && !file_.open(why)) return core::taking::beyond;
            const auto outcome = std::exchange(stands, false) ? file_.stand_and_lock() : file_.try_lock(why);
            if (outcome == lock_file::result::failed) return core::taking::beyond;
            // Locked or busy, it counts only for the file that the path leads to.
            if (const auto seen = file_.look(); seen != lock_file::standing::current) {
                file_.discard(outcome == lock_file::result::locked);
                if (seen == lock_file::standing::unknown) return core::taking::beyond;
                continue;
            }
            if (outcome == lock_file::result::busy) {
                if (limit.is_zero()) return core::taking::refused;
                // Nothing but the lock ends a wait in flock(2).
                if (!limit.is_infinite() || self != nullptr) return core::taking::beyond;
                stands = true;
                continue;
            }
            locked_ = true;
            return core::taking::granted;
        }
    }

    /// Without a file it costs next to nothing; an open one is worth keeping where the next acquire finds it in place.
    bool reusable() const noexcept override {
        if (locked_) return false;
        if (file_.descriptor() < 0) {
            if (std::exchange(counted_, false)) spares.fetch_sub(1, std::memory_order_relaxed);
            return true;
        }
        if (settings_->deletes()) return false;
        if (counted_) return true;
        if (spares.fetch_add(1, std::memory_order_relaxed) < most_spares) {
            counted_ = true;
            return true;
        }
        spares.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }

    bool keeps(const core::claim&) const noexcept override { return file_.is_kept(); }
    std::shared_ptr<void> watch_loss(const core::claim& held, std::function<void()> suspicion) override;
    std::optional<int> native_descriptor() const noexcept override { return file_.descriptor(); }
    void abandon() noexcept override { file_.close(); }

    void set_watch(file_watch* listening) noexcept { watch_ = listening; }
    int descriptor_in_use() const noexcept { return file_.descriptor(); }
    bool locked() const noexcept { return locked_; }
    void announce(bool waits) noexcept { file_.announce_waiter(waits); }
    /// What a wait that succeeded leaves to be cleared away at leisure, after the lock was used.
    void clear_later(std::shared_ptr<core::inotify_hub> hub, std::unique_ptr<core::stander> helper) noexcept {
        hub_ = std::move(hub);
        stander_ = std::move(helper);
    }

private:
    void try_acquire() {
        failure why;
        bool unheard = false;
        for (;;) {
            if (file_.descriptor() < 0) {
                if (!file_.open(why)) break;
                // A file that was just made is most often free: to listen to it first would be time lost.
                unheard = watch_ != nullptr;
            }
            const auto outcome = file_.try_lock(why);
            if (outcome == lock_file::result::failed) break;
            // Locked or busy, it counts only for the file that the path leads to.
            const auto seen = file_.look();
            const int error = errno;
            if (seen != lock_file::standing::current) {
                if (watch_ != nullptr) watch_->turn_away();
                file_.discard(outcome == lock_file::result::locked);
                if (seen == lock_file::standing::replaced) continue;
                why = file_.explain_look(error);
                break;
            }
            if (outcome == lock_file::result::busy && std::exchange(unheard, false)) {
                watch_->listen(file_.descriptor());
                continue;
            }
            if (outcome == lock_file::result::busy) {
                auto& answer = set_reply(verdict::refused);
                if (watch_ != nullptr) answer.retry_at = watch_->retry_at(boottime::now());
                return;
            }
            locked_ = true;
            set_reply(verdict::granted);
            return;
        }
        set_failure(why.code, why.native_code, std::move(why.text));
    }

    void release() {
        if (!std::exchange(locked_, false)) {
            set_reply(verdict::not_held);
            return;
        }
        // Before the lock is given up, or its thread would take it again.
        stander_.reset();
        set_reply(file_.release() ? verdict::released : verdict::not_held);
        // Takes longer than the rest of the release. If somebody waits, the next one of us that does can see to it.
        if (hub_ != nullptr) std::exchange(hub_, nullptr)->sweep(file_.was_wanted() ? most_retired : 0);
        if (reply_.result == verdict::not_held)
            reply_.text = "'" + file_.path() + "' was deleted or replaced while held";
    }

    const std::shared_ptr<const settings> settings_;
    lock_file file_;
    const core::backend_context& context_;
    file_watch* watch_ = nullptr;
    std::shared_ptr<core::inotify_hub> hub_;
    std::unique_ptr<core::stander> stander_;
    bool locked_ = false;
    mutable bool counted_ = false;
};

file_watch::file_watch(file_link& asking, core::notifier& on_wake, const core::backend_context& context,
                       std::string_view lock_name, core::waiter where)
    : link_(asking), on_wake_(on_wake), context_(context), lock_name_(lock_name), where_(where) {
    if (!for_ever()) {
        try {
            hub_ = core::inotify_hub::shared();
            if (where_ == core::waiter::executor) delivery_ = hub_->deliver_on(context.executor());
        } catch (const std::exception& failed) {
            // Also Asio's, whose epoll may have no room: nothing of it may end the wait.
            deaf_ = true;
            tell(failed.what());
        }
        stand_at_ = boottime::now() + patience;
    }
    link_.set_watch(this);
    listen(link_.descriptor_in_use());
}

file_watch::~file_watch() {
    link_.set_watch(nullptr);
    if (!link_.locked()) {
        listen(-1);
        link_.announce(false);
        return;
    }
    if (hub_ != nullptr) hub_->retire(*this);
    if (stander_ != nullptr) stander_->disconnect();
    link_.clear_later(std::move(hub_), std::move(stander_));
}

void file_watch::stand_no_more() {
    const bool stood = stander_ != nullptr;
    stander_.reset();
    // It may have been granted while its thread was being ended.
    if (stood && !link_.locked() && link_.descriptor_in_use() >= 0) sys.flock(link_.descriptor_in_use(), LOCK_UN);
}

void file_watch::turn_away() {
    stand_no_more();
    if (hub_ != nullptr) hub_->retire(*this);
}

void file_watch::listen(int descriptor) {
    stand_no_more();
    if (hub_ != nullptr) {
        hub_->remove(*this);
        hub_->sweep();
    }
    if (descriptor < 0 || for_ever()) return;
    if (hub_ != nullptr && !deaf_) {
        if (const int error = hub_->add(descriptor, news, *this); error != 0) {
            deaf_ = true;
            tell(error == ENOSPC ? "no inotify watch left (see /proc/sys/fs/inotify/max_user_watches)"
                                 : "inotify cannot watch the file: it needs /proc and read permission");
        }
    }
    link_.announce(true);
    stand_at_ = boottime::now() + patience;
}

boottime::time_point file_watch::retry_at(boottime::time_point now) {
    if (for_ever()) return never;
    const std::size_t used = closes_seen_.load(std::memory_order_relaxed);
    if (used < after_close.size()) {
        closes_seen_.store(used + 1, std::memory_order_relaxed);
        return now + after_close[used];
    }
    if (now < stand_at_ && !deaf_) return stand_at_;
    if (stander_ == nullptr) stander_ = core::stander::start(link_.descriptor_in_use(), on_wake_);
    if (stander_ != nullptr) return never;
    tell("every helper thread is in use: looking at intervals for holders that unlock without closing");
    const auto next = now + probe_;
    probe_ = std::min(2 * probe_, longest_probe);
    return next;
}

void file_watch::wait_on_caller(core::parker& self, boottime::time_point until) {
    if (for_ever()) {
        // The shortest way there is: the kernel itself gives us the lock. A signal of the user's ends it early, and
        // then it is asked for again.
        sys.flock(link_.descriptor_in_use(), LOCK_EX);
        on_wake_.notify(core::signal_wake);
        self.calm();
    } else if (hub_ != nullptr && !deaf_) {
        hub_->wait(self, until);
    } else {
        self.park(until);
    }
}

void file_watch::on_file_event(std::uint32_t mask) noexcept {
    if ((mask & (IN_CLOSE_WRITE | IN_CLOSE_NOWRITE)) != 0) closes_seen_.store(0, std::memory_order_relaxed);
    on_wake_.notify(core::signal_wake);
}

void file_watch::tell(const char* text) {
    if (told_ || context_.observer == nullptr) return;
    told_ = true;
    context_.observer->notice(lock_name_, text);
}

/// Listens for reasons to look whether the file is still there.
class loss_listener final : private core::inotify_hub::listener {
public:
    loss_listener(std::shared_ptr<core::inotify_hub> hub, std::shared_ptr<void> delivery,
                  std::function<void()> suspicion)
        : hub_(std::move(hub)), delivery_(std::move(delivery)), suspicion_(std::move(suspicion)) {}
    ~loss_listener() { hub_->remove(*this); }

    /// False where the kernel has no watch left for the file.
    bool listen(int file, const std::string& path) {
        if (hub_->add(file, suspicious, *this) != 0) return false;
        // Moving the directory away takes the lock along.
        const int directory = ::open(path.substr(0, path.rfind('/') + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) return true;
        hub_->add(directory, IN_MOVE_SELF | IN_DELETE_SELF, *this);
        ::close(directory);
        return true;
    }

private:
    void on_file_event(std::uint32_t) noexcept override { suspicion_(); }

    const std::shared_ptr<core::inotify_hub> hub_;
    const std::shared_ptr<void> delivery_;
    const std::function<void()> suspicion_;
};

std::shared_ptr<void> file_link::watch_loss(const core::claim& held, std::function<void()> suspicion) {
    try {
        auto hub = core::inotify_hub::shared();
        auto delivery = hub->deliver_on(context_.executor());
        auto made = std::make_shared<loss_listener>(std::move(hub), std::move(delivery), std::move(suspicion));
        if (made->listen(file_.descriptor(), file_.path())) return made;
    } catch (const std::exception&) {
        // Also the executor's. Told below, and best effort: `state()` still looks.
    }
    if (context_.observer != nullptr) {
        context_.observer->notice(held.target->name(), "no inotify: a loss is seen by state() and release() only");
    }
    return nullptr;
}

}  // namespace

const capabilities& file_backend::capabilities() const noexcept {
    static const holdfast::capabilities mine{
        .lock = true,
        .cross_process = true,
        .loss_detection = loss_detection::best_effort,
    };
    return mine;
}

const core::backend_traits& file_backend::traits() const noexcept {
    static const core::backend_traits mine{.answers_at_once = true};
    return mine;
}

std::string file_backend::map_name(core::primitive_kind, std::string_view name) const {
    if (settings_->opts.exact_paths) return names::exact_file_path(name);
    return names::file_path(settings_->opts.directory, name);
}

std::unique_ptr<core::link> file_backend::make_link(const core::claim& who, const core::backend_context& context) {
    return std::make_unique<file_link>(settings_, who.target->mapped(), context);
}

std::unique_ptr<core::watch> file_backend::arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                               const core::backend_context& context, core::waiter where) {
    return std::make_unique<file_watch>(static_cast<file_link&>(asking), on_wake, context, who.target->name(), where);
}

void check_here(const options&) {}

std::string directory_in_url(std::string_view path) {
    if (!path.empty() && path.front() != '/') {
        throw error(errc::invalid_options, "file: the directory must be absolute, as in file:///var/lock/app");
    }
    return std::string(path);
}

std::shared_ptr<core::backend> make_backend(const options& opts) {
    return std::make_shared<file_backend>(opts);
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
