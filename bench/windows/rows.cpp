// What `holdfast bench` measures on Windows: pairs and hand-offs, against the same calls without Holdfast.
#include "../rows.hpp"

#include "../lock_bodies.hpp"
#include "../memory_rows.hpp"
#include "handoff.hpp"

#include <core/windows/wide.hpp>

#include <holdfast/holdfast.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <windows.h>

namespace holdfast::bench {
namespace {

struct handle_closer {
    void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};
using owned_handle = std::unique_ptr<void, handle_closer>;

owned_handle make_event(const std::wstring& name) {
    return owned_handle(::CreateEventW(nullptr, FALSE, TRUE, name.c_str()));
}
owned_handle make_semaphore(const std::wstring& name, int tickets) {
    return owned_handle(::CreateSemaphoreW(nullptr, tickets, tickets, name.c_str()));
}

/// The same lock to and fro, blocking and in a coroutine.
void add_pairs(const std::string& backend, const std::string& kind, const std::string& floor,
               const std::function<provider(const provider_settings&)>& make, const std::function<void()>& raw,
               const reporter& report) {
    const pairing plan{.rounds = 7, .per_round = 200};
    const lock one = make({}).make_lock("bench");
    report(make_row(backend, kind, "sync pair", measure_pairs([&] { one.acquire().release(); }, raw, plan), 0, floor));
    boost::asio::io_context io(1);
    provider_settings settings;
    settings.executor = io.get_executor();
    const lock async_one = make(settings).make_lock("bench");
    const auto measured = measure_rounds([&] { return coroutine_pairs(async_one, io, plan.per_round); },
                                         [&] { return time_each(raw, plan.per_round); }, plan.rounds);
    report(make_row(backend, kind, "async pair", measured, 0, floor));
}

/// An event that is kept open.
class raw_event {
public:
    explicit raw_event(const std::wstring& name) : event_(make_event(name)) {}
    void acquire() const {
        if (::WaitForSingleObject(event_.get(), longest_wait) != WAIT_OBJECT_0) gave_up();
    }
    void release() const noexcept { ::SetEvent(event_.get()); }

    static constexpr DWORD longest_wait = 60000;
    [[noreturn]] static void gave_up() { throw error(errc::timed_out, "the floor's lock does not come"); }

private:
    const owned_handle event_;
};

/// A file of share mode 0, deleted as it is closed, with the directory's news for those who wait.
class raw_file {
public:
    explicit raw_file(std::wstring path) : path_(std::move(path)) {}
    raw_file(const raw_file&) = delete;
    raw_file& operator=(const raw_file&) = delete;
    ~raw_file() { release(); }

