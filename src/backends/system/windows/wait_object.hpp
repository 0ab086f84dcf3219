// One handle of a named kernel object: an event that is a lock, or a semaphore.
#ifndef HOLDFAST_BACKENDS_SYSTEM_WINDOWS_WAIT_OBJECT_HPP
#define HOLDFAST_BACKENDS_SYSTEM_WINDOWS_WAIT_OBJECT_HPP

#include <holdfast/config.hpp>

#include <string>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace system {

/** What .NET's EventWaitHandleDistributedLock and WaitHandleDistributedSemaphore use, under the same names.

    A lock is an auto-reset event, set while it is free; a semaphore counts free tickets. Both are there as long as
    anybody has a handle, and are made anew, free, by the next one to ask.

    Thread safety: distinct objects safe.
*/
class wait_object {
public:
    enum class kind { event, semaphore };

    wait_object(kind what, std::wstring name, int max_count) noexcept
        : kind_(what), name_(std::move(name)), max_count_(max_count) {}
    wait_object(const wait_object&) = delete;
    wait_object& operator=(const wait_object&) = delete;
    ~wait_object() { close(); }

    /** Makes it, open to everybody, or opens what is there. 0, or the error's number.

        ERROR_ACCESS_DENIED: whoever makes it in this moment may not have opened it to us yet; worth another try.
        ERROR_INVALID_HANDLE: the name is that of something else.
    */
    DWORD open() noexcept;
    void close() noexcept;
    bool is_open() const noexcept { return handle_ != nullptr; }
    HANDLE handle() const noexcept { return handle_; }

    /// Takes it if it is free. @return WAIT_OBJECT_0, WAIT_TIMEOUT or WAIT_FAILED
    DWORD try_take() noexcept { return ::WaitForSingleObject(handle_, 0); }
    /// 0, or the error's number.
    DWORD give_back() noexcept;

private:
    const kind kind_;
    const std::wstring name_;
    const int max_count_;
    HANDLE handle_ = nullptr;
};

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
