#include <backends/system/published_file.hpp>
#include <backends/system/semaphore_set.hpp>

#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

/// The set that the deleted file behind @p link publishes.
std::optional<std::int32_t> orphan_at(const std::string& link, const struct stat& directory, const header& here) {
    const int file = ::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return std::nullopt;
    struct stat status {};
    header there;
    const bool ours = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0 &&
                      status.st_uid == ::geteuid() && status.st_dev == directory.st_dev &&
                      ::pread(file, &there, sizeof there, 0) == static_cast<ssize_t>(sizeof there);
    ::close(file);
    if (!ours || there.magic != file_magic || there.version != file_version || there.state != is_published ||
        there.boot != here.boot || there.ipc_namespace != here.ipc_namespace) {
        return std::nullopt;
    }
    return there.id;
}

}  // namespace

bool look_at_place(header& here) {
    struct stat found {};
    if (::stat("/proc/self/ns/ipc", &found) != 0) return false;
    here.ipc_namespace = found.st_ino;
    const int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t length = ::read(file, here.boot.data(), 36);
    ::close(file);
    return length == 36;
}

int remove_orphans(const std::string& directory) {
    namespace fs = std::filesystem;
    std::error_code failed;
    const std::string beginning = fs::canonical(directory, failed).string() + "/";
    constexpr std::string_view ending = " (deleted)";
    struct stat status {};
    header here;
    if (failed || ::stat(directory.c_str(), &status) != 0 || !look_at_place(here)) return 0;
    std::set<std::int32_t> found;
    for (fs::directory_iterator process("/proc", failed), last; !failed && process != last; process.increment(failed)) {
        // Processes end, and others may not be looked into.
        std::error_code gone;
        const fs::path files = process->path() / "fd";
        for (fs::directory_iterator each(files, gone), end; !gone && each != end; each.increment(gone)) {
            std::error_code closed;
            const std::string leads_to = fs::read_symlink(each->path(), closed).string();
            if (closed || !leads_to.starts_with(beginning) || !leads_to.ends_with(ending)) continue;
            if (const auto id = orphan_at(each->path().string(), status, here)) found.insert(*id);
        }
    }
    int removed = 0;
    for (const std::int32_t id : found) removed += remove_if_ours(id) ? 1 : 0;
    return removed;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
