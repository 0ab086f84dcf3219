// What `holdfast bench` measures on Windows: pairs, against the same calls without Holdfast.
#include "../rows.hpp"

#include "../lock_bodies.hpp"
#include "../memory_rows.hpp"

#include <core/windows/wide.hpp>

#include <holdfast/holdfast.hpp>

#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

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

void system_rows(const std::string& text, const reporter& report) {
    const std::wstring name = L"Global\\holdfast-bench-" + std::to_wstring(::GetCurrentProcessId());
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

void file_rows(const url& address, const std::string& text, const reporter& report) {
    file::options opts;
    opts.directory = (std::filesystem::temp_directory_path() / "holdfast-bench").string();
    const auto make = [&](const provider_settings& settings) {
        return address.path().empty() ? file::make_provider(opts, settings) : holdfast::open(text, settings);
    };
    const std::wstring path = core::to_wide(std::string(make({}).make_lock("bench").mapped_name()) + ".raw");
    // It makes the directory.
    make({}).make_lock("bench").acquire().release();
    const auto raw = [&] {
        constexpr DWORD flags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE;
        ::CloseHandle(::CreateFileW(path.c_str(), GENERIC_READ, 0, nullptr, OPEN_ALWAYS, flags, nullptr));
    };
    add_pairs("file", "lock, deleted file", "CreateFile, CloseHandle", make, raw, report);
}

}  // namespace

bool measure_rows(const url& address, const std::string& text, const std::string&, const reporter& report) {
    pin_to(0);
    if (address.scheme() == "memory") {
        memory_rows(report);
    } else if (address.scheme() == "system") {
        system_rows(text, report);
    } else if (address.scheme() == "file") {
        file_rows(address, text, report);
    } else {
        return false;
    }
    unpin();
    return true;
}

}  // namespace holdfast::bench
