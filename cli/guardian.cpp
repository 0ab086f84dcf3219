#include "guardian.hpp"

#include "exit_codes.hpp"
#include "process_tree.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <new>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {

/** The deadline, in memory that holdfast writes and the guardian reads.

    Not a message: those wait in a queue while the guardian is stopped, old deadlines before the new one, and a full
    queue takes no more of them.
*/
class shared_deadline {
public:
    /// @throws std::system_error
    static shared_deadline* make(const command_deadline& until) {
        void* memory =
            mmap(nullptr, sizeof(shared_deadline), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
        auto* const made = new (memory) shared_deadline;
        made->set(until);
        return made;
    }

    void set(const command_deadline& until) noexcept {
        dead_by_ = until.dead_by.count();
        end_at_ = until.end_at.count();
    }
    command_deadline get() const noexcept { return {nanoseconds(end_at_), nanoseconds(dead_by_)}; }

private:
    // A lock inside would not do for two processes.
    static_assert(std::atomic<std::int64_t>::is_always_lock_free);

    std::atomic<std::int64_t> end_at_;
    std::atomic<std::int64_t> dead_by_;
};

struct guardian_order {
    enum class kind : std::int32_t {
        forward,
        terminate,
        resume,
        /// The deadline is sooner than it was.
        look,
    };
    kind what = kind::forward;
    std::int32_t signal = 0;
    bool from_process = false;
    pid_t sender = 0;
    /// Of a resume: the stops that holdfast knew of.
    std::uint32_t stops = 0;
};

namespace {

using report = guardian_report;

/// Tells the guardian of holdfast's death; blocked like all signals, and read from the descriptor.
constexpr int parent_died = SIGUSR2;
/// Where the command's copies of lock descriptors begin: out of the way of scripts that use small numbers of their own.
constexpr int first_inherited = 64;
/// For what nothing tells of, in milliseconds.
constexpr int nap = 20;
constexpr nanoseconds never = nanoseconds::max();
/// What @ref become_command says where the deadline has come; no errno.
constexpr int too_late = -1;

/// Signals that are meant for a job as a whole, unlike SIGUSR1 and its like: those often end a helper process that does
/// not expect them.
constexpr bool is_group_signal(int signal) noexcept {
    switch (signal) {
        case SIGTERM:
        case SIGINT:
        case SIGHUP:
        case SIGQUIT:
        case SIGTSTP:
        case SIGTTIN:
        case SIGTTOU:
        case SIGCONT: return true;
        default: return false;
    }
}

/// A stop signal that the child took before exec, in its parent's memory.
volatile std::sig_atomic_t stop_before_exec = 0;

/// Stopped before exec, the child would hold up its parent, who could not even tell of it. Exec undoes this.
void put_off_stops() noexcept {
    for (const int signal : {SIGTSTP, SIGTTIN, SIGTTOU}) {
        struct sigaction action {};
        if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        action.sa_handler = [](int taken) { stop_before_exec = taken; };
        sigaction(signal, &action, nullptr);
    }
}

/** The child between vfork and exec. It runs on its parent's memory, so it only makes system calls.

    @return errno of what failed, or @ref too_late
*/
int become_command(const command_plan& plan, const shared_deadline& deadline, pid_t guardian_id) noexcept {
    if (plan.tty.own_group) {
        setpgid(0, 0);
        hand_terminal(plan.tty, plan.tty.our_group, getpid());
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != guardian_id) return ESRCH;
    if (plan.signals.child_ignored) {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        sigaction(SIGCHLD, &ignore, nullptr);
    }
    for (const int descriptor : plan.inherited) {
        // Out of descriptors above: then under its own number.
        if (fcntl(descriptor, F_DUPFD, first_inherited) < 0) fcntl(descriptor, F_SETFD, 0);
    }
    put_off_stops();
    sigprocmask(SIG_SETMASK, &plan.signals.mask, nullptr);
    if (boot_time() >= deadline.get().end_at) return too_late;
    execvpe(plan.arguments[0], plan.arguments, plan.environment);
    return errno;
}

/// The guardian's own process. Allocates nothing: holdfast may have had threads when it was forked.
class guardian_process {
public:
    guardian_process(const command_plan& plan, const shared_deadline& deadline, int signals, int socket,
                     pid_t holdfast) noexcept
        : plan_(plan), deadline_(deadline), signals_(signals), socket_(socket), holdfast_(holdfast) {}

