// What `list` and `examine` tell of a directory of lock files.
#include <backends/file/windows/lock_file.hpp>
#include <backends/file/windows/strategy.hpp>
#include <core/windows/wide.hpp>
#include <names/names.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

using grade = finding::grade;

/// With the separator at its end.
std::string full_directory(const options& opts) {
    const std::string some_file = names::exact_file_path(opts.directory + "\\x");
    return some_file.substr(0, some_file.size() - 1);
}

/// The lock files of a directory, sorted. One that is not there yet has none.
std::vector<std::string> lock_files(const options& opts) {
    const std::string prefix = full_directory(opts);
    std::vector<std::string> found;
    WIN32_FIND_DATAW each{};
    const HANDLE search = ::FindFirstFileW(api_path(prefix + "*.lock").c_str(), &each);
    if (search == INVALID_HANDLE_VALUE) {
        const DWORD failed = ::GetLastError();
        if (failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND) return found;
        throw error(failed == ERROR_ACCESS_DENIED ? errc::permission : errc::unavailable,
                    "cannot read '" + opts.directory + "': " + core::system_message(failed));
    }
    do {
        if (const auto name = core::to_utf8(each.cFileName)) found.push_back(prefix + *name);
    } while (::FindNextFileW(search, &each));
    ::FindClose(search);
    std::sort(found.begin(), found.end());
    return found;
}

/// Whether somebody has it open, as holders do. Who takes the lock in this very moment may be refused once.
bool is_held(const std::wstring& path) {
    constexpr DWORD all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const HANDLE file = ::CreateFileW(path.c_str(), GENERIC_READ, all, nullptr, OPEN_EXISTING, 0, nullptr);
    if (file == INVALID_HANDLE_VALUE) return ::GetLastError() == ERROR_SHARING_VIOLATION;
    ::CloseHandle(file);
    return false;
}

lock_entry entry_of(const std::string& path) {
    lock_entry made;
    made.key = path;
    made.access = "exclusive";
    if (!is_held(api_path(path))) made.state = lock_entry::status::free;
    return made;
}

/// Two handles of one path, which must exclude each other; and the file must go with the last.
finding try_exclusion(const options& opts) {
    const std::string path =
        full_directory(opts) + "holdfast-doctor-" + std::to_string(::GetCurrentProcessId()) + ".lock";
    lock_file first(path, true);
    lock_file second(path, true);
    lock_file::failure why;
    if (first.try_lock(why) != lock_file::result::locked) {
        return {grade::fault, "locking", why.text.empty() ? "'" + path + "' is locked by somebody else" : why.text};
    }
    const bool excluded = second.try_lock(why) == lock_file::result::busy;
    first.close();
    second.close();
    if (!excluded) {
        return {grade::fault, "locking",
                "share mode 0 does not exclude a second handle in '" + opts.directory +
                    "'; use a directory on a local drive"};
    }
    if (::GetFileAttributesW(api_path(path).c_str()) != INVALID_FILE_ATTRIBUTES) {
        return {grade::warning, "locking",
                "lock files in '" + opts.directory + "' exclude each other, but are not deleted as they are closed"};
    }
    return {grade::good, "locking", "lock files can be made in '" + opts.directory + "', and exclude each other"};
}

finding look_at_drive(const options& opts) {
    const std::wstring directory = api_path(full_directory(opts));
    std::wstring root(directory.size() + 2, L'\0');
    if (!::GetVolumePathNameW(directory.c_str(), root.data(), static_cast<DWORD>(root.size()))) {
        return {grade::warning, "drive", "cannot tell its kind: " + core::system_message(::GetLastError())};
    }
    if (::GetDriveTypeW(root.c_str()) == DRIVE_REMOTE) {
        return {grade::warning, "drive",
                "'" + opts.directory + "' is on another machine: whoever it takes for dead has lost its locks"};
    }
    return {grade::good, "drive", "'" + opts.directory + "' is on this machine"};
}

finding look_at_news(const options& opts) {
    const HANDLE news =
        ::FindFirstChangeNotificationW(api_path(full_directory(opts)).c_str(), FALSE, FILE_NOTIFY_CHANGE_FILE_NAME);
    if (news == INVALID_HANDLE_VALUE) {
        return {grade::warning, "news", "there is no news of deleted files, so waiters have to look again and again"};
    }
    ::FindCloseChangeNotification(news);
    return {grade::good, "news", "waiters are told of files that are deleted"};
}

/// Deletes the files that nobody holds, each as its next holder would.
finding clean(const options& opts) {
    std::size_t deleted = 0;
    for (const std::string& path : lock_files(opts)) {
        lock_file one(path, true);
        lock_file::failure why;
        if (one.try_lock(why) == lock_file::result::locked) ++deleted;
    }
    return {grade::good, "clean", "deleted " + std::to_string(deleted) + " lock files that nobody held"};
}

}  // namespace

std::vector<lock_entry> windows_backend::list(const list_query& query) {
    if (!query.key.empty()) return {entry_of(query.key)};
    if (options_.exact_paths) {
        throw error(errc::unsupported,
                    "lock files of exact paths are anywhere; name a directory, file:///C:/DIRECTORY");
    }
    std::vector<lock_entry> found;
    for (const std::string& each : lock_files(options_)) found.push_back(entry_of(each));
    return found;
}

std::vector<finding> windows_backend::examine(const examination& how) {
    if (options_.exact_paths) {
        throw error(errc::unsupported, "exact paths have nothing in common to examine; name a directory");
    }
    std::vector<finding> made{try_exclusion(options_), look_at_drive(options_), look_at_news(options_)};
    // Kept files are kept on purpose.
    if (how.clean && deletes()) made.push_back(clean(options_));
    return made;
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
