// Programs that lock the same files without Holdfast, each in its own manner. In plain system calls, so that nothing of
// ours is used to check ours.
#ifndef HOLDFAST_TEST_PROCESS_FOREIGN_LOCKERS_HPP
#define HOLDFAST_TEST_PROCESS_FOREIGN_LOCKERS_HPP

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace holdfast::test {

/// Opens and locks the file at a path, and makes sure that it is still there. -1 where it is busy (@p wait false).
inline int foreign_lock(const char* path, bool wait) {
    for (;;) {
        const int file = ::open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
        if (file < 0) std::abort();
        struct stat opened {};
        struct stat there {};
        if (::flock(file, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
            ::close(file);
            if (wait) std::abort();
            return -1;
        }
        if (::fstat(file, &opened) == 0 && ::stat(path, &there) == 0 && opened.st_dev == there.st_dev &&
            opened.st_ino == there.st_ino) {
            return file;
        }
        ::close(file);
    }
}

inline void foreign_unlock_and_close(int file) {
    ::flock(file, LOCK_UN);
    ::close(file);
}

/// The order of .NET's FileStream with DeleteOnClose.
inline void foreign_unlock_as_dotnet(const char* path, int file) {
    ::unlink(path);
    ::flock(file, LOCK_UN);
    ::close(file);
}

}  // namespace holdfast::test

#endif
