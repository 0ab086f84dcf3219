#include "default_directory.hpp"

#include <cerrno>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr const char* bases[] = {"/run/lock", "/var/lock", "/tmp"};

std::string because(int error) {
    return std::generic_category().message(error);
}

/** Whether @p error says that a base is not there for this user, in every run alike. Whatever else went wrong may pass,
    and a run that took another directory because of it would exclude nobody. */
bool is_lasting(int error) {
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == EPERM;
}

/// Throws unless @p path is a directory that nobody else can change.
void check_trusted(const std::string& path, uid_t user) {
    struct stat status {};
    // lstat: a link would be somebody else's choice of where our files are.
    if (lstat(path.c_str(), &status) != 0) throw directory_error(path + ": " + because(errno));
    if (!S_ISDIR(status.st_mode)) {
        throw directory_error(path +
                              " is not a directory; remove it, or say with --url file:///... where lock files are");
    }
    if (status.st_uid != user) {
        throw directory_error(path + " belongs to user " + std::to_string(status.st_uid) +
                              "; have it removed, or say with --url file:///... where lock files are");
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        throw directory_error(path + " can be written to by others; put that right with: chmod 700 " + path);
    }
}

}  // namespace

std::string default_lock_directory() {
    const uid_t user = geteuid();
    const std::string name = "/holdfast-" + std::to_string(user);
    std::string attempts;
    for (const char* base : bases) {
        std::string path = base + name;
        // The mode is the same under every umask but one that takes our own rights away, which the check would not
        // mind.
        if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
            check_trusted(path, user);
            return path;
        }
        const int failure = errno;
        if (!is_lasting(failure)) {
            throw directory_error(path + " cannot be made: " + because(failure) +
                                  "; put that right, or say with --url file:///... where lock files are to be");
        }
        attempts += std::string(attempts.empty() ? "" : ", ") + path + " (" + because(failure) + ")";
    }
    throw directory_error("no directory for lock files can be made: " + attempts +
                          "; say with --url file:///... where they are to be");
}

std::string usual_lock_directory() {
    const std::string name = "/holdfast-" + std::to_string(::geteuid());
    for (const char* base : bases) {
        std::string path = base + name;
        struct stat status {};
        if (::lstat(path.c_str(), &status) == 0 || ::access(base, W_OK | X_OK) == 0 || !is_lasting(errno)) return path;
    }
    return bases[0] + name;
}

}  // namespace holdfast::cli
