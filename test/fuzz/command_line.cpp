// The command line of `holdfast run`, and its durations: any arguments are understood or refused as a usage error.
#include "check.hpp"

#include <cli/duration.hpp>
#include <cli/run_options.hpp>

#include <holdfast/timeout.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::cli {
namespace {

using fuzz::check;

void check_limit(const time_limit& limit) {
    if (!limit) return;
    check(*limit >= limit->zero(), "a duration is negative");
    // Whatever the command takes, the library must take too.
    const timeout taken(*limit);
    check(taken.is_zero() == (*limit == limit->zero()), "a duration was rounded to zero");
}

void check_duration(const std::string& text) {
    try {
        check_limit(parse_time_limit(text));
    } catch (const std::invalid_argument& refused) {
        check(refused.what()[0] != '\0', "a refusal without a reason");
    }
}

void check_arguments(std::vector<std::string> texts) {
    std::vector<char*> arguments;
    arguments.reserve(texts.size() + 1);
    for (std::string& each : texts) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    const int count = static_cast<int>(texts.size());
    try {
        const run_options options = parse_run_options(count, arguments.data());
        if (options.help) return;
        check(!options.locks.empty(), "no lock, and no refusal");
        check(options.command >= arguments.data() && options.command < arguments.data() + count,
              "the command is none of the arguments");
        check(std::string(options.command[-1]) == "--", "the command does not stand after '--'");
        check_limit(options.timeout);
        check_limit(options.kill_after);
        check(options.kill_after.has_value(), "no time to kill after");
        check(options.conflict_exit_code >= 0 && options.conflict_exit_code <= 255, "an exit code out of range");
        check(!options.events || options.events->number > 0, "a descriptor out of range");
        check(!options.events || !options.events->is_handle, "a handle where there are none");
        for (const lock_request& each : options.locks) {
            check((each.what == lock_request::kind::semaphore) == (each.tickets > 0), "tickets out of range");
        }
        if (options.url) {
            const auto holds = [&options](const std::string& each) {
                return options.url_argument >= each.data() && options.url_argument <= each.data() + each.size();
            };
            check(std::any_of(texts.begin(), texts.end(), holds), "the URL is in none of the arguments");
        }
    } catch (const usage_error& refused) {
        check(refused.what()[0] != '\0', "a refusal without a reason");
    }
}

}  // namespace
}  // namespace holdfast::cli

/// The arguments, each ended by a NUL.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::string> texts;
    std::string next;
    // More of them take their time and tell nothing new.
    constexpr std::size_t most = 50;
    for (std::size_t i = 0; i < size && texts.size() < most; ++i) {
        if (data[i] != 0) {
            next += static_cast<char>(data[i]);
            continue;
        }
        texts.push_back(std::move(next));
        next.clear();
    }
    if (!next.empty()) texts.push_back(std::move(next));
    for (const std::string& each : texts) holdfast::cli::check_duration(each);
    holdfast::cli::check_arguments(std::move(texts));
    return 0;
}
