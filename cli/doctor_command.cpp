#include "doctor_command.hpp"

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

struct doctor_options {
    std::optional<std::string> url;
    bool clean = false;
    bool json = false;
};

const char* name_of(finding::grade severity) noexcept {
    switch (severity) {
        case finding::grade::good: return "ok";
        case finding::grade::warning: return "warning";
        case finding::grade::fault: return "fault";
    }
    return "";
}

void print(const finding& each, bool json) {
    if (json) {
        nlohmann::ordered_json line;
        line["grade"] = name_of(each.severity);
        line["subject"] = each.subject;
        line["text"] = each.text;
        std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
        std::printf("%-8s %-20s %s\n", name_of(each.severity), each.subject.c_str(), printable(each.text).c_str());
    }
}

int print_findings(const provider& source, const doctor_options& options) {
    examination how;
    how.clean = options.clean;
    bool fit = true;
    for (const finding& each : source.examine(how)) {
        print(each, options.json);
        fit = fit && each.severity != finding::grade::fault;
    }
    return fit ? exit_code::success : exit_code::unavailable;
}

}  // namespace

void add_doctor_command(CLI::App& app, const program_arguments& all, int& status) {
    CLI::App* const command = app.add_subcommand("doctor", "Look at whether a backend is fit to keep locks");
    const auto options = std::make_shared<doctor_options>();
    command->add_option("--url,url", options->url,
                        "The backend, or @FILE with the URL; default: HOLDFAST_URL, or this user's own lock directory");
    command->add_flag("--clean", options->clean, "Remove what dead processes left behind and nobody uses");
    command->add_flag("--json", options->json, "One JSON object a line: grade (ok, warning, fault), subject, text");
    command->footer(
        "Exits with 0 when nothing is at fault, with 69 otherwise. Warnings are limits to know of.\n\n"
        "  holdfast doctor\n"
        "  holdfast doctor --clean file:///var/lock/app");
    command->callback([options, all, &status] {
        status = inspect("doctor", options->url, all,
                         [&](const provider& source) { return print_findings(source, *options); });
    });
}

}  // namespace holdfast::cli
