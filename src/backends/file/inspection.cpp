// What `list` and `examine` tell of a directory of lock files.
#include <backends/file/holder.hpp>
#include <backends/file/strategy.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

using grade = finding::grade;

/// The lock files of a directory, sorted. One that is not there yet has none.
std::vector<std::string> lock_files(const std::string& directory) {
    std::vector<std::string> found;
    std::error_code failed;
    for (std::filesystem::directory_iterator each(directory, failed), end; !failed && each != end;
         each.increment(failed)) {
        if (each->path().extension() == ".lock") found.push_back(each->path().string());
    }
    if (failed && failed != std::errc::no_such_file_or_directory) {
        throw error(failed == std::errc::permission_denied ? errc::permission : errc::unavailable,
                    "cannot read '" + directory + "': " + failed.message());
    }
    std::sort(found.begin(), found.end());
    return found;
}

lock_entry entry_of(const std::string& path) {
    lock_entry made;
    made.key = path;
    made.access = "exclusive";
    made.holder = describe_holder(path);
    if (made.holder.empty()) made.state = lock_entry::status::free;
    return made;
}

/// Two open files of one path, which must exclude each other.
finding try_exclusion(const settings& how) {
    const std::string path = how.opts.directory + "/holdfast-doctor-" + std::to_string(::getpid()) + ".lock";
    lock_file first(how, path);
    lock_file second(how, path);
    failure why;
    if (!first.open(why) || first.try_lock(why) != lock_file::result::locked) {
        return {grade::fault, "locking", why.text.empty() ? "'" + path + "' is locked by somebody else" : why.text};
    }
    const bool excluded = second.open(why) && second.try_lock(why) == lock_file::result::busy;
    first.release();
    if (!excluded) {
        return {grade::fault, "locking",
                "flock(2) does not exclude a second open file of '" + how.opts.directory +
                    "'; use a directory on a local file system"};
    }
    return {grade::good, "locking", "lock files can be made in '" + how.opts.directory + "', and exclude each other"};
}

finding look_at_permissions(const std::string& directory) {
    struct stat found {};
    if (::stat(directory.c_str(), &found) != 0) {
        return {grade::fault, "permissions", "'" + directory + "': " + std::generic_category().message(errno)};
    }
    const bool everybody = (found.st_mode & S_IWOTH) != 0;
    if (everybody && (found.st_mode & S_ISVTX) == 0) {
        return {grade::warning, "permissions",
                "everybody may delete the lock files in '" + directory + "', held or not; chmod +t it at least"};
    }
    if (everybody) {
        return {grade::warning, "permissions",
                "everybody may make lock files in '" + directory + "', and so keep others waiting"};
    }
    return {grade::good, "permissions", "only those who are meant to can write '" + directory + "'"};
}

finding look_at_inotify() {
    const int instance = ::inotify_init1(IN_CLOEXEC);
    if (instance < 0) {
        return {grade::warning, "inotify",
                "there is no inotify instance to be had (" + std::generic_category().message(errno) +
                    "), so waiters have to look again and again; raise fs.inotify.max_user_instances"};
    }
    ::close(instance);
    return {grade::good, "inotify", "waiters are woken by events"};
}

/// Deletes the files that nobody holds, each as its next holder would.
finding clean(const settings& how) {
    std::size_t deleted = 0;
    for (const std::string& path : lock_files(how.opts.directory)) {
        lock_file one(how, path);
        failure why;
        if (!one.open(why) || one.try_lock(why) != lock_file::result::locked) continue;
        if (one.is_current() && one.release()) ++deleted;
    }
    return {grade::good, "clean", "deleted " + std::to_string(deleted) + " lock files that nobody held"};
}

}  // namespace

std::vector<lock_entry> file_backend::list(const list_query& query) {
    if (!query.key.empty()) return {entry_of(query.key)};
    if (settings_->opts.exact_paths) {
        throw error(errc::unsupported, "lock files of exact paths are anywhere; name a directory, file:///DIRECTORY");
    }
    std::vector<lock_entry> found;
    for (const std::string& each : lock_files(settings_->opts.directory)) found.push_back(entry_of(each));
    return found;
}

std::vector<finding> file_backend::examine(const examination& how) {
    if (settings_->opts.exact_paths) {
        throw error(errc::unsupported, "exact paths have nothing in common to examine; name a directory");
    }
    struct stat found {};
    if (::stat(settings_->opts.directory.c_str(), &found) != 0 && errno == ENOENT) {
        // A look makes nothing.
        return {{grade::warning, "directory",
                 "'" + settings_->opts.directory + "' does not exist yet; the first lock makes it"},
                look_at_inotify()};
    }
    std::vector<finding> made{try_exclusion(*settings_)};
    made.push_back(look_at_permissions(settings_->opts.directory));
    made.push_back(look_at_inotify());
    // Kept files are kept on purpose.
    if (how.clean && settings_->deletes()) made.push_back(clean(*settings_));
    return made;
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
