// `holdfast doctor`: whether a backend is fit to keep locks.
#ifndef HOLDFAST_CLI_DOCTOR_COMMAND_HPP
#define HOLDFAST_CLI_DOCTOR_COMMAND_HPP

#include "backends.hpp"

namespace CLI {
class App;
}

namespace holdfast::cli {

/// Adds it as a subcommand, which runs when @p app parses it and sets @p status to the exit status.
/// @param all the program's arguments
void add_doctor_command(CLI::App& app, const program_arguments& all, int& status);

}  // namespace holdfast::cli

#endif
