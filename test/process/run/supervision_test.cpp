// The guardian with leases, which end by themselves: what the kernel's locks cannot show.
#include "cli/guardian.hpp"
#include "cli/process_tree.hpp"
#include "cli/signals.hpp"
#include "cli/supervisor.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

/// A command that runs until it is ended, and what a run of holdfast prepares for it.
class supervision_test : public testing::Test {
protected:
    supervision_test() {
        plan_.signals = block_signals();
        signals_ = open_signal_descriptor();
        adopt_orphans();
        EXPECT_EQ(pipe2(said_.data(), O_CLOEXEC), 0);
        // Long enough for a busy machine to run the command once between the signals.
        plan_.grace = 100ms;
        plan_.environment = environ;
    }
    ~supervision_test() override {
        for (const int descriptor : {signals_, said_[0], said_[1]}) {
            if (descriptor >= 0) close(descriptor);
        }
        pthread_sigmask(SIG_SETMASK, &plan_.signals.mask, nullptr);
    }

    /// The command writes a line once it is ready, and never ends.
    void use_script(const std::string& preparation) {
        script_ = "exec 9>/proc/self/fd/" + std::to_string(said_[1]) + "; " + preparation +
                  "; echo ready >&9; while :; do sleep 1000 & wait; done";
        arguments_ = {shell_.data(), option_.data(), script_.data(), nullptr};
        plan_.arguments = arguments_.data();
        plan_.inherited = {};
        fcntl(said_[1], F_SETFD, 0);
    }

    void await_command() {
        std::array<char, 8> text{};
        ASSERT_EQ(read(said_[0], text.data(), 6), 6);
    }

    /// What the script has written in a line.
    int read_number() {
        std::string text;
        for (char next = 0; read(said_[0], &next, 1) == 1 && next != '\n';) text += next;
        return std::stoi(text);
    }

    /// The end of a new terminal from which a test types.
    static int open_terminal() {
        const int made = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        EXPECT_EQ(grantpt(made) + unlockpt(made), 0);
        return made;
    }
    /// For a child that is to be holdfast, as a shell's foreground job on the other end.
    void lead_session_on(int terminal) {
        setsid();
        plan_.tty = {open(ptsname(terminal), O_RDWR | O_CLOEXEC), true, getpid()};
    }
    static int exit_status_of(pid_t child) {
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status));
        return WEXITSTATUS(status);
    }

    command_end watch(guardian& keeper, const watched_lock& lock) {
        supervision_hooks hooks;
        hooks.lost = [this](const watched_lock&) { ++losses_; };
        const std::vector<watched_lock> locks{lock};
        const command_end end = supervise(keeper, plan_, signals_, locks, hooks);
        keeper.dismiss();
        return end;
    }

    static watched_lock lease_until(std::function<nanoseconds()> end) {
        watched_lock lock;
        lock.name = "lease";
        lock.valid_until = std::move(end);
        return lock;
    }

    command_plan plan_;
    int signals_ = -1;
    std::array<int, 2> said_{-1, -1};
    std::string shell_ = "sh";
    std::string option_ = "-c";
    std::string script_;
    std::array<char*, 4> arguments_{};
    int losses_ = 0;
};

TEST_F(supervision_test, a_lost_lock_ends_the_command_with_sigterm) {
    use_script(":");
    guardian keeper(plan_, signals_);
    await_command();
    std::stop_source loss;
    watched_lock lock = lease_until([] { return nanoseconds::max(); });
    lock.lost_token = [&] { return loss.get_token(); };
    std::jthread loser([&] { loss.request_stop(); });
    const command_end end = watch(keeper, lock);
    EXPECT_EQ(end.what, command_end::kind::lost);
    EXPECT_EQ(losses_, 1);
    ASSERT_TRUE(WIFSIGNALED(end.status));
    EXPECT_EQ(WTERMSIG(end.status), SIGTERM);
}

TEST_F(supervision_test, a_lost_lock_kills_a_command_that_ignores_sigterm) {
    use_script("trap '' TERM");
    guardian keeper(plan_, signals_);
    await_command();
    std::stop_source loss;
    loss.request_stop();
    watched_lock lock = lease_until([] { return nanoseconds::max(); });
    lock.lost_token = [&] { return loss.get_token(); };
    const command_end end = watch(keeper, lock);
    EXPECT_EQ(end.what, command_end::kind::lost);
    EXPECT_EQ(WTERMSIG(end.status), SIGKILL);
}

