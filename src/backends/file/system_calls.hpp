// The edge between the file backend and the kernel, where tests inject what cannot be made privately.
#ifndef HOLDFAST_BACKENDS_FILE_SYSTEM_CALLS_HPP
#define HOLDFAST_BACKENDS_FILE_SYSTEM_CALLS_HPP

#include <sys/stat.h>
#include <sys/types.h>

namespace holdfast {
inline namespace v0 {
namespace file {

/// Each as the system call of its name: -1 and errno on failure. Paths begin at @p directory, unless it is AT_FDCWD.
struct system_calls {
    int (*open)(int directory, const char* path, int flags, mode_t mode);
    int (*flock)(int descriptor, int operation);
    int (*fstat)(int descriptor, struct stat* result);
    int (*stat)(const char* path, struct stat* result);
    int (*lstat)(const char* path, struct stat* result);
    int (*unlink)(int directory, const char* path);
    int (*mkdir)(const char* path, mode_t mode);
    /// The type of the file system that @p descriptor is on (statfs(2)).
    int (*file_system_type)(int descriptor, long* type);
};

/// The kernel's, unless a test has put others there. Not to be changed while locks are in use.
extern system_calls sys;

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
