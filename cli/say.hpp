// What the command tells its user.
#ifndef HOLDFAST_CLI_SAY_HPP
#define HOLDFAST_CLI_SAY_HPP

#include <string>

namespace holdfast::cli {

/** Writes "holdfast: @p text" to standard error, as a line in one piece: the command that is run writes there, too.

    Of @p text, which may hold what others have written, only new lines do anything to a terminal.

    Nobody is held up by whoever does not read: what standard error has no room for within 50 ms is not said. Of more
    than 4000 bytes the rest is left out.

    Thread safety: safe.
*/
void say(const std::string& text) noexcept;

}  // namespace holdfast::cli

#endif
