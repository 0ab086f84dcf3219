#include <backends/file/lock_file.hpp>
#include <backends/file/system_calls.hpp>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

// Waiters hold an open-file-description read lock on this byte, far from what a program would lock in a file of its
// own. Part of the protocol between Holdfast processes: see docs/wire.md.
constexpr off_t waiter_byte = 0x486f6c6466617374;  // "Holdfast"

// How often the directory may vanish between our making it and our using it.
constexpr int most_directories = 1000;

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// File systems whose flock may not exclude other machines, or not other processes.
const char* remote_name(long type) noexcept {
    switch (static_cast<unsigned long>(type)) {
        case 0x6969: return "NFS";
        case 0xff534d42: return "CIFS";
        case 0xfe534d42: return "SMB2";
        case 0x517b: return "SMB";
        case 0x65735546: return "FUSE";
        case 0x01021997: return "9P";
        case 0x00c36400: return "Ceph";
        case 0x5346414f: return "AFS";
        case 0x73757245: return "Coda";
        case 0x01161970: return "GFS2";
        case 0x7461636f: return "OCFS2";
        case 0x0bd00bd0: return "Lustre";
        case 0x47504653: return "GPFS";
        case 0x19830326: return "BeeGFS";
        case 0x013661: return "NCP";
        default: return nullptr;
    }
}

errc code_of(int error) noexcept {
    switch (error) {
        case EACCES:
        case EPERM:
        case ELOOP: return errc::permission;
        case ENOTDIR:
        case EISDIR:
        case ENXIO: return errc::invalid_state;
        case ENAMETOOLONG: return errc::invalid_name;
        case ENOLCK:
        case EBADF:
        case EOPNOTSUPP:
        case ENOSYS:
        case EINVAL: return errc::unsupported;
        default: return errc::unavailable;
    }
}

}  // namespace

failure lock_file::explain(int error, const char* step) const {
    failure made;
    made.code = code_of(error);
    made.native_code = error;
    made.text = std::string(step) + " '" + path_ + "': " + std::generic_category().message(error);
    switch (error) {
        case EISDIR: made.text += "; a lock needs a file there, move the directory away"; break;
        case ENOTDIR: made.text += "; something on the way there is a file, not a directory"; break;
        case ELOOP: made.text += "; a symbolic link in a directory that everybody may write is not followed"; break;
        case ENXIO: made.text += "; it is not a regular file"; break;
        case EROFS: made.text += "; lock files need a file system that can be written"; break;
        case ENAMETOOLONG: made.text += "; use a shorter path"; break;
        default: break;
    }
    return made;
}

bool lock_file::open(failure& why) {
    follows_link_ = false;
    int directories_left = most_directories;
    bool walks = true;
    bool walked = false;
    if (settings_.opts.private_directory && !check_directory(why)) return false;
    for (;;) {
        // Where it cannot be had, the whole path says why, or does as well. What is too long for that stays so.
        if (directory_ == nullptr && walks && path_.size() < PATH_MAX) {
            const std::string parent = parent_of(path_);
            directory_ = settings_.opts.exact_paths ? lock_directory::open(parent) : settings_.directory.find(parent);
            walked = true;
            if (directory_ == nullptr && errno == ELOOP) {
                why = explain(ELOOP, "refused to open");
                return false;
            }
        }
        // NFS makes an exclusive flock a write lock, which needs a descriptor that can write.
        const int access = settings_.opts.allow_remote ? O_RDWR : O_RDONLY;
        const int flags = access | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
        if (open_once(flags) >= 0) return check_opened(why);
        const int error = errno;
        const bool exhausted = error == EMFILE || error == ENFILE;
        if (directory_ != nullptr && (exhausted || (error != EINTR && error != ENOENT && !walked))) {
            // It may be another directory's error by now: what the path says counts. Or it comes from having this one
            // open: a lock needs one descriptor, and shall not fail for want of a second one.
            forget_directory();
            walks = !exhausted;
            continue;
        }
        switch (error) {
            case EINTR: continue;
            case ENOENT:
                if (directories_left-- == 0) {
                    why = explain(error, "cannot open");
                    return false;
                }
                forget_directory();
                if (!make_directory(why)) return false;
                continue;
            case EACCES:
            case EROFS:
                // fs.protected_regular refuses O_CREAT, not open, of other users' files in a sticky directory; and a
                // file that is there already can be locked on a read-only file system.
                if (open_once((flags & ~(O_CREAT | O_ACCMODE)) | O_RDONLY) >= 0) return check_opened(why);
                why = explain(error, "cannot open");
                return false;
            case ELOOP: {
                struct stat parent {};
                const int looked = directory_ != nullptr ? sys.fstat(directory_->descriptor(), &parent)
                                                         : sys.stat(parent_of(path_).c_str(), &parent);
                const bool trusted =
                    !settings_.opts.private_directory && looked == 0 && (parent.st_mode & (S_IWOTH | S_ISVTX)) == 0;
                if (trusted && !follows_link_) {
                    follows_link_ = true;
                    if (open_once(flags & ~O_NOFOLLOW) >= 0) return check_opened(why);
                    why = explain(errno, "cannot open");
                    return false;
                }
                why = explain(ELOOP, "refused to open");
                return false;
            }
            default: why = explain(error, "cannot open"); return false;
        }
    }
}

