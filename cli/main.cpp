// holdfast, the command: dispatches to its subcommands.
#include "bench_command.hpp"
#include "doctor_command.hpp"
#include "exit_codes.hpp"
#include "key_command.hpp"
#include "list_command.hpp"
#include "run_command.hpp"

#include <holdfast/version.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cstdio>
#include <exception>
#include <string_view>

int main(int count, char** arguments) {
    namespace cli = holdfast::cli;
    namespace exit_code = cli::exit_code;
    // Before anything is built for the others: the whole of `holdfast run` competes with flock(1)'s millisecond.
    const std::string_view verb = count > 1 ? arguments[1] : "";
    const cli::program_arguments all{count, arguments};
    if (verb == "run") return cli::run_command(all, 2);
    // Its arguments are names, which may look like other subcommands.
    if (verb == "key") return cli::key_command(count - 1, arguments + 1);
    try {
        int status = exit_code::success;
        CLI::App app{"Locks that exclude each other on one machine or on many.", "holdfast"};
        app.require_subcommand(1);
        app.set_version_flag("--version", HOLDFAST_VERSION_STRING);
        app.add_subcommand("run", "Run a command while holding a lock; see holdfast run --help");
        cli::add_list_command(app, all, status);
        cli::add_doctor_command(app, all, status);
        cli::add_key_command(app, status);
        cli::add_bench_command(app, all, status);
        try {
            app.parse(count, arguments);
        } catch (const CLI::ParseError& wrong) {
            const bool asked = wrong.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
            app.exit(wrong);
            return asked ? exit_code::success : exit_code::usage;
        }
        return status;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "holdfast: %s\n", failure.what());
        return exit_code::internal;
    }
}
