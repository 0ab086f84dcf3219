// The process that holdfast leaves in charge of the command.
#ifndef HOLDFAST_CLI_GUARDIAN_HPP
#define HOLDFAST_CLI_GUARDIAN_HPP

#include "signals.hpp"
#include "terminal.hpp"
#include "watched_lock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

namespace holdfast::cli {

// Why a guardian: when a process is killed, the kernel closes its descriptors, and thereby frees its lock, before
// anybody can end its child. For a while, without bound if the child ignores SIGTERM, two holders' commands run at
// once.
//
//     holdfast --clone(CLONE_FILES | CLONE_SYSVSEM)--> guardian --vfork, exec--> command
//
// The guardian is made once the lock is held, and shares holdfast's table of descriptors instead of having a copy. So
// whatever keeps the lock (a flock'ed file, a server's connection) stays open until both are gone, whichever backend it
// is, and nothing has to be handed over. What holdfast releases is released; nothing lingers in a copy. In the same way
// it shares the list of what the kernel gives back to semaphores when a process dies, which is when both are dead then.
//
// - The command is the guardian's child, and the guardian adopts every orphan below it. If holdfast dies, the guardian
//   sends SIGTERM to all of them, after the grace SIGKILL, waits until wait() says that none is left, and exits; only
//   then is the lock free.
// - A stopped or hung holdfast does no harm while the kernel keeps the lock. A lease ends by itself: the guardian knows
//   its deadline before it starts the command, and each later one from memory that it shares with holdfast, and has the
//   command dead before it.
// - If the guardian is killed, the command dies with it (PR_SET_PDEATHSIG); holdfast adopts what is left, kills it, and
//   releases the lock then.
// - If both are killed at once, the command's own copy of a lock file's descriptor keeps the lock until the command,
// and
//   whatever inherited the copy from it, is gone. `--close` does without.
// - Normally the command exits, the guardian reports it and exits, and holdfast releases the lock. What the command
// left
//   running in the background then runs without the lock, unless `--keep-until-children-exit`.
//
// The guardian has a process group of its own (`kill -9 %1` in a shell kills a whole group), blocks every signal, and
// is named "hf-guardian", also in its arguments, so that `pkill holdfast` and `killall holdfast` miss it.

/// When a command must have ended, on CLOCK_BOOTTIME: it gets SIGTERM at `end_at` and is killed at `dead_by`.
struct command_deadline {
    nanoseconds end_at = nanoseconds::max();
    nanoseconds dead_by = nanoseconds::max();
};

/// What to run, and how.
struct command_plan {
    /// Ends with a null pointer, as for execve(2).
    char* const* arguments = nullptr;
    char* const* environment = nullptr;
    /// Descriptors that the command inherits beside 0, 1 and 2.
    std::vector<int> inherited;
    inherited_signals signals{};
    terminal tty;
    /// Between SIGTERM and SIGKILL.
    nanoseconds grace{};
    /// Until holdfast sets another one, which it may not live to do. From `end_at` on nothing is started.
    command_deadline deadline;
    /// Send a report once the command has been started.
    bool report_start = false;
    /// The memory that ps(1) shows the arguments from; the guardian's copy of it gets its name.
    char* title = nullptr;
    std::size_t title_size = 0;
};

/// What the guardian has to say.
struct guardian_report {
    enum class kind : std::int32_t {
        /// The command runs; only where asked for.
        started,
        /// It could not be, `status` is the errno; or the deadline had come before.
        not_started,
        /// The command was stopped by the signal `status`; it does not have the terminal any more. holdfast is to stop
        /// as well, and to ask for its continuation after that.
        stopped,
        /// The command has ended with the wait status `status`. The last report.
        exited,
    };
    enum class cause : std::int32_t {
        /// Its own end.
        itself,
        /// We asked for it.
        ordered,
        /// The deadline came.
        deadline,
    };
    guardian_report::kind what = kind::exited;
    std::int32_t status = 0;
    guardian_report::cause why = cause::itself;
    pid_t command = 0;
    /// How often the command has been reported to be stopped, this time included.
    std::uint32_t stops = 0;
};

class shared_deadline;
struct guardian_order;

/** The guardian, as holdfast sees it.

    @pre @ref block_signals, and @ref adopt_orphans
*/
class guardian {
public:
    /** Makes the guardian, which starts the command at once.

        @param signal_descriptor of @ref open_signal_descriptor
        @throws std::system_error when the kernel has no process, descriptor or memory for it
    */
    guardian(const command_plan& plan, int signal_descriptor);
    guardian(const guardian&) = delete;
    guardian& operator=(const guardian&) = delete;

    /// Readable when there is a report.
    int descriptor() const noexcept { return descriptor_; }
    pid_t id() const noexcept { return id_; }

    /// The next report, if there is one now.
    std::optional<guardian_report> receive() noexcept;

    /** Passes a signal on to the command.

        @param from_process false: it is the terminal's
        @param sender       the process; 0: one that our process ids do not name, as outside of a container
    */
    void forward(int signal, bool from_process, pid_t sender) noexcept;
    /// Ends the command: SIGTERM, the grace, SIGKILL.
    void terminate() noexcept;
    /// Continues the command that was stopped as last received, in the foreground if we are.
    void resume() noexcept;
    /// The lock is surely ours until then only. Replaces the plan's, and that of an earlier call.
    void set_deadline(const command_deadline& until) noexcept;

    /// True once the guardian has died without being asked to, which nobody but a SIGKILL brings about.
    bool is_dead() noexcept;
    /// After the last report: takes the guardian away.
    void dismiss() noexcept;
    /// Takes the guardian away at any time. The command dies with it; @ref end_all_descendants must follow.
    void kill() noexcept;

private:
    void send(const guardian_order& what) noexcept;

    shared_deadline* deadline_ = nullptr;
    int descriptor_ = -1;
    pid_t id_ = 0;
    std::uint32_t stops_ = 0;
    bool reaped_ = false;
};

/// CLOCK_BOOTTIME.
nanoseconds boot_time() noexcept;

}  // namespace holdfast::cli

#endif
