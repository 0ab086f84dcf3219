#include <backends/file/windows/strategy.hpp>

#include <backends/file/options.hpp>
#include <backends/file/windows/lock_file.hpp>
#include <core/parker.hpp>
#include <core/windows/caller_wait.hpp>
#include <core/windows/wide.hpp>
#include <names/names.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
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

// How often a waiter looks: a file that is kept is closed without any news, and news may come late, or never where the
// file system has none.
constexpr std::chrono::milliseconds shortest_probe{5};
constexpr std::chrono::milliseconds longest_probe{100};

// Access that is denied may be to a file that is just being deleted: for how long it is tried again.
constexpr std::chrono::milliseconds denial_patience{500};
constexpr std::chrono::milliseconds denial_retry{2};

class file_watch;

/// One asker, and after a grant the hold.
class file_link final : public core::link {
public:
    file_link(const std::string& path, bool deletes) : file_(path, deletes) {}

    progress start(const command& cmd, core::notifier&) override {
        asked_ = cmd.what;
        given_up_ = false;
        give_up_at_ = boottime::now() + denial_patience;
        return advance();
    }

    progress advance() override {
        switch (asked_) {
            case verb::try_acquire: return try_acquire();
            case verb::release:
                set_reply(file_.is_locked() ? verdict::released : verdict::not_held);
                file_.close();
                break;
            case verb::probe: set_reply(file_.is_locked() ? verdict::granted : verdict::not_held); break;
            default: set_failure(errc::unsupported, 0, "files have no such request"); break;
        }
        return {true, never};
    }

    void request_cancel() override { given_up_ = true; }
    bool reusable() const noexcept override { return false; }
    /// Of a handle 32 bits are significant.
    std::optional<int> native_descriptor() const noexcept override {
        if (!file_.is_locked()) return std::nullopt;
        return static_cast<int>(reinterpret_cast<std::intptr_t>(file_.handle()));
    }

    void set_watch(file_watch* listening) noexcept { watch_ = listening; }

private:
    progress try_acquire();

    lock_file file_;
    file_watch* watch_ = nullptr;
    verb asked_ = verb::try_acquire;
    boottime::time_point give_up_at_{};
    bool given_up_ = false;
};

/// A waiter's ear: at the directory, for files that are deleted there.
class file_watch : public core::watch {
public:
    file_watch(file_link& asking, core::notifier& on_wake, const std::string& path) : link_(asking), on_wake_(on_wake) {
        const std::string directory = path.substr(0, path.rfind('\\') + 1);
        news_ = ::FindFirstChangeNotificationW(api_path(directory).c_str(), FALSE, FILE_NOTIFY_CHANGE_FILE_NAME);
        link_.set_watch(this);
    }
    ~file_watch() override {
        link_.set_watch(nullptr);
        if (hears()) ::FindCloseChangeNotification(news_);
    }

    /// Before another try: news from here on count.
    void listen() noexcept {
        stand_down();
        if (hears() && ::WaitForSingleObject(news_, 0) == WAIT_OBJECT_0) ::FindNextChangeNotification(news_);
    }
    /// After a refusal. @return when to ask again even if nobody wakes us
    boottime::time_point stand_by() {
        stand_up();
        const auto next = boottime::now() + probe_;
        probe_ = std::min(2 * probe_, longest_probe);
        return next;
    }

protected:
    bool hears() const noexcept { return news_ != INVALID_HANDLE_VALUE; }
    virtual void stand_up() {}
    virtual void stand_down() noexcept {}

    file_link& link_;
    core::notifier& on_wake_;
    /// Set by news, until it is asked for the next.
    HANDLE news_ = INVALID_HANDLE_VALUE;

private:
    std::chrono::milliseconds probe_{shortest_probe};
};

class caller_watch final : public file_watch {
public:
    using file_watch::file_watch;

    void wait_on_caller(core::parker& self, boottime::time_point until) override {
        if (!hears()) {
            self.park(until);
            return;
        }
        const DWORD ended = wait_.wait(news_, self, until);
        if (ended == WAIT_TIMEOUT) return;
        on_wake_.notify(core::signal_wake);
        self.calm();
    }

private:
    core::caller_wait wait_;
};

class hub_watch final : public file_watch {
public:
    hub_watch(file_link& asking, core::notifier& on_wake, const std::string& path, std::shared_ptr<core::wait_hub> hub)
        : file_watch(asking, on_wake, path), hub_(std::move(hub)) {}
    ~hub_watch() override { hub_->end(wait_); }

private:
    void stand_up() override {
        // Where there is no room for it, looking at intervals is left.
        if (hears() && !hub_->waits(wait_)) hub_->begin(wait_, news_, on_wake_);
    }
    void stand_down() noexcept override { hub_->end(wait_); }

    const std::shared_ptr<core::wait_hub> hub_;
    core::wait_hub::wait wait_;
};

progress file_link::try_acquire() {
    if (watch_ != nullptr) watch_->listen();
    lock_file::failure why;
    switch (file_.try_lock(why)) {
        case lock_file::result::locked: set_reply(verdict::granted); break;
        case lock_file::result::busy: {
            core::reply& answer = set_reply(verdict::refused);
            if (watch_ != nullptr) answer.retry_at = watch_->stand_by();
            break;
        }
        case lock_file::result::denied:
            if (given_up_) {
                set_reply(verdict::refused);
                break;
            }
            if (const auto now = boottime::now(); now < give_up_at_) return {false, now + denial_retry};
            set_failure(why.code, why.native_code, std::move(why.text));
            break;
        case lock_file::result::failed: set_failure(why.code, why.native_code, std::move(why.text)); break;
    }
    return {true, never};
}

}  // namespace

const capabilities& windows_backend::capabilities() const noexcept {
    static const holdfast::capabilities mine{.lock = true, .cross_process = true};
    return mine;
}

const core::backend_traits& windows_backend::traits() const noexcept {
    static const core::backend_traits mine;
    return mine;
}

std::string windows_backend::map_name(core::primitive_kind, std::string_view name) const {
    if (options_.exact_paths) return names::exact_file_path(name);
    return names::file_path(options_.directory, name);
}

std::unique_ptr<core::link> windows_backend::make_link(const core::claim& who, const core::backend_context&) {
    return std::make_unique<file_link>(who.target->mapped(), deletes());
}

std::unique_ptr<core::watch> windows_backend::arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                                  const core::backend_context&, core::waiter where) {
    auto& link = static_cast<file_link&>(asking);
    const std::string& path = who.target->mapped();
    if (where == core::waiter::executor) return std::make_unique<hub_watch>(link, on_wake, path, hub_);
    return std::make_unique<caller_watch>(link, on_wake, path);
}

std::shared_ptr<core::backend> make_backend(const options& opts) {
    return std::make_shared<windows_backend>(opts);
}

void check_here(const options& opts) {
    if (!opts.private_directory) return;
    throw error(errc::invalid_options,
                "file: 'private' is not to be had on Windows; give the directory an access list");
}

std::string directory_in_url(std::string_view path) {
    // "/C:/locks", or nothing at all.
    const bool has_drive = path.size() >= 4 && path[0] == '/' && path[2] == ':' && path[3] == '/';
    if (!path.empty() && !has_drive) {
        throw error(errc::invalid_options, "file: the directory must be absolute, as in file:///C:/locks");
    }
    return std::string(path.empty() ? path : path.substr(1));
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
