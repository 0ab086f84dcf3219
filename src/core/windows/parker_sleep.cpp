// Where threads sleep: an event.
#include <core/parker.hpp>

#include <core/windows/timeout.hpp>

#include <algorithm>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// One auto-reset event a thread, kept for its next wait.
class thread_event {
public:
    thread_event() = default;
    thread_event(const thread_event&) = delete;
    thread_event& operator=(const thread_event&) = delete;
    ~thread_event() {
        if (event_ != nullptr) ::CloseHandle(event_);
    }

    /// Null when there is none to be had.
    HANDLE handle() noexcept {
        if (event_ == nullptr) event_ = ::CreateEventW(nullptr, FALSE, FALSE, nullptr);
        return event_;
    }

private:
    HANDLE event_ = nullptr;
};

thread_local thread_event this_thread_event;

}  // namespace

void parker::ring(std::intptr_t event) noexcept {
    ::SetEvent(reinterpret_cast<HANDLE>(event));
}

/// No link has a descriptor here.
bool parker::park(boottime::time_point until, int, short) noexcept {
    const HANDLE event = this_thread_event.handle();
    event_.store(event == nullptr ? -1 : reinterpret_cast<std::intptr_t>(event), std::memory_order_release);
    unsigned expected = idle;
    if (!state_.compare_exchange_strong(expected, asleep, std::memory_order_acq_rel)) {
        state_.store(idle, std::memory_order_release);
        return false;
    }
    bool rung = false;
    if (event == nullptr) {
        // Nobody can rouse us: look again often, which is slow but true.
        ::Sleep(std::min<DWORD>(2, milliseconds_until(until)));
    } else {
        rung = ::WaitForSingleObject(event, milliseconds_until(until)) == WAIT_OBJECT_0;
    }
    if (state_.exchange(idle, std::memory_order_acq_rel) == roused && event != nullptr && !rung) {
        // Whoever roused us may not have set the event yet, and must have before this thread's next wait, or its end.
        ::WaitForSingleObject(event, INFINITE);
    }
    return false;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
