#include <backends/file/system_calls.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace file {

system_calls sys{
    [](int directory, const char* path, int flags, mode_t mode) { return ::openat(directory, path, flags, mode); },
    [](int descriptor, int operation) { return ::flock(descriptor, operation); },
    [](int descriptor, struct stat* result) { return ::fstat(descriptor, result); },
    [](const char* path, struct stat* result) { return ::stat(path, result); },
    [](const char* path, struct stat* result) { return ::lstat(path, result); },
    [](int directory, const char* path) { return ::unlinkat(directory, path, 0); },
    [](const char* path, mode_t mode) { return ::mkdir(path, mode); },
    [](int descriptor, long* type) {
        struct statfs info {};
        if (::fstatfs(descriptor, &info) != 0) return -1;
        *type = static_cast<long>(info.f_type);
        return 0;
    },
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast
