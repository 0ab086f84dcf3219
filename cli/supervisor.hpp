// holdfast's part while the command runs: signals, the terminal, the loss of a lock, a dead guardian.
#ifndef HOLDFAST_CLI_SUPERVISOR_HPP
#define HOLDFAST_CLI_SUPERVISOR_HPP

#include "guardian.hpp"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace holdfast::cli {

/// What the supervision wants to know of a held lock.
struct watched_lock {
    std::string name;
    /// Stopped when the lock is lost; asking arms the detection. Empty: the backend cannot tell.
    std::function<std::stop_token()> lost_token;
    /// On CLOCK_BOOTTIME; `nanoseconds::max()` where the lock does not end by itself.
    std::function<nanoseconds()> valid_until;
};

/// How the command ended.
struct command_end {
    enum class kind {
        /// `status` is its wait status.
        exited,
        /// `status` is exec's errno.
        not_started,
        /// The lock was lost, or was about to be, and the command was ended.
        lost,
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

/** Watches over the command until it has ended, and with it, where it was ended by force, everything it started.

    The lock must stay held until this returns.
*/
command_end supervise(guardian& keeper, const command_plan& plan, int signal_descriptor,
                      const std::vector<watched_lock>& locks, const supervision_hooks& hooks);

}  // namespace holdfast::cli

#endif