TEST_F(supervision_test, a_lease_that_is_not_renewed_ends_the_command_before_it_ends) {
    use_script("trap '' TERM");
    guardian keeper(plan_, signals_);
    await_command();
    // The margin before a lease's end is a share of what is left of it, so a long lease has one that a busy machine
    // keeps.
    const nanoseconds end_of_lease = boot_time() + 4s;
    const command_end end = watch(keeper, lease_until([&] { return end_of_lease; }));
    EXPECT_LT(boot_time(), end_of_lease);
    EXPECT_EQ(end.what, command_end::kind::lost);
    EXPECT_EQ(losses_, 1);
}

TEST_F(supervision_test, a_lease_that_is_renewed_lasts) {
    use_script(":");
    guardian keeper(plan_, signals_);
    await_command();
    const nanoseconds begin = boot_time();
    std::stop_source loss;
    watched_lock lock = lease_until([&] {
        // Renewed in time for a second, which is several lifetimes; then no more.
        const nanoseconds now = boot_time();
        if (now - begin > 1s) loss.request_stop();
        return now - begin > 1s ? begin + 3s : now + 300ms;
    });
    lock.lost_token = [&] { return loss.get_token(); };
    const command_end end = watch(keeper, lock);
    EXPECT_GT(boot_time() - begin, 1s);
    EXPECT_LT(boot_time() - begin, 3s);
    EXPECT_EQ(end.what, command_end::kind::lost);
}

TEST_F(supervision_test, a_guardian_that_was_stopped_knows_of_the_renewals) {
    use_script("trap 'kill $!; exit 5' USR1");
    guardian keeper(plan_, signals_);
    await_command();
    const nanoseconds begin = boot_time();
    bool stopped = false;
    bool continued = false;
    const auto renew = [&] {
        const nanoseconds now = boot_time();
        if (now - begin > 10s) return begin;
        if (now - begin > 300ms && !stopped) {
            stopped = kill(keeper.id(), SIGSTOP) == 0;
        } else if (now - begin > 1500ms && !continued) {
            // More than a queue holds, and nothing that the command would notice.
            for (int i = 0; i < 1000; ++i) keeper.forward(SIGURG, true, 0);
            continued = kill(keeper.id(), SIGCONT) == 0;
        } else if (continued) {
            keeper.forward(SIGUSR1, true, 0);
        }
        return now + 500ms;
    };
    const command_end end = watch(keeper, lease_until(renew));
    EXPECT_EQ(end.what, command_end::kind::exited);
    EXPECT_EQ(losses_, 0);
    ASSERT_TRUE(WIFEXITED(end.status));
    EXPECT_EQ(WEXITSTATUS(end.status), 5);
}

TEST_F(supervision_test, nothing_is_started_once_a_lease_is_about_to_end) {
    use_script(":");
    plan_.deadline.end_at = boot_time();
    guardian keeper(plan_, signals_);
    const command_end end = watch(keeper, lease_until([] { return nanoseconds::max(); }));
    EXPECT_EQ(end.what, command_end::kind::lost_before_start);
    EXPECT_EQ(losses_, 1);
    close(std::exchange(said_[1], -1));
    char nothing = 0;
    EXPECT_EQ(read(said_[0], &nothing, 1), 0);
}

TEST_F(supervision_test, a_plan_ends_a_command_before_its_lease_ends) {
    const nanoseconds now = boot_time();
    const std::vector<watched_lock> locks{lease_until([now] { return now + 10s; }),
                                          lease_until([now] { return now + 2s; }),
                                          lease_until([] { return nanoseconds::max(); })};
    const command_deadline until = deadline_within(locks, 100ms);
    EXPECT_LT(until.dead_by, now + 2s);
    EXPECT_EQ(until.end_at, until.dead_by - 100ms);
    const command_deadline none = deadline_within({locks[2]}, 100ms);
    EXPECT_EQ(none.end_at, nanoseconds::max());
    EXPECT_EQ(none.dead_by, nanoseconds::max());
}

