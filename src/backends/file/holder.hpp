// Who holds a lock file.
#ifndef HOLDFAST_BACKENDS_FILE_HOLDER_HPP
#define HOLDFAST_BACKENDS_FILE_HOLDER_HPP

#include <istream>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace file {

/// Where a file is, as the kernel's lists have it.
struct file_place {
    unsigned long device_major = 0;
    unsigned long device_minor = 0;
    unsigned long long inode = 0;
};

/// The process that has a flock(2) lock on the file, of /proc/locks; 0: none found.
long find_holder(std::istream& locks, const file_place& file);
/// The device of a mount, of /proc/self/mountinfo. @param file gets it @return false: there is no such mount
bool find_device(std::istream& mounts, unsigned long long mount, file_place& file);

/** "process 123 (holdfast run x -- backup.sh), running since 2025-01-31 12:00:00", as /proc tells it; empty where it
   does not.

    The time is that of the process' start: nobody records when a lock was taken. The process is the one that took the
    lock; a lock that outlives it, in a child that inherited the descriptor, is shown as "process 123, which has ended;
    a process that it started still has the file".
*/
std::string describe_holder(const std::string& path);

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
