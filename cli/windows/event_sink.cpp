// A thread of its own does the writing: no other way of Windows' leaves a full pipe alone that works with each kind of
// handle, and changes nothing for others who have it too (a pipe's mode is everybody's).
#include "../event_sink.hpp"

#include <core/thread.hpp>
#include <core/windows/wide.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <io.h>

#include <windows.h>

#include <winternl.h>

namespace holdfast::cli {
namespace {

/// What waits for the reader beside what the pipe holds: as much as Linux's pipes hold.
constexpr std::size_t most_waiting = 65536;
/// How long a line may take before those who follow do not wait for theirs. It is there for the order of things: an
/// event is usually out before what comes after it.
constexpr std::chrono::milliseconds usual_time{20};
/// How long a reader may take, at the end, for what waits for it.
constexpr std::chrono::seconds last_patience{1};

/// The lines that wait, and the thread's work. Shared by the two, and by nobody else.
class line_queue {
public:
    /// @param file closed at the end
    explicit line_queue(HANDLE file) : file_(file), done_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {
        if (done_ != nullptr) return;
        const DWORD failed = ::GetLastError();
        ::CloseHandle(file_);
        throw std::system_error(static_cast<int>(failed), std::system_category(), "cannot make an event");
    }
    line_queue(const line_queue&) = delete;
    line_queue& operator=(const line_queue&) = delete;
    ~line_queue() {
        ::CloseHandle(file_);
        ::CloseHandle(done_);
    }

    std::int64_t take_lost() {
        const std::lock_guard guard(mutex_);
        return std::exchange(lost_, 0);
    }

    void add(std::string line, std::int64_t tells) {
        std::unique_lock lock(mutex_);
        if (waiting_ > 0 && waiting_ + line.size() > most_waiting) {
            lost_ += tells + 1;
            return;
        }
        waiting_ += line.size();
        lines_.push_back({std::move(line), tells});
        changed_.notify_all();
        // Waited for once, and not again until the reader has caught up.
        if (!late_) late_ = !changed_.wait_for(lock, usual_time, [this] { return waiting_ == 0; });
    }

    /// Gives the reader time for the rest. False: the thread stands in a write that may never end.
    bool finish() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, last_patience, [this] { return waiting_ == 0; })) return false;
        ending_ = true;
        changed_.notify_all();
        return true;
    }

    void work() noexcept {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || !lines_.empty(); });
            if (lines_.empty()) return;
            const waiting_line next = std::move(lines_.front());
            lines_.pop_front();
            lock.unlock();
            const bool written = write(next.text);
            lock.lock();
            if (!written) lost_ += next.tells + 1;
            waiting_ -= next.text.size();
            if (waiting_ == 0) late_ = false;
            changed_.notify_all();
        }
    }

private:
    struct waiting_line {
        std::string text;
        std::int64_t tells;
    };

    bool write(const std::string& text) noexcept {
        // For handles that were opened for overlapped operations, which the others take, too. A file is written at its
        // end. The lowest bit: should the handle have a completion port, that is not told.
        OVERLAPPED how{};
        how.Offset = how.OffsetHigh = 0xFFFFFFFF;
        how.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(done_) | 1);
        DWORD size = 0;
        if (!::WriteFile(file_, text.data(), static_cast<DWORD>(text.size()), &size, &how) &&
            (::GetLastError() != ERROR_IO_PENDING || !::GetOverlappedResult(file_, &how, &size, TRUE))) {
            return false;
        }
        return size == text.size();
    }

    const HANDLE file_;
    const HANDLE done_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<waiting_line> lines_;
    /// Bytes that are not written yet.
    std::size_t waiting_ = 0;
    std::int64_t lost_ = 0;
    bool late_ = false;
    bool ending_ = false;
};

class thread_sink final : public event_sink {
public:
    explicit thread_sink(HANDLE file)
        : queue_(std::make_shared<line_queue>(file)),
          thread_(core::start_thread("holdfast-events", [queue = queue_] { queue->work(); })) {}
    ~thread_sink() override {
        if (queue_->finish()) {
            thread_.join();
        } else {
            // It goes with the process, which is about to end.
            thread_.detach();
        }
    }

    std::int64_t take_lost() override { return queue_->take_lost(); }
    void write(std::string line, std::int64_t tells) override { queue_->add(std::move(line), tells); }

private:
    const std::shared_ptr<line_queue> queue_;
    std::thread thread_;
};

/// Nothing, where Microsoft's newer C runtime would end the program.
void ignore_wrong_parameter(const wchar_t*, const wchar_t*, const wchar_t*, unsigned, std::uintptr_t) {}

/// Null when it is not open.
HANDLE handle_of(int descriptor) noexcept {
    const auto before = ::_set_invalid_parameter_handler(&ignore_wrong_parameter);
    const std::intptr_t found = ::_get_osfhandle(descriptor);
    ::_set_invalid_parameter_handler(before);
    // -2: a standard descriptor of a program that has none.
    return found == -1 || found == -2 ? nullptr : reinterpret_cast<HANDLE>(found);
}

bool is_standard(HANDLE handle) noexcept {
    const std::array standard{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (const DWORD each : standard) {
        if (::GetStdHandle(each) == handle) return true;
    }
    return false;
}

/// True where Windows does not tell, and each write will.
bool may_be_written(HANDLE handle) noexcept {
    using query_object = LONG WINAPI(HANDLE, int, void*, ULONG, ULONG*);
    const FARPROC found = ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), "NtQueryObject");
    auto* const query = reinterpret_cast<query_object*>(reinterpret_cast<void*>(found));
    constexpr int basic_information = 0;
    PUBLIC_OBJECT_BASIC_INFORMATION about{};
    if (query == nullptr || query(handle, basic_information, &about, sizeof about, nullptr) < 0) return true;
    return (about.GrantedAccess & FILE_WRITE_DATA) != 0 ||
           (::GetFileType(handle) == FILE_TYPE_DISK && (about.GrantedAccess & FILE_APPEND_DATA) != 0);
}

/// For us alone: the command does not inherit it. @throws usage_error
HANDLE copy_of(HANDLE handle, const std::string& option) {
    if (!may_be_written(handle)) throw usage_error(option + ": not open for writing");
    HANDLE copy = nullptr;
    const HANDLE here = ::GetCurrentProcess();
    if (!::DuplicateHandle(here, handle, here, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        const DWORD failed = ::GetLastError();
        throw std::system_error(static_cast<int>(failed), std::system_category(), option);
    }
    return copy;
}

HANDLE open_descriptor(int descriptor) {
    const std::string option = "--json-fd " + std::to_string(descriptor);
    const HANDLE handle = handle_of(descriptor);
    if (handle == nullptr) {
        throw usage_error(option +
                          ": not open; it is a descriptor of the C runtime, for most callers 1 or 2 (2>events). For a "
                          "handle there is --json-handle");
    }
    const HANDLE copy = copy_of(handle, option);
    if (descriptor >= 3 && !is_standard(handle)) ::_close(descriptor);
    return copy;
}

HANDLE open_handle(int number) {
    const std::string option = "--json-handle " + std::to_string(number);
    const HANDLE handle = reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(number));
    DWORD flags = 0;
    // One of our own, of which the number cannot speak, is not inheritable.
    if (!::GetHandleInformation(handle, &flags) || (flags & HANDLE_FLAG_INHERIT) == 0) {
        throw usage_error(option + ": not a handle that was inherited");
    }
    if (::GetFileType(handle) == FILE_TYPE_UNKNOWN) throw usage_error(option + ": not a file, pipe or console");
    const HANDLE copy = copy_of(handle, option);
    if (!is_standard(handle)) ::CloseHandle(handle);
    return copy;
}

}  // namespace

std::unique_ptr<event_sink> open_event_sink(const event_target& target) {
    return std::make_unique<thread_sink>(target.is_handle ? open_handle(target.number)
                                                          : open_descriptor(target.number));
}

}  // namespace holdfast::cli
