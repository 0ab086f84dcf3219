#include "list_command.hpp"

#include "exit_codes.hpp"
#include "inspection.hpp"
#include "printable.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::cli {
namespace {

struct list_options {
    std::optional<std::string> url;
    bool json = false;
};

const char* name_of(lock_entry::status state) noexcept {
    switch (state) {
        case lock_entry::status::free: return "free";
        case lock_entry::status::held: return "held";
        case lock_entry::status::waiting: return "waiting";
    }
    return "";
}

void print_json(const lock_entry& each) {
    nlohmann::ordered_json line;
    line["key"] = each.key;
    line["state"] = name_of(each.state);
    if (!each.access.empty()) line["access"] = each.access;
    if (!each.holder.empty()) line["holder"] = each.holder;
    for (const auto& detail : each.details) line[detail.first] = detail.second;
    std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_text(const lock_entry& each) {
    std::string line = printable(each.key) + ": " + name_of(each.state);
    if (each.state != lock_entry::status::free) {
        if (!each.access.empty()) line += " (" + each.access + ")";
        if (!each.holder.empty()) line += " by " + printable(each.holder);
        for (const auto& detail : each.details) line += ", " + detail.first + " " + printable(detail.second);
    }
    std::puts(line.c_str());
}

/// Why one of several servers could not be asked; null: it is a lock.
const std::string* failure_of(const lock_entry& each) noexcept {
    const bool failed = each.details.size() == 1 && each.details.front().first == "failure";
    return failed ? &each.details.front().second : nullptr;
}

int print_list(const provider& source, bool json) {
    const auto found = source.list();
    if (found.empty() && !json) std::fputs("no locks\n", stderr);
    int status = exit_code::success;
    for (const lock_entry& each : found) {
        if (const std::string* const why = failure_of(each)) {
            std::fprintf(stderr, "holdfast list: not asked: %s\n", printable(*why).c_str());
            status = exit_code::unavailable;
        } else {
            json ? print_json(each) : print_text(each);
        }
    }
    return status;
}

}  // namespace

void add_list_command(CLI::App& app, const program_arguments& all, int& status) {
    CLI::App* const command = app.add_subcommand("list", "Show locks and who holds them or waits for them");
    const auto options = std::make_shared<list_options>();
    command->add_option("--url,url", options->url,
                        "Where the locks are, or @FILE with the URL; default: HOLDFAST_URL, or this user's own lock "
                        "directory");
    command->add_flag("--json", options->json, "One JSON object a line: key, state, access, holder and more");
    command->footer(
        "A lock file without a holder is left from a process that was killed, or from one that keeps its files; it\n"
        "locks nobody out. Holders in other PID namespaces (containers) are shown as free or by their number there.\n\n"
        "  holdfast list\n"
        "  holdfast list file:///var/lock/app --json");
    command->callback([options, all, &status] {
        status = inspect("list", options->url, all,
                         [&](const provider& source) { return print_list(source, options->json); });
    });
}

}  // namespace holdfast::cli
