// `holdfast run`.
#ifndef HOLDFAST_CLI_RUN_COMMAND_HPP
#define HOLDFAST_CLI_RUN_COMMAND_HPP

#include "backends.hpp"

namespace holdfast::cli {

/** `holdfast run`: acquires, runs the command, releases.

    @param all   everything, for the process title
    @param first the index of the first argument after `run`
    @return the exit status; may also end the process, by the signal that ended the command
*/
int run_command(const program_arguments& all, int first);

}  // namespace holdfast::cli

#endif
