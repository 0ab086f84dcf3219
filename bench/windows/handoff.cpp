#include "handoff.hpp"

#include <core/windows/wide.hpp>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <windows.h>

namespace holdfast::bench {
namespace {

constexpr const char* page_variable = "HOLDFAST_BENCH_PAGE";

struct handle_closer {
    void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};
using owned_handle = std::unique_ptr<void, handle_closer>;

[[noreturn]] void fail(const char* what) {
    throw error(errc::unavailable, std::string(what) + ": " + core::system_message(::GetLastError()));
}

/// What both processes see: what is to be measured, and how far it is.
struct shared_page {
    char text[4096] = {};
    char tag[32] = {};
    std::size_t which = 0;
    bool raw = false;
    bool pinned = false;
    int count = 0;
    /// The first process, for the second one.
    HANDLE first = nullptr;

    std::atomic<std::int64_t> released_at{0};
    std::atomic<int> turn{0};
    std::atomic<int> waiting{0};
    std::atomic<int> acquired{0};
};

/// Its memory, mapped; what is there is not ended with it.
class mapped_page {
public:
    explicit mapped_page(HANDLE section)
        : at_(::MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, sizeof(shared_page))) {
        if (at_ == nullptr) fail("cannot map memory");
    }
    mapped_page(const mapped_page&) = delete;
    mapped_page& operator=(const mapped_page&) = delete;
    ~mapped_page() { ::UnmapViewOfFile(at_); }
    void* get() const noexcept { return at_; }

private:
    void* const at_;
};

/// By the performance counter, which is the machine's.
std::int64_t now() noexcept {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Long enough that a waiter is asleep in the kernel, on one processor too.
void let_the_other_fall_asleep(HANDLE other) {
    if (::WaitForSingleObject(other, 1) != WAIT_TIMEOUT) {
        throw error(errc::unavailable, "the other process of a hand-off has ended");
    }
}

/// Both sides run this; side 0 begins holding. See ../handoff.cpp.
samples play(shared_page& page, const contender& self, int side, HANDLE other) {
    pin_to(page.pinned ? 0 : side);
    samples taken;
    if (side == 0) self.acquire();
    page.turn.fetch_add(1);
    while (page.turn.load() < 2) let_the_other_fall_asleep(other);
    for (int i = 0; i < page.count; ++i) {
        if ((i + side) % 2 == 0) {
            while (page.waiting.load() <= i) let_the_other_fall_asleep(other);
            let_the_other_fall_asleep(other);
            page.released_at.store(now());
            self.release();
            while (page.acquired.load() <= i) let_the_other_fall_asleep(other);
        } else {
            page.waiting.store(i + 1);
            self.acquire();
            taken.push_back(static_cast<double>(now() - page.released_at.load()) / 1000.0);
            page.acquired.store(i + 1);
        }
    }
    if ((page.count + side) % 2 == 0) self.release();
    return taken;
}

contender contender_for(const shared_page& page, const case_maker& make) {
    const handoff_case chosen = make(page.text, page.tag).at(page.which);
    return page.raw ? chosen.raw() : chosen.ours();
}

/// This program once more. It ends with us, whatever ends us.
class second_process {
public:
    explicit second_process(HANDLE section) : job_(::CreateJobObjectW(nullptr, nullptr)) {
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        if (!job_ ||
            !::SetInformationJobObject(job_.get(), JobObjectExtendedLimitInformation, &limits, sizeof limits)) {
            fail("cannot make a job object");
        }
        std::wstring path(32768, L'\0');
        path.resize(::GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size())));
        // What it measures stands in the page.
        wchar_t line[] = L"holdfast bench --json --url memory:";
        STARTUPINFOW how{};
        how.cb = sizeof how;
        PROCESS_INFORMATION made{};
        ::SetEnvironmentVariableA(page_variable, std::to_string(reinterpret_cast<std::uintptr_t>(section)).c_str());
        const BOOL started = ::CreateProcessW(path.c_str(), line, nullptr, nullptr, TRUE, CREATE_SUSPENDED, nullptr,
                                              nullptr, &how, &made);
        const DWORD failed = ::GetLastError();
        ::SetEnvironmentVariableA(page_variable, nullptr);
        ::SetLastError(failed);
        if (!started) fail("cannot start a second process");
        process_.reset(made.hProcess);
        const owned_handle thread(made.hThread);
        if (!::AssignProcessToJobObject(job_.get(), process_.get())) {
            const DWORD refused = ::GetLastError();
            ::TerminateProcess(process_.get(), 1);
            ::SetLastError(refused);
            fail("cannot put the second process into a job");
        }
        ::ResumeThread(thread.get());
    }

    HANDLE get() const noexcept { return process_.get(); }
    void await_end() const { ::WaitForSingleObject(process_.get(), INFINITE); }

private:
    owned_handle job_;
    owned_handle process_;
};

samples measure_once(const std::string& text, const case_maker& make, std::size_t which, bool raw, bool pinned,
                     int count) {
    SECURITY_ATTRIBUTES inherited{sizeof inherited, nullptr, TRUE};
    const owned_handle section(
        ::CreateFileMappingW(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE, 0, sizeof(shared_page), nullptr));
    if (!section) fail("cannot make shared memory");
    HANDLE found = nullptr;
    const HANDLE here = ::GetCurrentProcess();
    if (!::DuplicateHandle(here, here, here, &found, SYNCHRONIZE, TRUE, 0)) fail("cannot duplicate a handle");
    const owned_handle first(found);
    const mapped_page memory(section.get());
    auto& page = *new (memory.get()) shared_page;
    if (text.size() >= sizeof page.text) throw error(errc::invalid_options, "the URL is far too long");
    std::memcpy(page.text, text.data(), text.size());
    const std::string tag = std::to_string(::GetCurrentProcessId());
    std::memcpy(page.tag, tag.data(), tag.size());
    page.which = which;
    page.raw = raw;
    page.pinned = pinned;
    page.count = count;
    page.first = first.get();
    const second_process other(section.get());
    samples taken = play(page, contender_for(page, make), 0, other.get());
    other.await_end();
    unpin();
    return taken;
}

}  // namespace

void handoff_rows(const std::string& text, const case_maker& make, const std::function<void(const row&)>& report) {
    constexpr int rounds = 5;
    constexpr int per_round = 40;
    const std::vector<handoff_case> cases = make(text, std::to_string(::GetCurrentProcessId()));
    for (const bool pinned : {true, false}) {
        for (std::size_t at = 0; at < cases.size(); ++at) {
            const auto measured =
                measure_rounds([&] { return measure_once(text, make, at, false, pinned, per_round); },
                               [&] { return measure_once(text, make, at, true, pinned, per_round); }, rounds);
            const handoff_case& each = cases[at];
            report(make_row(each.backend, each.kind, each.style + (pinned ? ", one processor" : ", two processors"),
                            measured, 0, each.floor));
        }
    }
}

bool play_second_side(const case_maker& make) {
    const char* const number = std::getenv(page_variable);
    if (number == nullptr) return false;
    const mapped_page memory(reinterpret_cast<HANDLE>(std::uintptr_t{std::strtoul(number, nullptr, 10)}));
    auto& page = *static_cast<shared_page*>(memory.get());
    play(page, contender_for(page, make), 1, page.first);
    return true;
}

}  // namespace holdfast::bench
