// Durations as people write them on a command line.
#ifndef HOLDFAST_CLI_DURATION_HPP
#define HOLDFAST_CLI_DURATION_HPP

#include <chrono>
#include <optional>
#include <string_view>

namespace holdfast::cli {

/// A time span, or none: without end.
using time_limit = std::optional<std::chrono::nanoseconds>;

/** Reads `500ms`, `10s`, `1.5s`, `2m`, `1h`, `0s` or `infinite`.

    A number without a unit is refused: flock(1) means seconds, other programs mean milliseconds. So is more than the
    library takes (2^31-1 ms).

    @throws std::invalid_argument with a sentence that says what would be right
*/
time_limit parse_time_limit(std::string_view text);

}  // namespace holdfast::cli

#endif