    [[noreturn]] void run() noexcept {
        prctl(PR_SET_PDEATHSIG, parent_died, 0, 0, 0);
        if (getppid() != holdfast_) _exit(exit_code::success);
        adopt_orphans();
        prctl(PR_SET_NAME, "hf-guardian", 0, 0, 0);
        // Out of the way of `kill -9 %1`, which goes to a whole process group. The kernel lets a group stop, and hangs
        // it up when its shell is gone, by whether a member has a parent in the same session, but in another group:
        if (plan_.tty.own_group) {
            // we are that parent for the command's group, so that Ctrl-Z works there;
            setpgid(0, 0);
            start();
        } else {
            // we must not be it for the shared group, which is the shell's business.
            start();
            setsid();
        }
        set_title();
        for (;;) {
            wait_for_news();
            // First of all: time may have passed unnoticed, in a stopped process or a suspended machine.
            check_time();
            check_holdfast();
            check_children();
            take_orders();
        }
    }

private:
    void start() noexcept {
        const pid_t self = getpid();
        volatile int failure = 0;
        // vfork: no page tables are copied, and exec's failure is known when it returns.
        const pid_t child = vfork();
        if (child == 0) {
            failure = become_command(plan_, deadline_, self);
            _exit(exit_code::not_found);
        }
        command_ = child;
        if (child < 0) failure = errno;
        if (failure != 0) {
            int status = 0;
            if (child > 0) waitpid(child, &status, 0);
            hand_terminal(plan_.tty, child, plan_.tty.our_group);
            if (failure == too_late) {
                cause_ = report::cause::deadline;
                failure = 0;
            }
            finish(report::kind::not_started, failure);
        }
        if (stop_before_exec != 0) signal_group(stop_before_exec);
        if (plan_.report_start) send(report::kind::started, 0);
    }

    void set_title() noexcept {
        if (plan_.title_size < sizeof "hf-guardian") return;
        std::memset(plan_.title, 0, plan_.title_size);
        std::memcpy(plan_.title, "hf-guardian", sizeof "hf-guardian");
    }

    void wait_for_news() noexcept {
        const nanoseconds next = next_moment();
        set_timer(next);
        std::array<pollfd, 3> sources{{{signals_, POLLIN, 0}, {socket_, POLLIN, 0}, {timer_, POLLIN, 0}}};
        // Without a timer (out of descriptors) short naps instead.
        const bool naps = wake_holdfast() || (next != never && timer_ < 0);
        poll(sources.data(), sources.size(), naps ? nap : -1);
        if (sources[0].revents != 0) {
            signalfd_siginfo dropped[4];
            while (read(signals_, dropped, sizeof dropped) == static_cast<ssize_t>(sizeof dropped)) {
            }
        }
    }

    // Time
    // -------------------------------------------------------------------------------------------------------------

    command_deadline deadline() const noexcept {
        command_deadline now = deadline_.get();
        if (ending_) now.end_at = never;
        return now;
    }

    nanoseconds next_moment() const noexcept {
        const command_deadline until = deadline();
        return std::min({until.end_at, until.dead_by, kill_at_});
    }

    /// A timer that counts suspend.
    void set_timer(nanoseconds next) noexcept {
        if (next == timer_at_) return;
        timer_at_ = next;
        if (timer_ < 0) timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        itimerspec setting{};
        if (next != never) {
            const auto at = std::max(next, nanoseconds(1)).count();
            setting.it_value = {static_cast<time_t>(at / 1'000'000'000), static_cast<long>(at % 1'000'000'000)};
        }
        if (timer_ >= 0) timerfd_settime(timer_, TFD_TIMER_ABSTIME, &setting, nullptr);
    }

    void check_time() noexcept {
        if (next_moment() == never) return;
        const nanoseconds now = boot_time();
        // Read after the clock, so that a renewal since then counts.
        const command_deadline until = deadline();
        if (now >= until.dead_by) end_all(report::cause::deadline);
        if (now >= kill_at_) end_all(cause_);
        if (now >= until.end_at) begin_to_end(report::cause::deadline);
    }

    // The command's end
    // ------------------------------------------------------------------------------------------------

    void begin_to_end(report::cause why) noexcept {
        if (ending_) return;
        ending_ = true;
        cause_ = why;
        if (plan_.grace <= nanoseconds::zero()) end_all(why);
        kill_at_ = boot_time() + plan_.grace;
        signal_all(SIGTERM);
        // A stopped process does nothing about SIGTERM.
        signal_all(SIGCONT);
    }

