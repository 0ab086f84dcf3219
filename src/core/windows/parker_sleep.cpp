// Where threads sleep: an event.
#include <core/parker.hpp>

#include <core/windows/timeout.hpp>

#include <algorithm>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

void CALLBACK close_event(void* event) noexcept {
    ::CloseHandle(event);
}

/// Where Windows keeps something for each thread, until the thread ends. Never given back: until the process has ended,
/// a thread may sleep.
DWORD make_place_of_threads() noexcept {
    // If this is a library, it has to stay: each thread that ends calls it.
    HMODULE ours = nullptr;
    ::GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                         reinterpret_cast<const wchar_t*>(&close_event), &ours);
    return ::FlsAlloc(close_event);
}

/** One auto-reset event a thread, kept for its next wait.

    Not a thread_local object: GCC's emulation of those on Windows frees a thread's memory before it calls their
    destructors, which would close whatever another thread has put there.

    @return null when there is none to be had
*/
HANDLE event_of_this_thread() noexcept {
    static const DWORD place = make_place_of_threads();
    if (place == FLS_OUT_OF_INDEXES) return nullptr;
    HANDLE event = ::FlsGetValue(place);
    if (event != nullptr) return event;
    event = ::CreateEventW(nullptr, FALSE, FALSE, nullptr);
    if (event != nullptr && ::FlsSetValue(place, event) == 0) {
        ::CloseHandle(event);
        return nullptr;
    }
    return event;
}

}  // namespace

std::intptr_t parker::own_event() noexcept {
    const HANDLE event = event_of_this_thread();
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
