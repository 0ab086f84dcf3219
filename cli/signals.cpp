#include "signals.hpp"

#include "exit_codes.hpp"

#include <ctime>
#include <initializer_list>

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

sigset_t only(int signal) noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

}  // namespace

sigset_t supervised_signals() noexcept {
    sigset_t set;
    sigfillset(&set);
    // SIGABRT is none of them: abort() unblocks it.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGXCPU, SIGXFSZ}) {
        sigdelset(&set, fault);
    }
    return set;
}

inherited_signals block_signals() noexcept {
    inherited_signals before{};
    const sigset_t set = supervised_signals();
    pthread_sigmask(SIG_BLOCK, &set, &before.mask);
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    struct sigaction old {};
    sigaction(SIGCHLD, &standard, &old);
    before.child_ignored = old.sa_handler == SIG_IGN;
    return before;
}

int open_signal_descriptor() noexcept {
    const sigset_t set = supervised_signals();
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool ends_us(int signal) noexcept {
    switch (signal) {
        case SIGCHLD:
        case SIGCONT:
        case SIGURG:
        case SIGWINCH: return false;
        default: break;
    }
    if (is_stop_signal(signal)) return false;
    struct sigaction disposition {};
    return sigaction(signal, nullptr, &disposition) != 0 || disposition.sa_handler != SIG_IGN;
}

bool is_stop_signal(int signal) noexcept {
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

void stop_self(int signal) noexcept {
    const sigset_t continued = only(SIGCONT);
    const timespec now{};
    // The stop would take that away.
    if (sigtimedwait(&continued, nullptr, &now) == SIGCONT) return;
    if (signal == SIGSTOP) {
        kill(getpid(), SIGSTOP);
    } else {
        const sigset_t set = only(signal);
        kill(getpid(), signal);
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        // Stopped here, until continued.
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
    }
    // The SIGCONT that woke us has done its work.
    sigtimedwait(&continued, nullptr, &now);
}

void die_of(int signal) noexcept {
    // The memory image is of no use to whoever looks into the command's end, and may hold secrets.
    prctl(PR_SET_DUMPABLE, 0);
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
    kill(getpid(), signal);
    const sigset_t set = only(signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    _exit(exit_code::signal_base + signal);
}

}  // namespace holdfast::cli
