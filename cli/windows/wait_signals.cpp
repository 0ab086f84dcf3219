// Ctrl-C, Ctrl-Break and the closing of the console.
#include "../wait_signals.hpp"

#include "run_command.hpp"

#include <csignal>
#include <mutex>

#include <windows.h>

namespace holdfast::cli {
namespace {

std::mutex mutex;
std::stop_source* waiting = nullptr;
std::atomic<int>* caught_at = nullptr;
bool command_runs = false;

/// The number that the C runtime has for it.
int signal_of(DWORD what) noexcept {
    if (what == CTRL_C_EVENT) return SIGINT;
    return what == CTRL_BREAK_EVENT ? SIGBREAK : SIGTERM;
}

/// On a thread of the system's.
BOOL WINAPI on_console_event(DWORD what) {
    const std::lock_guard guard(mutex);
    // The command has got Ctrl-C itself, and decides; the rest ends us, and with us the command.
    if (command_runs) return what == CTRL_C_EVENT || what == CTRL_BREAK_EVENT ? TRUE : FALSE;
    if (waiting == nullptr) return FALSE;
    // A second one ends us at once, should the cancellation hang.
    if (caught_at->exchange(signal_of(what)) != 0) return FALSE;
    waiting->request_stop();
    return TRUE;
}

}  // namespace

void take_console_events() {
    // Whoever started us may have switched Ctrl-C off, for us and for the command; that is left as it is.
    ::SetConsoleCtrlHandler(&on_console_event, TRUE);
}

void leave_console_events_to_command() {
    const std::lock_guard guard(mutex);
    command_runs = true;
}

wait_signals::wait_signals(int, int caught) : signals_(-1), quit_(-1), caught_(caught) {
    const std::lock_guard guard(mutex);
    waiting = &cancel_;
    caught_at = &caught_;
}

wait_signals::~wait_signals() {
    end();
}

void wait_signals::end() noexcept {
    const std::lock_guard guard(mutex);
    waiting = nullptr;
    caught_at = nullptr;
}

}  // namespace holdfast::cli
