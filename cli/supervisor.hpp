// holdfast's part while the command runs: signals, the terminal, the loss of a lock, a dead guardian.
#ifndef HOLDFAST_CLI_SUPERVISOR_HPP
#define HOLDFAST_CLI_SUPERVISOR_HPP

#include "guardian.hpp"
#include "watched_lock.hpp"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::cli {

/// How the command ended.
struct command_end {
    enum class kind {
        /// `status` is its wait status.
        exited,
        /// `status` is exec's errno.
        not_started,
        /// The lock was lost, or was about to be, and the command was ended.
        lost,
        /// The same before the command could be started.
        lost_before_start,
        /// Somebody killed the guardian.
        guardian_died,
    };
    kind what = kind::exited;
    int status = 0;
};

/// Is told what happens meanwhile. Any of them may be empty.
struct supervision_hooks {
    std::function<void(pid_t command)> started;
    std::function<void(const watched_lock& which)> lost;
};

/// What the locks' leases leave of time for a command, to be planned before it is started.
command_deadline deadline_within(const std::vector<watched_lock>& locks, nanoseconds grace);

/** Watches over the command until it has ended, and with it, where it was ended by force, everything it started.

    The lock must stay held until this returns.
*/
command_end supervise(guardian& keeper, const command_plan& plan, int signal_descriptor,
                      const std::vector<watched_lock>& locks, const supervision_hooks& hooks);

}  // namespace holdfast::cli

#endif
