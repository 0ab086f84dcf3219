// From the program's arguments to one of its subcommands.
#ifndef HOLDFAST_CLI_DISPATCH_HPP
#define HOLDFAST_CLI_DISPATCH_HPP

#include "backends.hpp"

namespace holdfast::cli {

/// The whole of main(), once there are arguments. @return the exit status
int dispatch(const program_arguments& all);

}  // namespace holdfast::cli

#endif
