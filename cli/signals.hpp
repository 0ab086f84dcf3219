// Signals as holdfast treats them: all blocked from the start and read from a descriptor; no handlers.
#ifndef HOLDFAST_CLI_SIGNALS_HPP
#define HOLDFAST_CLI_SIGNALS_HPP

#include <csignal>

namespace holdfast::cli {

/// What holdfast was started with, and what the command is therefore to be started with.
struct inherited_signals {
    sigset_t mask;
    /// SIGCHLD was ignored: the one disposition that we change, since the kernel would otherwise reap our children.
    bool child_ignored;
};

/// All signals but those that report a fault of our own code, and those that stop or continue at the kernel's hand.
sigset_t supervised_signals() noexcept;

/// Blocks @ref supervised_signals, so that none is missed from here on.
inherited_signals block_signals() noexcept;

/// A non-blocking descriptor that the blocked signals are read from, in whichever process reads it; -1 with errno set.
int open_signal_descriptor() noexcept;

/// Signals that end a process which does not handle them, and that this process was not started to ignore (nohup).
bool ends_us(int signal) noexcept;

/// Signals that job control stops processes with.
bool is_stop_signal(int signal) noexcept;

/** Stops this process as @p signal would have, had it not been blocked, and returns once it has been continued.

    Returns at once where the kernel does not let a job stop (nobody is there who could continue it), where the signal
    has always been ignored, and where a SIGCONT has come since @p signal.
*/
void stop_self(int signal) noexcept;

/// Ends this process by @p signal, so that whoever waits for it sees the same as from the command itself.
[[noreturn]] void die_of(int signal) noexcept;

}  // namespace holdfast::cli

#endif
