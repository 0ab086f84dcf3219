// What only Windows' `holdfast run` has.
#ifndef HOLDFAST_CLI_WINDOWS_RUN_COMMAND_HPP
#define HOLDFAST_CLI_WINDOWS_RUN_COMMAND_HPP

namespace holdfast::cli {

/// From here on Ctrl-C ends a wait for a lock, and is left to the command while there is one.
void take_console_events();

}  // namespace holdfast::cli

#endif