lock_file::place lock_file::where() const noexcept {
    if (directory_ == nullptr) return {AT_FDCWD, path_.c_str()};
    return {directory_->descriptor(), path_.c_str() + path_.rfind('/') + 1};
}

void lock_file::forget_directory() noexcept {
    if (directory_ != nullptr) settings_.directory.forget(*directory_);
    directory_.reset();
}

void lock_file::delete_file() const noexcept {
    const place at = where();
    sys.unlink(at.directory, at.name);
}

int lock_file::open_once(int flags) noexcept {
    announced_ = false;
    return descriptor_.open_with([at = where(), flags] { return sys.open(at.directory, at.name, flags, 0666); });
}

void lock_file::discard(bool locked) noexcept {
    struct stat found {};
    const bool deleted = counts_links_ && sys.fstat(descriptor(), &found) == 0 && found.st_nlink == 0;
    // Most are deleted by their holder. Otherwise the directory may be another one by now, and in the old one is a file
    // that we have made.
    if (!deleted && directory_ != nullptr) {
        const place at = where();
        const bool there = ::fstatat(at.directory, at.name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                           found.st_dev == device_ && found.st_ino == inode_;
        if (locked && there && settings_.deletes()) delete_file();
        forget_directory();
    }
    // Not left to the close: a child that is forked in between has a descriptor of it for a moment.
    if (locked) sys.flock(descriptor(), LOCK_UN);
    close();
}

bool lock_file::check_opened(failure& why) {
    struct stat found {};
    if (sys.fstat(descriptor(), &found) != 0) {
        why = explain(errno, "cannot look at");
        close();
        return false;
    }
    if (!S_ISREG(found.st_mode)) {
        why = explain(S_ISDIR(found.st_mode) ? EISDIR : EINVAL, "cannot use");
        if (!S_ISDIR(found.st_mode)) {
            why.code = errc::invalid_state;
            why.text += "; it is not a regular file";
        }
        close();
        return false;
    }
    device_ = found.st_dev;
    inode_ = found.st_ino;
    counts_links_ = found.st_nlink > 0;
    if (settings_.opts.allow_remote || settings_.trusted_device.load(std::memory_order_relaxed) == device_) return true;

    long type = 0;
    if (sys.file_system_type(descriptor(), &type) != 0) {
        why = explain(errno, "cannot tell the file system of");
        close();
        return false;
    }
    if (const char* const name = remote_name(type)) {
        why.code = errc::unsupported;
        why.native_code = 0;
        why.text = "'" + path_ + "' is on " + name +
                   ", whose flock may not exclude other machines; use a local directory, or allow it (remote=true)";
        close();
        return false;
    }
    settings_.trusted_device.store(device_, std::memory_order_relaxed);
    return true;
}

lock_file::result lock_file::try_lock(failure& why) {
    while (sys.flock(descriptor(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return result::busy;
        why = explain(errno, "cannot lock");
        if (errno == EBADF || errno == ENOLCK) why.text += "; this file system has no usable flock";
        close();
        return result::failed;
    }
    return result::locked;
}

lock_file::result lock_file::stand_and_lock() noexcept {
    while (sys.flock(descriptor(), LOCK_EX) != 0) {
        // A signal of the user's ends nobody's wait, nor costs the place in the process.
        if (errno != EINTR) return result::failed;
    }
    return result::locked;
}

lock_file::standing lock_file::look() const noexcept {
    struct stat found {};
    if ((follows_link_ ? sys.stat(path_.c_str(), &found) : sys.lstat(path_.c_str(), &found)) != 0) {
        return errno == ENOENT || errno == ENOTDIR ? standing::replaced : standing::unknown;
    }
    // The kernel tells of a deletion before the path has ceased to lead to the file, which has no link any more by
    // then.
    const bool deleted = counts_links_ && found.st_nlink == 0;
    return found.st_dev == device_ && found.st_ino == inode_ && !deleted ? standing::current : standing::replaced;
}

bool lock_file::is_kept() const noexcept {
    const standing seen = look();
    if (seen != standing::unknown) return seen == standing::current;
    // The process may have given up the right to look, which loses no lock. What is left is the file itself, and its
    // name in the directory as it was.
    struct stat found {};
    if (sys.fstat(descriptor(), &found) != 0 || (counts_links_ && found.st_nlink == 0)) return false;
    if (directory_ == nullptr) return true;
    const place at = where();
    if (::fstatat(at.directory, at.name, &found, follows_link_ ? 0 : AT_SYMLINK_NOFOLLOW) != 0) return errno != ENOENT;
    return found.st_dev == device_ && found.st_ino == inode_;
}

bool lock_file::release() {
    const bool ours = is_kept();
    // What stands at the path by now, if it is not ours, is somebody else's lock.
    if (ours && settings_.deletes()) delete_file();
    sys.flock(descriptor(), LOCK_UN);
    // Unlocking makes no event; closing does. Where nobody waits the open file serves the next acquire.
    wanted_ = !ours || settings_.deletes() || announced_ || has_waiters();
    if (wanted_) close();
    return ours;
}

void lock_file::announce_waiter(bool waits) noexcept {
    if (waits == announced_ || descriptor() < 0) return;
    struct flock byte {};
    byte.l_type = static_cast<short>(waits ? F_RDLCK : F_UNLCK);
    byte.l_whence = SEEK_SET;
    byte.l_start = waiter_byte;
    byte.l_len = 1;
    announced_ = ::fcntl(descriptor(), F_OFD_SETLK, &byte) == 0 && waits;
}

bool lock_file::has_waiters() const noexcept {
    struct flock byte {};
    byte.l_type = F_WRLCK;
    byte.l_whence = SEEK_SET;
    byte.l_start = waiter_byte;
    byte.l_len = 1;
    // If it cannot be told, there may be some.
    return ::fcntl(descriptor(), F_OFD_GETLK, &byte) != 0 || byte.l_type != F_UNLCK;
}

bool lock_file::make_directory(failure& why) const {
    const std::string directory = parent_of(path_);
    const mode_t mode = settings_.opts.private_directory ? 0700 : 0777;
    // From the top, as a missing parent is the rarer case only for the last step.
    if (sys.mkdir(directory.c_str(), mode) == 0 || errno == EEXIST) return true;
    if (errno == ENOENT) {
        for (auto slash = directory.find('/', 1);; slash = directory.find('/', slash + 1)) {
            const std::string part = directory.substr(0, slash);
            // The private part is the last one; its parents are everybody's.
            if (sys.mkdir(part.c_str(), slash == std::string::npos ? mode : 0777) != 0 && errno != EEXIST) break;
            if (slash == std::string::npos) return true;
        }
    }
    // A parent that is gone again was deleted by somebody else: the caller tries again, a bounded number of times.
    if (errno == ENOENT) return true;
    why = explain(errno, "cannot make the directory of");
    return false;
}

bool lock_file::check_directory(failure& why) const {
    const std::string directory = parent_of(path_);
    struct stat found {};
    for (int attempt = 0; sys.lstat(directory.c_str(), &found) != 0; ++attempt) {
        if (errno != ENOENT || attempt == most_directories) {
            why = explain(errno, "cannot look at the directory of");
            return false;
        }
        if (!make_directory(why)) return false;
    }
    const char* wrong = nullptr;
    if (S_ISLNK(found.st_mode)) {
        wrong = "is a symbolic link";
    } else if (!S_ISDIR(found.st_mode)) {
        wrong = "is not a directory";
    } else if (found.st_uid != ::geteuid()) {
        wrong = "belongs to another user";
    } else if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        wrong = "can be written by other users";
    }
    if (wrong == nullptr) return true;
    why.code = errc::permission;
    why.native_code = 0;
    why.text = "the private lock directory '" + directory + "' " + wrong + "; remove it, or name another directory";
    return false;
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
