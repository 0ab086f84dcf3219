#include "event_sink.hpp"

#include "shared_output.hpp"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

class descriptor_sink final : public event_sink {
public:
    explicit descriptor_sink(int descriptor) noexcept : descriptor_(descriptor), output_(descriptor) {}
    ~descriptor_sink() override { close(descriptor_); }

    std::int64_t take_lost() override { return std::exchange(lost_, 0); }

    void write(std::string line, std::int64_t tells) override {
        // A line that has been begun is to be a whole one.
        if (!rest_.empty()) rest_.erase(0, output_.write(rest_, {}));
        const std::size_t written = rest_.empty() ? output_.write(line, {}) : 0;
        if (written == 0) {
            lost_ += tells + 1;
        } else if (written < line.size()) {
            // More than the pipe holds. Somebody who reads it gets all of it, and nobody else holds us up for long.
            rest_ = line.substr(written);
            rest_.erase(0, output_.write(rest_, shared_output::longest_wait));
        }
    }

private:
    const int descriptor_;
    const shared_output output_;
    std::string rest_;
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
