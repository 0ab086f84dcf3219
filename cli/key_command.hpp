// `holdfast key`: what a lock's name becomes on a backend.
#ifndef HOLDFAST_CLI_KEY_COMMAND_HPP
#define HOLDFAST_CLI_KEY_COMMAND_HPP

namespace CLI {
class App;
}

namespace holdfast::cli {

/** Runs it on its own: @p arguments begins with the word `key`, as @p count says how many there are.

    Returns the exit status. 0: every name has a key. 1: some have none. 64: the command line is wrong. 74: standard
   input or output failed.
*/
int key_command(int count, const char* const* arguments);

/** Adds it as a subcommand, which runs when @p app parses it, and sets @p status to what `key_command` would return.

    Inside another CLI11 command a name equal to a sibling, or `++`, is not taken for a name unless `--` stands before
   it; `key_command` has no such trouble.
*/
void add_key_command(CLI::App& app, int& status);

}  // namespace holdfast::cli

#endif
