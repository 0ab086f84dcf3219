#include "json_events.hpp"

#include "printable.hpp"

#include <chrono>
#include <cstdio>
#include <utility>

namespace holdfast::cli {
namespace {

std::string time_now() {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const auto today = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date(today);
    const std::chrono::hh_mm_ss time(now - today);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
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

json_events::json_events(const event_target& target) : sink_(open_event_sink(target)) {}

void json_events::write(json_event event) {
    if (!sink_) return;
    const std::int64_t lost = sink_->take_lost();
    if (lost > 0) event.add("dropped", lost);
    sink_->write(std::move(event).line(), lost);
}

}  // namespace holdfast::cli
