// Where the lines of `--json-fd` go.
#ifndef HOLDFAST_CLI_EVENT_SINK_HPP
#define HOLDFAST_CLI_EVENT_SINK_HPP

#include "run_options.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace holdfast::cli {

/** Takes lines, and holds nobody up: one for which the reader has no room is lost.

    Thread safety: one thread at a time.
*/
class event_sink {
public:
    event_sink() = default;
    event_sink(const event_sink&) = delete;
    event_sink& operator=(const event_sink&) = delete;
    virtual ~event_sink() = default;

    /// How many lines were lost of which no line has told yet. The next one is to tell of them.
    virtual std::int64_t take_lost() = 0;
    /// @param tells of how many lost lines this one tells
    virtual void write(std::string line, std::int64_t tells) = 0;
};

/** @param target is not inherited by the command, but for standard output and error, which are its own too
    @throws usage_error where it is not open for writing */
std::unique_ptr<event_sink> open_event_sink(const event_target& target);

}  // namespace holdfast::cli

#endif
