// One lock file: opening it is locking it.
#ifndef HOLDFAST_BACKENDS_FILE_WINDOWS_LOCK_FILE_HPP
#define HOLDFAST_BACKENDS_FILE_WINDOWS_LOCK_FILE_HPP

#include <holdfast/error.hpp>

#include <string>
#include <string_view>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace file {

/// A path as Windows takes it at any length. @p full is absolute and without `.` and `..`.
std::wstring api_path(std::string_view full);

/** A file that is open to nobody else, as .NET's lock files are: share mode 0, and deleted as it is closed.

    Nobody can delete or replace it while it is open, so a lock that is had is not lost.

    Thread safety: one thread at a time.
*/
class lock_file {
public:
    enum class result {
        locked,
        busy,
        /// Perhaps a file that is just being deleted; worth another try, for a while.
        denied,
        failed,
    };
    struct failure {
        errc code = errc::unavailable;
        int native_code = 0;
        std::string text = {};
    };

    lock_file(const std::string& path, bool deletes) : path_(path), api_path_(api_path(path)), deletes_(deletes) {}
    lock_file(const lock_file&) = delete;
    lock_file& operator=(const lock_file&) = delete;
    ~lock_file() { close(); }

    /// Makes file and directories where they are missing. @param why set unless locked or busy
    result try_lock(failure& why);
    /// Also unlocks it, and deletes it.
    void close() noexcept;
    bool is_locked() const noexcept { return file_ != INVALID_HANDLE_VALUE; }
    HANDLE handle() const noexcept { return file_; }

private:
    result fail(DWORD error, failure& why) const;
    bool make_directories(failure& why) const;

    const std::string path_;
    const std::wstring api_path_;
    const bool deletes_;
    HANDLE file_ = INVALID_HANDLE_VALUE;
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
