#include "raw_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace holdfast::bench {

raw_file::~raw_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (events_ >= 0) ::close(events_);
}

void raw_file::acquire() {
    for (;;) {
        descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), path_);
        ::flock(descriptor_, LOCK_EX);
        if (is_current()) return;
        ::close(descriptor_);
    }
}

bool raw_file::try_acquire() {
    if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), path_);
    const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    if (is_current()) return locked;
    ::close(descriptor_);
    descriptor_ = -1;
    return try_acquire();
}

void raw_file::acquire_in_time() {
    if (events_ < 0) events_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    while (!try_acquire()) {
        const int watch = ::inotify_add_watch(events_, path_.c_str(), IN_CLOSE | IN_ATTRIB);
        if (try_acquire()) return;
        pollfd news{events_, POLLIN, 0};
        const timespec limit{60, 0};
        ::ppoll(&news, 1, &limit, nullptr);
        char buffer[4096];
        while (::read(events_, buffer, sizeof buffer) > 0) {
        }
        if (try_acquire()) return;
        ::inotify_rm_watch(events_, watch);
    }
}

void raw_file::release_deleting() {
    ::unlink(path_.c_str());
    release_kept();
}

void raw_file::release_kept() {
    ::flock(descriptor_, LOCK_UN);
    ::close(descriptor_);
    descriptor_ = -1;
}

void raw_file::acquire_on_kept_descriptor() {
    if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
    ::flock(descriptor_, LOCK_EX);
    if (!is_current()) throw std::runtime_error(path_ + " was replaced");
}

void raw_file::release_on_kept_descriptor() {
    ::flock(descriptor_, LOCK_UN);
}

bool raw_file::is_current() const {
    struct stat opened {};
    struct stat named {};
    return ::fstat(descriptor_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

}  // namespace holdfast::bench
