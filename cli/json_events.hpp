// `--json-fd`: what happens, one JSON object a line.
#ifndef HOLDFAST_CLI_JSON_EVENTS_HPP
#define HOLDFAST_CLI_JSON_EVENTS_HPP

#include "event_sink.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::cli {

/// Text as a JSON string, with its quotes. What is not UTF-8 (a path) becomes U+FFFD.
std::string json_string(std::string_view text);

/// One event under construction: `{"event":"...","time":"..."` and what is added.
class json_event {
public:
    explicit json_event(std::string_view name);
    json_event& add(std::string_view key, std::string_view value);
    json_event& add(std::string_view key, std::int64_t value);
    /// As text: JavaScript's numbers end at 2^53.
    json_event& add_unsigned(std::string_view key, std::uint64_t value);
    /// The line, with its end.
    std::string line() &&;

private:
    std::string text_;
};

/** Writes events, a line each.

    A reader that does not read must not keep us from our work: an event for which there is no room is dropped, and the
    next one that gets through says how many were.
*/
class json_events {
public:
    /// Writes nothing.
    json_events() = default;
    /// @throws usage_error where it is not open for writing
    explicit json_events(const event_target& target);

    bool enabled() const noexcept { return sink_ != nullptr; }
    void write(json_event event);

private:
    std::unique_ptr<event_sink> sink_;
};

}  // namespace holdfast::cli

#endif
