#include "shared_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::cli {

shared_output::shared_output(int descriptor) noexcept : descriptor_(descriptor) {
    struct stat about {};
    if (fstat(descriptor, &about) != 0) return;
    is_socket_ = S_ISSOCK(about.st_mode);
    if (!S_ISFIFO(about.st_mode)) return;
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    const int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own < 0) return;
    descriptor_ = own;
    is_own_ = true;
}

shared_output::~shared_output() {
    if (is_own_) close(descriptor_);
}

std::size_t shared_output::write(std::string_view text, std::chrono::milliseconds patience) const noexcept {
    using clock = std::chrono::steady_clock;
    const auto until = clock::now() + patience;
    std::size_t done = 0;
    while (done < text.size()) {
        const auto left = std::max(until - clock::now(), clock::duration::zero());
        pollfd room{descriptor_, POLLOUT, 0};
        const int ready = poll(&room, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
        if (ready < 0 && errno == EINTR) continue;
        if ((room.revents & POLLOUT) == 0) break;
        const std::string_view rest = text.substr(done);
        const ssize_t written = is_socket_ ? send(descriptor_, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                           : ::write(descriptor_, rest.data(), rest.size());
        if (written >= 0) {
            done += static_cast<std::size_t>(written);
        } else if (errno != EINTR && (errno != EAGAIN || left == clock::duration::zero())) {
            break;
        }
    }
    return done;
}

}  // namespace holdfast::cli
