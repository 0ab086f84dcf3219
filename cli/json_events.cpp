#include "json_events.hpp"

#include "run_options.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

/// The length of the well-formed UTF-8 sequence that @p text begins with; 0: none.
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto continues = [&](std::size_t at, unsigned low = 0x80, unsigned high = 0xBF) {
        return at < text.size() && byte(at) >= low && byte(at) <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = first == 0xED ? 0x9F : 0xBF;
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const unsigned low = first == 0xF0 ? 0x90 : 0x80;
        const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

std::string time_now() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    char text[64];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + length, sizeof text - length, ".%06ldZ", now.tv_nsec / 1000);
    return text;
}

}  // namespace

std::string json_string(std::string_view text) {
    std::string result = "\"";
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        const char c = text.front();
        if (length == 0) {
            result += "\\ufffd";
        } else if (c == '"' || c == '\\') {
            result += '\\';
            result += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            result += escape;
        } else {
            result += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    result += '"';
    return result;
}

json_event::json_event(std::string_view name) {
    text_ = "{\"event\":" + json_string(name) + ",\"time\":\"" + time_now() + '"';
}

json_event& json_event::add(std::string_view key, std::string_view value) {
    text_ += ',' + json_string(key) + ':' + json_string(value);
    return *this;
}

json_event& json_event::add(std::string_view key, std::int64_t value) {
    text_ += ',' + json_string(key) + ':' + std::to_string(value);
    return *this;
}

json_event& json_event::add_unsigned(std::string_view key, std::uint64_t value) {
    return add(key, std::to_string(value));
}

std::string json_event::line() && {
    return std::move(text_) + "}\n";
}

json_events::json_events(int descriptor) {
    const std::string option = "--json-fd " + std::to_string(descriptor);
    const int mode = fcntl(descriptor, F_GETFL);
    if (mode < 0) {
        throw usage_error(option + ": not open; open it with a redirection: " + std::to_string(descriptor) + ">events");
    }
    if ((mode & O_ACCMODE) == O_RDONLY) throw usage_error(option + ": not open for writing");
    // A copy has its own close-on-exec flag, so that standard output and error stay open for the command.
    descriptor_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), option);
    if (descriptor >= 3) close(descriptor);
}

void json_events::write(json_event event) {
    if (descriptor_ < 0) return;
    if (dropped_ > 0) event.add("dropped", dropped_);
    const std::string line = std::move(event).line();
    pollfd room{descriptor_, POLLOUT, 0};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0 ||
        ::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        ++dropped_;
        return;
    }
    dropped_ = 0;
}

}  // namespace holdfast::cli
