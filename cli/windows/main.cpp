// holdfast.exe: the subcommands that there are on Windows.
#include "../exit_codes.hpp"
#include "../key_command.hpp"
#include "../list_command.hpp"
#include "../run_command.hpp"

#include <core/windows/wide.hpp>

#include <holdfast/version.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <io.h>

#include <windows.h>

#include <shellapi.h>

namespace {

/// As UTF-8, which main's own arguments are not. Nothing where one is no text at all.
std::vector<std::string> utf8_arguments() {
    int count = 0;
    wchar_t** const wide = ::CommandLineToArgvW(::GetCommandLineW(), &count);
    std::vector<std::string> made;
    for (int at = 0; at < count; ++at) {
        auto text = holdfast::core::to_utf8(wide[at]);
        if (!text) return {};
        made.push_back(std::move(*text));
    }
    ::LocalFree(wide);
    return made;
}

}  // namespace

int main() {
    namespace cli = holdfast::cli;
    namespace exit_code = cli::exit_code;
    try {
        std::vector<std::string> own = utf8_arguments();
        if (own.empty()) {
            std::fputs("holdfast: an argument is not valid UTF-16\n", stderr);
            return exit_code::usage;
        }
        std::vector<char*> values;
        for (std::string& each : own) values.push_back(each.data());
        values.push_back(nullptr);
        const cli::program_arguments all{static_cast<int>(own.size()), values.data()};
        const std::string_view verb = all.count > 1 ? all.values[1] : "";
        if (verb == "run") return cli::run_command(all, 2);
        // Its output is for other programs, whatever the system.
        ::_setmode(::_fileno(stdin), _O_BINARY);
        ::_setmode(::_fileno(stdout), _O_BINARY);
        if (verb == "key") return cli::key_command(all.count - 1, all.values + 1);

        int status = exit_code::success;
        CLI::App app{"Locks that exclude each other on one machine.", "holdfast"};
        app.require_subcommand(1);
        app.set_version_flag("--version", HOLDFAST_VERSION_STRING);
        app.add_subcommand("run", "Run a command while holding a lock; see holdfast run --help");
        cli::add_list_command(app, all, status);
        cli::add_key_command(app, status);
        try {
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
