#include <backends/file/windows/lock_file.hpp>

#include <core/windows/wide.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace file {

std::wstring api_path(std::string_view full) {
    // What is shorter is understood without, and looks better in other programs.
    constexpr std::size_t longest = 240;
    std::wstring made = core::to_wide(full);
    if (made.size() < longest || made.starts_with(L"\\\\?\\")) return made;
    if (made.starts_with(L"\\\\")) return L"\\\\?\\UNC" + made.substr(1);
    return L"\\\\?\\" + made;
}

lock_file::result lock_file::try_lock(failure& why) {
    // Each round after the first has made a directory that somebody deleted meanwhile.
    for (int round = 0;; ++round) {
        const DWORD flags = FILE_ATTRIBUTE_NORMAL | (deletes_ ? FILE_FLAG_DELETE_ON_CLOSE : 0U);
        file_ = ::CreateFileW(api_path_.c_str(), GENERIC_READ, 0, nullptr, OPEN_ALWAYS, flags, nullptr);
        if (is_locked()) {
            // NUL, and NUL.lock in any directory, is a device, of which everybody may have a handle: no lock.
            if (::GetFileType(file_) == FILE_TYPE_DISK) return result::locked;
            close();
            why = {errc::invalid_name, 0, "'" + path_ + "' is a device; give the path of a file"};
            return result::failed;
        }
        const DWORD error = ::GetLastError();
        if (error == ERROR_SHARING_VIOLATION || error == ERROR_LOCK_VIOLATION) return result::busy;
        constexpr int most_rounds = 100;
        if (error != ERROR_PATH_NOT_FOUND || round >= most_rounds) return fail(error, why);
        if (!make_directories(why)) return result::failed;
    }
}

void lock_file::close() noexcept {
    const HANDLE closing = std::exchange(file_, INVALID_HANDLE_VALUE);
    if (closing != INVALID_HANDLE_VALUE) ::CloseHandle(closing);
}

lock_file::result lock_file::fail(DWORD error, failure& why) const {
    why = {errc::unavailable, static_cast<int>(error), "cannot open '" + path_ + "': " + core::system_message(error)};
    if (error == ERROR_ACCESS_DENIED) {
        why.code = errc::permission;
        const DWORD attributes = ::GetFileAttributesW(api_path_.c_str());
        if (attributes == INVALID_FILE_ATTRIBUTES) return result::denied;
        if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
            why.code = errc::invalid_name;
            why.text = "'" + path_ + "' is a directory; give the path of a file";
        } else if ((attributes & FILE_ATTRIBUTE_READONLY) != 0 && deletes_) {
            why.code = errc::unsupported;
            why.text = "'" + path_ + "' is read-only, and could not be deleted on release";
        } else {
            return result::denied;
        }
    } else if (error == ERROR_INVALID_NAME || error == ERROR_FILENAME_EXCED_RANGE || error == ERROR_DIRECTORY) {
        why.code = errc::invalid_name;
    }
    return result::failed;
}

bool lock_file::make_directories(failure& why) const {
    // From the top; those that are there already, or a drive or share, only say so.
    DWORD error = 0;
    for (std::size_t end = api_path_.find(L'\\', 4); end != std::wstring::npos; end = api_path_.find(L'\\', end + 1)) {
        error = ::CreateDirectoryW(api_path_.substr(0, end).c_str(), nullptr) ? 0 : ::GetLastError();
    }
    if (error == 0 || error == ERROR_ALREADY_EXISTS) return true;
    why = {error == ERROR_ACCESS_DENIED ? errc::permission : errc::unavailable, static_cast<int>(error),
           "cannot make the directory of '" + path_ + "': " + core::system_message(error)};
    return false;
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
