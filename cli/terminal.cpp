#include "terminal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

/// A pipe at our standard output or error leads to a later member of our pipeline, which is in our group.
bool leads_to_a_pipe(int descriptor) noexcept {
    struct stat status {};
    return fstat(descriptor, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

}  // namespace

terminal find_terminal() noexcept {
    terminal found;
    const int descriptor = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0) return found;
    found.our_group = getpgrp();
    const bool leads_foreground = found.our_group == getpid() && tcgetpgrp(descriptor) == found.our_group;
    if (leads_foreground && !leads_to_a_pipe(STDOUT_FILENO) && !leads_to_a_pipe(STDERR_FILENO)) {
        found.descriptor = descriptor;
    } else {
        found.own_group = false;
        close(descriptor);
    }
    return found;
}

void hand_terminal(const terminal& tty, pid_t from, pid_t to) noexcept {
    if (tty.descriptor >= 0 && tcgetpgrp(tty.descriptor) == from) tcsetpgrp(tty.descriptor, to);
}

}  // namespace holdfast::cli