    [[noreturn]] void end_all(report::cause why) noexcept {
        cause_ = ending_ ? cause_ : why;
        if (plan_.tty.own_group && !reaped_) ::kill(-command_, SIGKILL);
        if (!reaped_) ::kill(command_, SIGKILL);
        end_all_descendants(signals_);
        if (!reaped_) status_ = SIGKILL;
        finish(report::kind::exited, status_);
    }

    /// To everything that descends from the command, wherever it went.
    void signal_all(int signal) noexcept {
        const bool has_group = plan_.tty.own_group && !reaped_;
        if (has_group) ::kill(-command_, signal);
        descendant_filter filter;
        if (has_group) filter.except_group = command_;
        if (!signal_descendants(signal, filter) && !has_group && !reaped_) ::kill(command_, signal);
    }

    /// To what the terminal's keys would reach: the command's group, or its part of the group that is ours too.
    void signal_group(int signal) noexcept {
        const pid_t first = plan_.tty.own_group ? command_ : plan_.tty.our_group;
        bool reached = signal_members(first, signal);
        // timeout(1), for one, leaves the group that it was started in. Asked afterwards: who leaves it meanwhile shall
        // rather get the signal twice than not at all.
        const pid_t now = getpgid(command_);
        if (now != first) reached = signal_members(now, signal);
        if (!reached) ::kill(command_, signal);
    }

    /// To a group that the command leads, or to our part of another one.
    bool signal_members(pid_t group, int signal) noexcept {
        if (group == command_) return ::kill(-group, signal) == 0;
        descendant_filter filter;
        filter.only_group = group;
        return signal_descendants(signal, filter);
    }

    void check_children() noexcept {
        for (;;) {
            int status = 0;
            const pid_t child = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL);
            if (child == 0 || (child < 0 && errno != ECHILD)) return;
            if (child < 0) {
                // Nothing is left of the tree.
                if (reaped_) finish(report::kind::exited, status_);
                return;
            }
            if (child != command_) continue;
            if (WIFSTOPPED(status)) {
                command_stopped(WSTOPSIG(status));
            } else if (WIFCONTINUED(status)) {
                command_is_stopped_ = false;
            } else {
                reaped_ = true;
                command_is_stopped_ = false;
                status_ = status;
                hand_terminal(plan_.tty, command_, plan_.tty.our_group);
                // While ending, what the command left behind must go too.
                if (!ending_) finish(report::kind::exited, status);
            }
        }
    }

    void check_holdfast() noexcept {
        if (getppid() == holdfast_ || ending_) return;
        begin_to_end(report::cause::ordered);
    }

    // Job control
    // ------------------------------------------------------------------------------------------------------

    void command_stopped(int signal) noexcept {
        if (plan_.tty.descriptor < 0) return;
        // In the foreground after all: `fg` gave the terminal to holdfast's group while the command ran on.
        if ((signal == SIGTTIN || signal == SIGTTOU) && tcgetpgrp(plan_.tty.descriptor) == plan_.tty.our_group) {
            continue_command();
            return;
        }
        hand_terminal(plan_.tty, command_, plan_.tty.our_group);
        command_is_stopped_ = true;
        ++stops_;
        if (!send(report::kind::stopped, signal)) --stops_;
    }

    /** Continues a holdfast that has stopped with the command, or is about to, although the command runs: somebody else
        continued it, or it has ended.

        To be repeated until it says that it goes on: what it is about to stop by takes away a SIGCONT that came before.

        @return whether it has to be repeated
    */
    bool wake_holdfast() noexcept {
        if (stops_ == resumed_ || command_is_stopped_ || getppid() != holdfast_) return false;
        ::kill(holdfast_, SIGCONT);
        return true;
    }

    void resume(std::uint32_t stops) noexcept {
        resumed_ = stops;
        // In a shared group the others are continued by whoever stopped them, and may have stopped again since.
        if (!plan_.tty.own_group && !std::exchange(passed_a_stop_on_, false)) return;
        // An older one does not mean the last stop.
        if (stops == stops_) continue_command();
    }

    void continue_command() noexcept {
        if (reaped_) return;
        hand_terminal(plan_.tty, plan_.tty.our_group, command_);
        signal_group(SIGCONT);
    }

    // Messages
    // ---------------------------------------------------------------------------------------------------------

    bool receive(guardian_order& order) noexcept {
        return recv(socket_, &order, sizeof order, MSG_DONTWAIT) == static_cast<ssize_t>(sizeof order);
    }

    void take_orders() noexcept {
        guardian_order order;
        while (receive(order)) {
            switch (order.what) {
                case guardian_order::kind::forward: forward(order); break;
                case guardian_order::kind::terminate: begin_to_end(report::cause::ordered); break;
                case guardian_order::kind::resume: resume(order.stops); break;
                // As after every message.
                case guardian_order::kind::look: break;
            }
        }
    }

