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

std::intptr_t parker::own_event() noexcept {
    const HANDLE event = this_thread_event.handle();
    return event == nullptr ? -1 : reinterpret_cast<std::intptr_t>(event);
}

void parker::ring(std::intptr_t event) noexcept {
    ::SetEvent(reinterpret_cast<HANDLE>(event));
}

/// No link has a descriptor here.
parker::awakening parker::sleep(std::intptr_t event, boottime::time_point until, int, short) noexcept {
    if (event == -1) {
        // Nobody can rouse us: look again often, which is slow but true.
        ::Sleep(std::min<DWORD>(2, milliseconds_until(until)));
        return {};
    }
    const DWORD ended = ::WaitForSingleObject(reinterpret_cast<HANDLE>(event), milliseconds_until(until));
    return {ended == WAIT_OBJECT_0, false};
}

void parker::take_ring(std::intptr_t event) noexcept {
    ::WaitForSingleObject(reinterpret_cast<HANDLE>(event), INFINITE);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
