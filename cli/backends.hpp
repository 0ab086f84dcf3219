// Which backends this program has, and which the other one.
#ifndef HOLDFAST_CLI_BACKENDS_HPP
#define HOLDFAST_CLI_BACKENDS_HPP

#include <holdfast/provider.hpp>

#include <string>

namespace holdfast::cli {

/// A program's arguments, as main() got them.
struct program_arguments {
    int count = 0;
    char** values = nullptr;
};

/** Executes `holdfast-drivers` in place of this program, with the same arguments, where @p address has a scheme that
    only that one serves; else returns.

    Backends with a driver are in a program of their own, because `holdfast run` on files competes with flock(1)'s
    millisecond, and loading a driver and the libraries it needs takes two. The price is one execve(2), paid by those
    who are about to connect to a server.
*/
void use_drivers_for(const std::string& address, const program_arguments& all);

/// This program's own file; empty where the system does not tell.
std::string program_path();

/// A provider from a URL, with the backends of this program. Throws @ref error as `holdfast::open` does.
provider open_provider(const std::string& address);

}  // namespace holdfast::cli

#endif
