#include "wait_signals.hpp"

#include "signals.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast::cli {

wait_signals::wait_signals(int signal_descriptor, int caught)
    : signals_(signal_descriptor), quit_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), caught_(caught) {
    if (quit_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    try {
        thread_ = std::thread([this] { listen(); });
    } catch (...) {
        close(quit_);
        throw;
    }
}

wait_signals::~wait_signals() {
    end();
    close(quit_);
}

void wait_signals::end() noexcept {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(quit_, &one, sizeof one);
    thread_.join();
}

void wait_signals::listen() noexcept {
    for (;;) {
        std::array<pollfd, 2> sources{{{signals_, POLLIN, 0}, {quit_, POLLIN, 0}}};
        poll(sources.data(), sources.size(), -1);
        if (sources[1].revents != 0) return;
        // One by one: what comes after the quit is for the command.
        signalfd_siginfo info;
        if (read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
        const auto signal = static_cast<int>(info.ssi_signo);
        if (info.ssi_code <= 0 && static_cast<pid_t>(info.ssi_pid) == getpid()) continue;
        if (is_stop_signal(signal)) {
            stop_self(signal);
        } else if (ends_us(signal)) {
            if (caught_ != 0) die_of(signal);
            caught_ = signal;
            cancel_.request_stop();
        }
    }
}

}  // namespace holdfast::cli
