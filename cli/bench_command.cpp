#include "bench_command.hpp"

#include "exit_codes.hpp"
#include "printable.hpp"
#include "secrets.hpp"

#include <bench/rows.hpp>
#include <holdfast/error.hpp>
#include <holdfast/url.hpp>

#include <boost/system/system_error.hpp>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace holdfast::cli {
namespace {

struct bench_options {
    std::string url = "file:";
    bool json = false;
};

void print_text(const bench::row& each) {
    const char* const verdict = each.target == 0 ? "" : each.ratio() <= each.target ? "  ok" : "  above the target";
    std::printf("%-7s %-19s %-39s %9.2f %9.2f %9.2f %6.2f", each.backend.c_str(), each.kind.c_str(), each.style.c_str(),
                each.p50_us, each.p99_us, each.floor_p50_us, each.ratio());
    if (each.target > 0) std::printf("  <= %.2f%s", each.target, verdict);
    std::printf("  (%s)\n", each.floor.c_str());
    std::fflush(stdout);
}

void print_json(const bench::row& each) {
    nlohmann::ordered_json line;
    line["backend"] = each.backend;
    line["kind"] = each.kind;
    line["style"] = each.style;
    line["p50_us"] = each.p50_us;
    line["p99_us"] = each.p99_us;
    line["floor"] = each.floor;
    line["floor_p50_us"] = each.floor_p50_us;
    line["ratio"] = each.ratio();
    if (each.target > 0) line["target"] = each.target;
    std::puts(line.dump().c_str());
    std::fflush(stdout);
}

int run(const bench_options& options, const program_arguments& all) {
    use_drivers_for(options.url, all);
    hide_secrets(options.url, all);
    const url address = url::parse(options.url);
    if (!options.json) {
        std::printf("%-7s %-19s %-39s %9s %9s %9s %6s\n", "backend", "kind", "style", "p50 us", "p99 us", "floor us",
                    "ratio");
    }
    const auto report = options.json ? print_json : print_text;
    const std::string command = program_path();
    if (!bench::measure_rows(address, options.url, command.empty() ? "holdfast" : command, report)) {
        throw error(errc::invalid_options, "there is nothing to measure for the scheme '" + address.scheme() + ":'");
    }
    return exit_code::success;
}

}  // namespace

void add_bench_command(CLI::App& app, const program_arguments& all, int& status) {
    CLI::App* const command = app.add_subcommand("bench", "Measure locks against the same without Holdfast");
    const auto options = std::make_shared<bench_options>();
    command
        ->add_option("--url", options->url,
                     "What to measure: file: (in memory, /dev/shm), file:///DIRECTORY (a scratch directory is made "
                     "below it), system:, memory:, postgres://..., redis://...")
        ->capture_default_str();
    command->add_flag("--json", options->json, "One JSON object a line");
    command->footer(
        "Each row is the median of several rounds, ours and the floor in turn. The floor is the same mechanism\n"
        "written with plain system calls, or against the same server with its driver alone. Takes a minute or\n"
        "two; other load on the machine, or on the server, spoils it. On a server only names that begin with\n"
        "'holdfast-bench:' are used.\n\n"
        "  holdfast bench\n"
        "  holdfast bench --url file:///var/lock/app --json\n"
        "  holdfast bench --url redis://127.0.0.1");
    command->callback([options, all, &status] {
        try {
            status = run(*options, all);
        } catch (const error& failure) {
            std::fprintf(stderr, "holdfast bench: %s\n", printable_lines(failure.what()).c_str());
            status = exit_code::of(failure);
        } catch (const boost::system::system_error& failure) {
            // Of the floor, which has the system alone. Without the place in Boost's source that what() has.
            std::fprintf(stderr, "holdfast bench: the server: %s\n", failure.code().message().c_str());
            status = exit_code::unavailable;
        }
    });
}

}  // namespace holdfast::cli
