// Arguments and environment as Windows passes them.
#ifndef HOLDFAST_CLI_WINDOWS_COMMAND_LINE_HPP
#define HOLDFAST_CLI_WINDOWS_COMMAND_LINE_HPP

#include <string>
#include <vector>

namespace holdfast::cli {

/** One command line that CommandLineToArgvW, and the C runtimes' main, take apart into @p arguments again.

    The first one is the program, which is read by simpler rules and cannot hold a double quote.
*/
std::wstring command_line(const std::vector<std::wstring>& arguments);

/// A block for CreateProcess: ours without @p removed (names, or beginnings of names that end in `_`), and @p added
/// ("NAME=value").
std::wstring environment_block(const std::vector<std::wstring>& removed, const std::vector<std::wstring>& added);

}  // namespace holdfast::cli

#endif