    void forward(const guardian_order& order) noexcept {
        if (reaped_) return;
        // The command that signals its group, or its parent's parent, does not mean itself once more.
        if (order.sender != 0 && is_descendant(order.sender)) return;
        if (is_stop_signal(order.signal)) passed_a_stop_on_ = true;
        if (is_group_signal(order.signal) || !order.from_process) {
            signal_group(order.signal);
        } else {
            ::kill(command_, order.signal);
        }
    }

    bool send(report::kind what, int status) noexcept {
        const report message{what, status, cause_, command_, stops_};
        return ::send(socket_, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
    }

    [[noreturn]] void finish(report::kind what, int status) noexcept {
        send(what, status);
        command_is_stopped_ = false;
        while (wake_holdfast()) {
            pollfd orders{socket_, POLLIN, 0};
            poll(&orders, 1, nap);
            guardian_order order;
            while (receive(order)) {
                if (order.what == guardian_order::kind::resume) resumed_ = order.stops;
            }
        }
        _exit(exit_code::success);
    }

    const command_plan& plan_;
    const shared_deadline& deadline_;
    const int signals_;
    const int socket_;
    const pid_t holdfast_;
    int timer_ = -1;
    nanoseconds timer_at_ = never;
    pid_t command_ = 0;
    bool reaped_ = false;
    int status_ = 0;
    bool ending_ = false;
    bool command_is_stopped_ = false;
    bool passed_a_stop_on_ = false;
    /// As reported, and as holdfast has gone on from.
    std::uint32_t stops_ = 0;
    std::uint32_t resumed_ = 0;
    report::cause cause_ = report::cause::itself;
    nanoseconds kill_at_ = never;
};

/// fork() with one table of descriptors, and one list of semaphores to give back, for both. Not through the C library,
/// whose fork runs handlers that would close the locks' descriptors: here that would close them for holdfast, too.
pid_t fork_with_shared_locks() noexcept {
#if defined(__s390x__)
    return static_cast<pid_t>(syscall(SYS_clone, 0, CLONE_FILES | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0));
#else
    return static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0));
#endif
}

}  // namespace

guardian::guardian(const command_plan& plan, int signal_descriptor) : deadline_(shared_deadline::make(plan.deadline)) {
    std::array<int, 2> ends{};
    // Packets: one message each, and no end of file, since both processes have both ends.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    descriptor_ = ends[0];
    const pid_t self = getpid();
    id_ = fork_with_shared_locks();
    if (id_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (id_ == 0) guardian_process(plan, *deadline_, signal_descriptor, ends[1], self).run();
}

std::optional<guardian_report> guardian::receive() noexcept {
    guardian_report message;
    if (recv(descriptor_, &message, sizeof message, MSG_DONTWAIT) != static_cast<ssize_t>(sizeof message)) return {};
    stops_ = message.stops;
    return message;
}

void guardian::send(const guardian_order& what) noexcept {
    ::send(descriptor_, &what, sizeof what, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void guardian::forward(int signal, bool from_process, pid_t sender) noexcept {
    guardian_order what;
    what.what = guardian_order::kind::forward;
    what.signal = signal;
    what.from_process = from_process;
    what.sender = sender;
    send(what);
}

void guardian::terminate() noexcept {
    guardian_order what;
    what.what = guardian_order::kind::terminate;
    send(what);
}

void guardian::resume() noexcept {
    guardian_order what;
    what.what = guardian_order::kind::resume;
    what.stops = stops_;
    send(what);
}

void guardian::set_deadline(const command_deadline& until) noexcept {
    const command_deadline before = deadline_->get();
    deadline_->set(until);
    // It comes to look at the old one by itself. And where no message gets through, others are there to be read.
    if (until.end_at >= before.end_at && until.dead_by >= before.dead_by) return;
    guardian_order what;
    what.what = guardian_order::kind::look;
    send(what);
}

bool guardian::is_dead() noexcept {
    int status = 0;
    if (!reaped_ && waitpid(id_, &status, WNOHANG) == id_) reaped_ = true;
    return reaped_;
}

void guardian::dismiss() noexcept {
    kill();
}

void guardian::kill() noexcept {
    if (reaped_) return;
    // It is exiting, or is to; one that somebody stopped would not.
    ::kill(id_, SIGKILL);
    int status = 0;
    waitpid(id_, &status, 0);
    reaped_ = true;
}

nanoseconds boot_time() noexcept {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

}  // namespace holdfast::cli
