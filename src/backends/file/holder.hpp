// Who holds a lock file.
#ifndef HOLDFAST_BACKENDS_FILE_HOLDER_HPP
#define HOLDFAST_BACKENDS_FILE_HOLDER_HPP

#include <string>

namespace holdfast {
inline namespace v0 {
namespace file {

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
