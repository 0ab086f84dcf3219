#include "dispatch.hpp"

#include "bench_command.hpp"
#include "doctor_command.hpp"
#include "exit_codes.hpp"
#include "key_command.hpp"
#include "list_command.hpp"
#include "printable.hpp"
#include "run_command.hpp"
#include "say.hpp"

#include <holdfast/version.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

namespace holdfast::cli {

int dispatch(const program_arguments& all) {
    // Before anything is built for the others: the whole of `holdfast run` competes with flock(1)'s millisecond.
    const std::string_view verb = all.count > 1 ? all.values[1] : "";
    if (verb == "run") return run_command(all, 2);
    // Its arguments are names, which may look like other subcommands.
    if (verb == "key") return key_command(all.count - 1, all.values + 1);
    try {
        int status = exit_code::success;
        CLI::App app{"Locks that exclude each other on one machine or on many.", "holdfast"};
        app.require_subcommand(1);
        app.set_version_flag("--version", HOLDFAST_VERSION_STRING);
        app.add_subcommand("run", "Run a command while holding a lock; see holdfast run --help");
        add_list_command(app, all, status);
        add_doctor_command(app, all, status);
        add_key_command(app, status);
        add_bench_command(app, all, status);
        const bool helps = verb == "help";
        const auto all_verbs =
            app.get_subcommands([verb](CLI::App* each) { return each->check_name(std::string(verb)); });
        if (!verb.empty() && !helps && !verb.starts_with('-') && all_verbs.empty()) {
            say("there is no subcommand '" + printable(verb) + "'; to run a command under a lock: holdfast run " +
                printable(verb) + " -- COMMAND; all of them: holdfast --help");
            return exit_code::usage;
        }
        try {
            if (helps) throw CLI::CallForHelp();
            app.parse(all.count, all.values);
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

}  // namespace holdfast::cli