/// holdfast is stopped and cannot renew; the guardian knows the deadline by itself.
class stopped_holdfast : public supervision_test {
protected:
    /// @param arrange what holdfast does before it stops
    void expect_the_end(nanoseconds dead_by, const std::function<void(guardian&)>& arrange) {
        use_script("trap '' TERM; echo $$ >&9");
        const pid_t holdfast = fork();
        if (holdfast == 0) {
            guardian keeper(plan_, signals_);
            arrange(keeper);
            kill(getpid(), SIGSTOP);
            _exit(0);
        }
        const auto command = static_cast<int>(syscall(SYS_pidfd_open, read_number(), 0));
        ASSERT_GE(command, 0);
        int status = 0;
        ASSERT_EQ(waitpid(holdfast, &status, WUNTRACED), holdfast);
        ASSERT_TRUE(WIFSTOPPED(status));
        pollfd ended{command, POLLIN, 0};
        EXPECT_EQ(poll(&ended, 1, 20'000), 1);
        EXPECT_GE(boot_time(), dead_by - 50ms);
        EXPECT_LT(boot_time(), dead_by + 2s);
        close(command);
        kill(holdfast, SIGKILL);
        ASSERT_EQ(waitpid(holdfast, &status, 0), holdfast);
    }
};

TEST_F(stopped_holdfast, cannot_outlive_its_lease) {
    const nanoseconds dead_by = boot_time() + 500ms;
    expect_the_end(dead_by, [&](guardian& keeper) { keeper.set_deadline({dead_by - 50ms, dead_by}); });
}

TEST_F(stopped_holdfast, cannot_outlive_its_lease_though_it_never_spoke_of_it) {
    const nanoseconds dead_by = boot_time() + 500ms;
    plan_.deadline = {dead_by - 50ms, dead_by};
    expect_the_end(dead_by, [](guardian&) {});
}

/// The last moment before holdfast stops with a command, which somebody continues just then.
TEST_F(supervision_test, a_holdfast_that_stops_too_late_is_continued) {
    use_script("echo $$ >&9");
    const int terminal = open_terminal();
    const pid_t holdfast = fork();
    if (holdfast == 0) {
        lead_session_on(terminal);
        guardian keeper(plan_, signals_);
        const pid_t command = read_number();
        kill(command, SIGSTOP);
        pollfd news{keeper.descriptor(), POLLIN, 0};
        poll(&news, 1, -1);
        const auto report = keeper.receive();
        if (!report || report->what != guardian_report::kind::stopped) _exit(1);
        kill(command, SIGCONT);
        sigset_t continued;
        sigemptyset(&continued);
        sigaddset(&continued, SIGCONT);
        siginfo_t from{};
        if (sigwaitinfo(&continued, &from) != SIGCONT || from.si_pid != keeper.id()) _exit(2);
        kill(getpid(), SIGSTOP);
        keeper.resume();
        kill(-command, SIGKILL);
        poll(&news, 1, -1);
        const auto last = keeper.receive();
        _exit(last && last->what == guardian_report::kind::exited ? 0 : 3);
    }
    EXPECT_EQ(exit_status_of(holdfast), 0);
    close(terminal);
}

/// Ctrl-Z right after the command's group got the terminal.
TEST_F(supervision_test, a_command_can_be_stopped_before_it_is_executed) {
    use_script(":");
    // Descriptors that are not there: nothing is done about them, but that takes a while, after the terminal has been
    // handed over.
    plan_.inherited.assign(300'000, 1'000'000);
    const int terminal = open_terminal();
    const pid_t holdfast = fork();
    if (holdfast == 0) {
        lead_session_on(terminal);
        guardian keeper(plan_, signals_);
        pollfd news{keeper.descriptor(), POLLIN, 0};
        const bool any = poll(&news, 1, 20'000) == 1;
        const auto report = keeper.receive();
        keeper.kill();
        end_all_descendants(signals_);
        if (!any || !report || report->what != guardian_report::kind::stopped) _exit(1);
        _exit(report->status);
    }
    pid_t group = 0;
    while (ioctl(terminal, TIOCGPGRP, &group) != 0 || group == 0 || group == holdfast) {
        ASSERT_EQ(waitpid(holdfast, nullptr, WNOHANG), 0);
        std::this_thread::yield();
    }
    ASSERT_EQ(write(terminal, "\x1a", 1), 1);
    EXPECT_EQ(exit_status_of(holdfast), SIGTSTP);
    close(terminal);
}

TEST_F(supervision_test, an_abort_of_our_own_ends_us) {
    const pid_t aborted = fork();
    if (aborted == 0) {
        // No core file.
        prctl(PR_SET_DUMPABLE, 0);
        std::abort();
    }
    int status = 0;
    ASSERT_EQ(waitpid(aborted, &status, 0), aborted);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST_F(supervision_test, a_killed_guardian_takes_the_command_with_it) {
    use_script("trap '' TERM");
    guardian keeper(plan_, signals_);
    await_command();
    kill(keeper.id(), SIGKILL);
    const command_end end = watch(keeper, lease_until([] { return nanoseconds::max(); }));
    EXPECT_EQ(end.what, command_end::kind::guardian_died);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(supervision_test, a_stopped_guardian_is_replaced_when_the_lock_is_lost) {
    use_script("trap '' TERM");
    guardian keeper(plan_, signals_);
    await_command();
    kill(keeper.id(), SIGSTOP);
    const nanoseconds end_of_lease = boot_time() + 4s;
    const command_end end = watch(keeper, lease_until([&] { return end_of_lease; }));
    EXPECT_LT(boot_time(), end_of_lease);
    EXPECT_EQ(end.what, command_end::kind::lost);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

}  // namespace
}  // namespace holdfast::cli
