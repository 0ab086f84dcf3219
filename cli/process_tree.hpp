// Everything that descends from this process, wherever it went.
#ifndef HOLDFAST_CLI_PROCESS_TREE_HPP
#define HOLDFAST_CLI_PROCESS_TREE_HPP

#include <sys/types.h>

#include <cstddef>

namespace holdfast::cli {

// A process that adopts its descendants' orphans (PR_SET_CHILD_SUBREAPER) keeps all of them below itself, also those
// that changed their process group or session; and as long as wait() does not say ECHILD, some are left. So "find them
// in /proc, signal them, wait, look again until ECHILD" ends exactly when the last is gone.
//
// Nothing here allocates from the heap: it must work in a process forked from one with threads.

/** Notes the children that this process has by now, which it was started with: a shell's `exec holdfast` leaves it the
    shell's jobs. They and what descends from them are none of the descendants below.
*/
void spare_present_children() noexcept;

/** After that, where there were any: spares also what started before @p process, a child of ours. A child that we were
    started with leaves us its own children when it ends.
*/
void spare_what_is_older_than(pid_t process) noexcept;

/// Makes this process adopt the orphans of its descendants.
void adopt_orphans() noexcept;

/// Which descendants a signal is for.
struct descendant_filter {
    /// Not those in this process group, because it was signalled as a whole; 0: no such group.
    pid_t except_group = 0;
    /// Only those in this process group; 0: any.
    pid_t only_group = 0;
};

/** Sends @p signal to the descendants of this process.

    @return false where /proc cannot be read
*/
bool signal_descendants(int signal, const descendant_filter& filter = {}) noexcept;

/// Whether @p process is a descendant of this one.
bool is_descendant(pid_t process) noexcept;

/** Kills all descendants of this process and returns when none is left.

    Returns late, or never, while one cannot be killed (another user's, or in an uninterruptible system call).

    @param signal_descriptor becomes readable with SIGCHLD
*/
void end_all_descendants(int signal_descriptor) noexcept;

}  // namespace holdfast::cli

#endif
