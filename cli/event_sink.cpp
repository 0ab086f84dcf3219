#include "event_sink.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

class descriptor_sink final : public event_sink {
public:
    explicit descriptor_sink(int descriptor) noexcept : descriptor_(descriptor) {}
    ~descriptor_sink() override { close(descriptor_); }

    std::int64_t take_lost() override { return std::exchange(lost_, 0); }

    void write(std::string line, std::int64_t tells) override {
        pollfd room{descriptor_, POLLOUT, 0};
        if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0 ||
            ::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
            lost_ += tells + 1;
        }
    }

private:
    const int descriptor_;
    std::int64_t lost_ = 0;
};

}  // namespace

std::unique_ptr<event_sink> open_event_sink(const event_target& target) {
    if (target.is_handle) throw usage_error("--json-handle is for Windows; here it is --json-fd");
    const int descriptor = target.number;
    const std::string option = "--json-fd " + std::to_string(descriptor);
    const int mode = fcntl(descriptor, F_GETFL);
    if (mode < 0) {
        throw usage_error(option + ": not open; open it with a redirection: " + std::to_string(descriptor) + ">events");
    }
    if ((mode & O_ACCMODE) == O_RDONLY) throw usage_error(option + ": not open for writing");
    // A copy has its own close-on-exec flag, so that standard output and error stay open for the command.
    const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) throw std::system_error(errno, std::generic_category(), option);
    if (descriptor >= 3) close(descriptor);
    return std::make_unique<descriptor_sink>(copy);
}

}  // namespace holdfast::cli
