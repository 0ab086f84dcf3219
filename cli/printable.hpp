// Other people's text on a terminal.
#ifndef HOLDFAST_CLI_PRINTABLE_HPP
#define HOLDFAST_CLI_PRINTABLE_HPP

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::cli {

/// The length of the well-formed UTF-8 sequence that @p text begins with; 0: none. @pre it is not empty
std::size_t sequence_length(std::string_view text);

/// @p text, with a '?' for each control character (ISO 6429: C0, DEL and C1) and each byte that is no UTF-8: on a
/// terminal, and in a log, names must not be more than text.
std::string printable(std::string_view text);
/// The same for a message, which may be of several lines.
std::string printable_lines(std::string_view text);

}  // namespace holdfast::cli

#endif
