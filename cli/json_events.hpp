// `--json-fd`: what happens, one JSON object a line.
#ifndef HOLDFAST_CLI_JSON_EVENTS_HPP
#define HOLDFAST_CLI_JSON_EVENTS_HPP

#include <cstdint>
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

/** Writes events to a descriptor.

    A reader that does not read must not keep us from our work: an event that does not fit into the pipe at once is
    dropped, and the next one that does says how many were.
*/
class json_events {
public:
    /// Writes nothing.
    json_events() = default;
    /** @param descriptor open for writing; 3 and above are closed for the command, 1 and 2 are its own too
        @throws usage_error otherwise */
    explicit json_events(int descriptor);

    bool enabled() const noexcept { return descriptor_ >= 0; }
    void write(json_event event);

private:
    int descriptor_ = -1;
    std::int64_t dropped_ = 0;
};

}  // namespace holdfast::cli

#endif
