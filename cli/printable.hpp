// Other people's text on a terminal.
#ifndef HOLDFAST_CLI_PRINTABLE_HPP
#define HOLDFAST_CLI_PRINTABLE_HPP

#include <string>
#include <string_view>

namespace holdfast::cli {

/// @p text, UTF-8, with a '?' for each control character (ISO 6429: C0, DEL and C1): on a terminal, names must not be
/// more than text.
std::string printable(std::string_view text);
/// The same for a message, which may be of several lines.
std::string printable_lines(std::string_view text);

}  // namespace holdfast::cli

#endif
