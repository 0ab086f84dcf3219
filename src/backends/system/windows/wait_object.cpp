#include <backends/system/windows/wait_object.hpp>

#include <utility>

#include <sddl.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

/// Full control for everybody, from the first moment on, as .NET gives it a moment later.
SECURITY_ATTRIBUTES* for_everybody() noexcept {
    static SECURITY_ATTRIBUTES* const made = []() -> SECURITY_ATTRIBUTES* {
        static SECURITY_ATTRIBUTES attributes{sizeof(SECURITY_ATTRIBUTES), nullptr, FALSE};
        const BOOL good = ::ConvertStringSecurityDescriptorToSecurityDescriptorW(
            L"D:(A;;GA;;;WD)", SDDL_REVISION_1, &attributes.lpSecurityDescriptor, nullptr);
        return good ? &attributes : nullptr;
    }();
    return made;
}

}  // namespace

DWORD wait_object::open() noexcept {
    close();
    SECURITY_ATTRIBUTES* const attributes = for_everybody();
    // Without it, nobody else could use the object.
    if (attributes == nullptr) return ::GetLastError();
    const bool is_event = kind_ == kind::event;
    handle_ = is_event ? ::CreateEventW(attributes, FALSE, TRUE, name_.c_str())
                       : ::CreateSemaphoreW(attributes, max_count_, max_count_, name_.c_str());
    if (handle_ != nullptr) return 0;
    const DWORD refused = ::GetLastError();
    if (refused != ERROR_ACCESS_DENIED) return refused;
    // Whoever may not do everything with it may still be allowed to do this.
    handle_ = is_event ? ::OpenEventW(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, name_.c_str())
                       : ::OpenSemaphoreW(SYNCHRONIZE | SEMAPHORE_MODIFY_STATE, FALSE, name_.c_str());
    return handle_ != nullptr ? 0 : refused;
}

void wait_object::close() noexcept {
    if (const HANDLE closing = std::exchange(handle_, nullptr)) ::CloseHandle(closing);
}

DWORD wait_object::give_back() noexcept {
    const BOOL good = kind_ == kind::event ? ::SetEvent(handle_) : ::ReleaseSemaphore(handle_, 1, nullptr);
    return good ? 0 : ::GetLastError();
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