    void acquire() {
        if (try_acquire()) return;
        // Kept no longer than the wait: who has a directory open keeps others from deleting it.
        const std::wstring directory = path_.substr(0, path_.rfind(L'\\') + 1);
        const HANDLE news = ::FindFirstChangeNotificationW(directory.c_str(), FALSE, FILE_NOTIFY_CHANGE_FILE_NAME);
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(raw_event::longest_wait);
        while (!try_acquire()) {
            constexpr DWORD longest_probe = 100;
            ::WaitForSingleObject(news, longest_probe);
            ::FindNextChangeNotification(news);
            if (std::chrono::steady_clock::now() > until) raw_event::gave_up();
        }
        ::FindCloseChangeNotification(news);
    }
    bool try_acquire() noexcept {
        constexpr DWORD flags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE;
        file_ = ::CreateFileW(path_.c_str(), GENERIC_READ, 0, nullptr, OPEN_ALWAYS, flags, nullptr);
        return file_ != INVALID_HANDLE_VALUE;
    }
    void release() noexcept {
        if (file_ != INVALID_HANDLE_VALUE) ::CloseHandle(std::exchange(file_, INVALID_HANDLE_VALUE));
    }

private:
    const std::wstring path_;
    HANDLE file_ = INVALID_HANDLE_VALUE;
};

template <class Raw>
contender raw_contender(const std::wstring& name) {
    const auto raw = std::make_shared<Raw>(name);
    return {[raw] { raw->acquire(); }, [raw] { raw->release(); }};
}

lock_handle acquire_for_ever(const lock& target) {
    return target.acquire();
}

std::wstring raw_event_name(const std::string& tag) {
    return L"Global\\holdfast-bench-" + core::to_wide(tag);
}

void system_rows(const std::string& text, const reporter& report) {
    const std::wstring name = raw_event_name(std::to_string(::GetCurrentProcessId()));
    const auto opened = [&] {
        const owned_handle event = make_event(name);
        ::WaitForSingleObject(event.get(), 0);
        ::SetEvent(event.get());
    };
    add_pairs(
        "system", "lock", "CreateEvent, wait, SetEvent, CloseHandle",
        [&](const provider_settings& settings) { return holdfast::open(text, settings); }, opened, report);
    const provider locks = holdfast::open(text);
    const lock one = locks.make_lock("bench");
    const owned_handle kept = make_event(name);
    const auto on_kept = [&] {
        ::WaitForSingleObject(kept.get(), 0);
        ::SetEvent(kept.get());
    };
    const pairing plan{.rounds = 7, .per_round = 200};
    report(make_row("system", "lock", "sync pair", measure_pairs([&] { one.acquire().release(); }, on_kept, plan), 0,
                    "wait, SetEvent, handle kept"));
    constexpr int tickets = 4;
    const semaphore several = locks.make_semaphore("bench-tickets", tickets);
    const auto raw_ticket = [&] {
        const owned_handle all = make_semaphore(name + L"-tickets", tickets);
        ::WaitForSingleObject(all.get(), 0);
        ::ReleaseSemaphore(all.get(), 1, nullptr);
    };
    report(make_row("system", "ticket", "sync pair",
                    measure_pairs([&] { several.acquire().release(); }, raw_ticket, plan), 0,
                    "CreateSemaphore, wait, ReleaseSemaphore, CloseHandle"));
}

provider open_files(const std::string& text, const provider_settings& settings = {}) {
    if (!url::parse(text).path().empty()) return holdfast::open(text, settings);
    file::options opts;
    opts.directory = (std::filesystem::temp_directory_path() / "holdfast-bench").string();
    return file::make_provider(opts, settings);
}

/// A file beside the lock's, which makes the directory.
std::wstring raw_path_beside(const lock& one) {
    one.acquire().release();
    return core::to_wide(std::string(one.mapped_name()) + ".raw");
}

void file_rows(const std::string& text, const reporter& report) {
    raw_file raw(raw_path_beside(open_files(text).make_lock("bench")));
    const auto raw_pair = [&] {
        raw.try_acquire();
        raw.release();
    };
    add_pairs(
        "file", "lock, deleted file", "CreateFile, CloseHandle",
        [&](const provider_settings& settings) { return open_files(text, settings); }, raw_pair, report);
}

std::vector<handoff_case> handoff_cases(const std::string& text, const std::string& tag) {
    const bool is_file = url::parse(text).scheme() == "file";
    const std::string name = "bench-hand-off-" + tag;
    const auto target = [=] { return (is_file ? open_files(text) : holdfast::open(text)).make_lock(name); };
    struct style {
        const char* text;
        acquire_function acquire;
    };
    const style styles[] = {
        {"sync hand-off, for ever", &acquire_for_ever},
        {"sync hand-off", &acquire_blocking},
        {"sync hand-off, can be cancelled",
         [stop = std::make_shared<std::stop_source>()](const lock& one) {
             return one.acquire(std::chrono::seconds(60), stop->get_token());
         }},
        {"async hand-off", &acquire_async},
    };
    std::vector<handoff_case> made;
    for (const style& each : styles) {
        handoff_case one{is_file ? "file" : "system", is_file ? "lock, deleted file" : "lock", each.text, {}, {}, {}};
        one.ours = [=] { return contender_of(target(), each.acquire); };
        if (is_file) {
            one.raw = [=] { return raw_contender<raw_file>(raw_path_beside(target())); };
            one.floor = "CreateFile, and again on news of the directory";
        } else {
            one.raw = [=] { return raw_contender<raw_event>(raw_event_name(tag)); };
            one.floor = "wait, SetEvent, handle kept";
        }
        made.push_back(std::move(one));
    }
    return made;
}

}  // namespace

bool measure_rows(const url& address, const std::string& text, const std::string&, const reporter& report) {
    if (play_second_side(&handoff_cases)) return true;
    pin_to(0);
    if (address.scheme() == "memory") {
        memory_rows(report);
    } else if (address.scheme() == "system") {
        system_rows(text, report);
    } else if (address.scheme() == "file") {
        file_rows(text, report);
    } else {
        return false;
    }
    unpin();
    if (address.scheme() != "memory") handoff_rows(text, &handoff_cases, report);
    return true;
}

}  // namespace holdfast::bench
