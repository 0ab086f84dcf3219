#include "say.hpp"

#include "printable.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>

#include <poll.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr int longest_wait_ms = 50;
/// A pipe that is ready takes so much (PIPE_BUF) in one piece, and without blocking.
constexpr std::size_t longest_line = 4096;

}  // namespace

void say(const std::string& text) noexcept {
    std::string line;
    try {
        line = "holdfast: " + printable_lines(text);
        line.resize(std::min(line.size(), longest_line - 1));
        line += '\n';
    } catch (const std::exception&) {
        // Without memory nothing is said.
        return;
    }
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    while (::poll(&room, 1, longest_wait_ms) < 0 && errno == EINTR) {
    }
    if ((room.revents & POLLOUT) == 0) return;
    while (::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
    }
}

}  // namespace holdfast::cli
