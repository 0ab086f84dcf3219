#include "say.hpp"

#include <cerrno>
#include <string_view>

#include <poll.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr int longest_wait_ms = 50;
/// A pipe that is ready takes so much (PIPE_BUF) in one piece, and without blocking.
constexpr std::size_t longest_line = 4096;

}  // namespace

void say(const std::string& text) noexcept {
    char line[longest_line];
    std::size_t size = 0;
    for (const std::string_view part : {std::string_view("holdfast: "), std::string_view(text)}) {
        size += part.copy(line + size, longest_line - 1 - size);
    }
    line[size++] = '\n';
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    while (::poll(&room, 1, longest_wait_ms) < 0 && errno == EINTR) {
    }
    if ((room.revents & POLLOUT) == 0) return;
    while (::write(STDERR_FILENO, line, size) < 0 && errno == EINTR) {
    }
}

}  // namespace holdfast::cli
