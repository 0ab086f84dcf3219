// Which process group the command gets, and who has the terminal.
#ifndef HOLDFAST_CLI_TERMINAL_HPP
#define HOLDFAST_CLI_TERMINAL_HPP

#include <sys/types.h>

namespace holdfast::cli {

// Three situations:
//
// - No controlling terminal (cron, systemd, ssh without -t): the command leads a group of its own, which can be
// signalled
//   as a whole.
// - We lead the foreground job of a terminal, and are alone in it: the command leads a group of its own and that group
//   gets the terminal, as if the shell had started it. Ctrl-C and Ctrl-Z go to the command only; when it stops, we take
//   the terminal back and stop too, so that the shell sees a stopped job.
// - Everything else with a terminal (a script, a member of a pipeline, a background job): the command stays in our
// group.
//   The terminal's keys then reach it and us at once, and we do not pass them on. A group of its own would be wrong
//   here: it would cut off `less` in `holdfast run x -- b | less`, and Ctrl-Z would stop the command but not the
//   script.
struct terminal {
    /// The controlling terminal, where the command's group gets it; else -1.
    int descriptor = -1;
    /// The command leads a process group of its own.
    bool own_group = true;
    /// Our process group.
    pid_t our_group = 0;
};

/// Finds out; opens the terminal where the command's group is to have it.
terminal find_terminal() noexcept;

/// Makes @p to the foreground group if @p from is it now. SIGTTOU must be blocked.
void hand_terminal(const terminal& tty, pid_t from, pid_t to) noexcept;

}  // namespace holdfast::cli

#endif
