#include "run_reporter.hpp"

#include "printable.hpp"
#include "say.hpp"

#include <chrono>
#include <utility>

namespace holdfast::cli {
namespace {

/// For a message of one line, whatever the name holds.
std::string quoted(const std::string& name) {
    constexpr std::size_t longest = 120;
    std::string text = printable(json_string(name.substr(0, longest)));
    if (name.size() > longest) text.insert(text.size() - 1, "...");
    return text;
}

std::string seconds(nanoseconds time) {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
    std::string fraction = std::to_string(milliseconds % 1000);
    fraction.insert(0, 3 - fraction.size(), '0');
    return std::to_string(milliseconds / 1000) + '.' + fraction + " s";
}

}  // namespace

run_reporter::run_reporter(const run_options& options) : verbose_(options.verbose) {
    if (options.events) events_ = json_events(*options.events);
}

void run_reporter::waiting(const std::string& name, const std::string& holder) {
    if (verbose_) say("waiting for " + quoted(name) + (holder.empty() ? "" : ", held by " + printable(holder)));
    if (!events_.enabled()) return;
    json_event event("waiting");
    event.add("name", name);
    if (!holder.empty()) event.add("holder", holder);
    events_.write(std::move(event));
}

void run_reporter::acquired(const std::string& name, std::optional<std::uint64_t> fencing, nanoseconds after) {
    if (verbose_) say("acquired " + quoted(name) + " after " + seconds(after));
    if (!events_.enabled()) return;
    json_event event("acquired");
    event.add("name", name).add("waited_ns", after.count());
    if (fencing) event.add_unsigned("fencing_token", *fencing);
    events_.write(std::move(event));
}

void run_reporter::released(const std::string& name) {
    if (verbose_) say("released " + quoted(name));
    if (events_.enabled()) events_.write(std::move(json_event("released").add("name", name)));
}

void run_reporter::release_failed(const std::string& name, const std::string& reason) {
    say("releasing " + quoted(name) + ": " + reason);
    if (!events_.enabled()) return;
    events_.write(std::move(json_event("release_failed").add("name", name).add("message", reason)));
}

void run_reporter::conflict(const std::string& name) {
    if (verbose_) say(quoted(name) + " is held elsewhere; gave up");
    if (events_.enabled()) events_.write(std::move(json_event("conflict").add("name", name)));
}

void run_reporter::interrupted(int signal) {
    if (events_.enabled()) events_.write(std::move(json_event("interrupted").add("signal", signal)));
}

void run_reporter::started(std::int64_t process) {
    if (verbose_) say("started process " + std::to_string(process));
    if (events_.enabled()) events_.write(std::move(json_event("started").add("pid", process)));
}

void run_reporter::lost(const std::string& name) {
    say("the lock " + quoted(name) + " was lost; ending the command");
    if (events_.enabled()) events_.write(std::move(json_event("lost").add("name", name)));
}

void run_reporter::found_lost(const std::string& name) {
    say("the lock " + quoted(name) + " was lost");
    if (events_.enabled()) events_.write(std::move(json_event("lost").add("name", name)));
}

void run_reporter::exited(std::int64_t status) {
    ended("exited with ", "status", status);
}

void run_reporter::died_of(int signal) {
    ended("died of signal ", "signal", signal);
}

void run_reporter::ended(const char* how, const char* member, std::int64_t value) {
    if (verbose_) say(std::string("the command ") + how + std::to_string(value));
    if (events_.enabled()) events_.write(std::move(json_event("exited").add(member, value)));
}

int run_reporter::failed(int code, const std::string& message) {
    say(message);
    if (events_.enabled()) {
        events_.write(std::move(json_event("error").add("exit_code", code).add("message", message)));
    }
    return code;
}

}  // namespace holdfast::cli
