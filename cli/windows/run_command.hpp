// What only Windows' `holdfast run` has.
#ifndef HOLDFAST_CLI_WINDOWS_RUN_COMMAND_HPP
#define HOLDFAST_CLI_WINDOWS_RUN_COMMAND_HPP

namespace holdfast::cli {

/// From here on Ctrl-C ends a wait for a lock in an orderly way; outside of one it ends holdfast, as it would without.
void take_console_events();
/// From here on it is the command's, which gets it from the console as we do.
void leave_console_events_to_command();

}  // namespace holdfast::cli

#endif
