// `holdfast run`.
#ifndef HOLDFAST_CLI_RUN_COMMAND_HPP
#define HOLDFAST_CLI_RUN_COMMAND_HPP

namespace holdfast::cli {

/// The program's arguments, as main() got them.
struct program_arguments {
    int count = 0;
    char** values = nullptr;
};

/** `holdfast run`: acquires, runs the command, releases.

    @param all   everything, for the process title
    @param first the index of the first argument after `run`
    @return the exit status; may also end the process, by the signal that ended the command
*/
int run_command(const program_arguments& all, int first);

}  // namespace holdfast::cli

#endif
