#include "list_command.hpp"

#include "default_directory.hpp"
#include "exit_codes.hpp"
#include "lock_file_holder.hpp"

#include <holdfast/error.hpp>
#include <holdfast/url.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace holdfast::cli {
namespace {

struct list_options {
    std::string url;
    bool json = false;
};

/// The lock files of a directory, sorted.
std::vector<std::string> lock_files(const std::string& directory) {
    std::vector<std::string> found;
    std::error_code failed;
    for (const auto& each : std::filesystem::directory_iterator(directory, failed)) {
        if (each.path().extension() == ".lock") found.push_back(each.path().string());
    }
    if (failed && failed != std::errc::no_such_file_or_directory) {
        throw error(errc::unavailable, "cannot read '" + directory + "': " + failed.message());
    }
    std::sort(found.begin(), found.end());
    return found;
}

void print(const std::string& path, const std::string& holder, bool json) {
    if (json) {
        nlohmann::ordered_json line;
        line["path"] = path;
        line["held"] = !holder.empty();
        if (!holder.empty()) line["holder"] = holder;
        std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
        std::printf("%s: %s\n", path.c_str(), holder.empty() ? "free" : ("held by " + holder).c_str());
    }
}

int run(const list_options& options) {
    std::string directory;
    if (options.url.empty()) {
        directory = default_lock_directory();
    } else {
        const url address = url::parse(options.url);
        if (address.scheme() != "file" || address.path().empty()) {
            throw error(errc::invalid_options, "list knows directories of lock files: --url file:///DIRECTORY");
        }
        directory = address.path();
    }
    const auto files = lock_files(directory);
    if (files.empty() && !options.json) std::fprintf(stderr, "no lock files in %s\n", directory.c_str());
    for (const std::string& each : files) print(each, describe_holder(each), options.json);
    return exit_code::success;
}

}  // namespace

void add_list_command(CLI::App& app, int& status) {
    CLI::App* const command = app.add_subcommand("list", "Show the locks of a directory, and who holds them");
    const auto options = std::make_shared<list_options>();
    command->add_option("--url", options->url, "file:///DIRECTORY; default: this user's own lock directory");
    command->add_flag("--json", options->json, "One JSON object a line: path, held, holder");
    command->footer(
        "A lock file without a holder is left from a process that was killed, or from one that keeps its files; it\n"
        "locks nobody out. Holders in other PID namespaces (containers) are shown as free or by their number there.\n\n"
        "  holdfast list\n"
        "  holdfast list --url file:///var/lock/app --json");
    command->callback([options, &status] {
        try {
            status = run(*options);
        } catch (const error& failure) {
            std::fprintf(stderr, "holdfast list: %s\n", failure.what());
            status = failure.boost_code() == errc::invalid_options ? exit_code::configuration : exit_code::unavailable;
        } catch (const directory_error& failure) {
            std::fprintf(stderr, "holdfast list: %s\n", failure.what());
            status = exit_code::cannot_create;
        }
    });
}

}  // namespace holdfast::cli
