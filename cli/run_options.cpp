#include "run_options.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstring>
#include <string_view>
#include <system_error>

namespace holdfast::cli {
namespace {

int parse_number(std::string_view option, std::string_view text, int smallest, int largest) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < smallest || value > largest) {
        throw usage_error(std::string(option) + " takes a number from " + std::to_string(smallest) + " to " +
                          std::to_string(largest) + ", not '" + std::string(text) + "'");
    }
    return value;
}

time_limit parse_time(std::string_view option, std::string_view text) {
    try {
        return parse_time_limit(text);
    } catch (const std::invalid_argument& wrong) {
        throw usage_error(std::string(option) + ": " + wrong.what());
    }
}

/// Walks over the arguments, one option at a time.
class reader {
public:
    reader(int count, char** arguments) : at_(arguments), end_(arguments + count) {}

    run_options read() {
        while (at_ != end_) {
            char* const argument = *at_++;
            const std::string_view text = argument;
            if (text == "--") {
                if (at_ != end_) options_.command = at_;
                break;
            }
            if (text.size() < 2 || text.front() != '-') {
                add(lock_request::kind::lock, text);
            } else if (text[1] == '-') {
                long_option(argument);
            } else {
                short_options(argument);
            }
            if (options_.help) return std::move(options_);
        }
        check();
        return std::move(options_);
    }

private:
    void long_option(char* argument) {
        char* const equals = std::strchr(argument, '=');
        const std::string_view all = argument;
        const std::string_view name =
            equals == nullptr ? all : all.substr(0, static_cast<std::size_t>(equals - argument));
        attached_ = equals == nullptr ? nullptr : equals + 1;
        option(name);
        if (attached_ != nullptr) throw usage_error(std::string(name) + " takes no value");
    }

    /// `-v`, `-E 1`, `-E1`, `-nv`.
    void short_options(char* argument) {
        for (char* letter = argument + 1; *letter != '\0';) {
            const char name[] = {'-', *letter, '\0'};
            ++letter;
            attached_ = *letter == '\0' ? nullptr : letter;
            option(name);
            // Taken as the value.
            if (*letter != '\0' && attached_ == nullptr) return;
        }
        attached_ = nullptr;
    }

    void option(std::string_view name) {
        using kind = lock_request::kind;
        if (name == "--lock") {
            add(kind::lock, value(name, "a name"));
        } else if (name == "--read") {
            add(kind::read, value(name, "a name"));
        } else if (name == "--write") {
            add(kind::write, value(name, "a name"));
        } else if (name == "--exact") {
            add(kind::exact, value(name, "the path of a file"));
        } else if (name == "--semaphore") {
            const int tickets = parse_number(name, value(name, "a number of tickets and a name"), 1, INT_MAX);
            add(kind::semaphore, value(name, "a number of tickets and a name"));
            options_.locks.back().tickets = tickets;
        } else if (name == "--url") {
            if (options_.url) throw usage_error("--url is given twice; all locks of one run are in one place");
            options_.url_argument = value(name, "a URL, or @ and a file that has it");
            options_.url = options_.url_argument;
        } else if (name == "--timeout" || name == "-w") {
            options_.timeout = parse_time(name, value(name, "a duration"));
        } else if (name == "--try" || name == "-n") {
            options_.timeout = std::chrono::nanoseconds::zero();
        } else if (name == "--kill-after") {
            options_.kill_after = parse_time(name, value(name, "a duration"));
            if (!options_.kill_after) throw usage_error("--kill-after cannot be infinite");
        } else if (name == "--conflict-exit-code" || name == "-E") {
            options_.conflict_exit_code = parse_number(name, value(name, "an exit code"), 0, 255);
        } else if (name == "--json-fd") {
            send_events({parse_number(name, value(name, "a file descriptor"), 1, INT_MAX), false});
        } else if (name == "--json-handle") {
            send_events({parse_number(name, value(name, "a handle"), 1, INT_MAX), true});
        } else if (name == "--verbose" || name == "-v") {
            options_.verbose = true;
        } else if (name == "--keep-files") {
            options_.keep_files = true;
        } else if (name == "--keep-until-children-exit") {
            options_.keep_until_children_exit = true;
        } else if (name == "--close" || name == "-o") {
            options_.close_descriptors = true;
        } else if (name == "--help" || name == "-h") {
            options_.help = true;
        } else {
            throw usage_error("there is no option " + std::string(name) +
                              " (a name that begins with '-' is given as --lock=NAME)");
        }
    }

    /// The option's value: attached, or the next argument.
    char* value(std::string_view option, std::string_view what) {
        char* result = attached_;
        attached_ = nullptr;
        if (result != nullptr) return result;
        if (at_ == end_ || std::string_view(*at_) == "--") {
            throw usage_error(std::string(option) + " takes " + std::string(what));
        }
        return *at_++;
    }

    void add(lock_request::kind what, std::string_view name) { options_.locks.push_back({what, std::string(name), 0}); }

    void send_events(event_target where) {
        if (options_.events && options_.events->is_handle != where.is_handle) {
            throw usage_error("--json-fd and --json-handle exclude each other");
        }
        options_.events = where;
    }

    void check() const {
        if (options_.locks.empty()) {
            throw usage_error("no lock is named; write for instance: holdfast run NAME -- COMMAND");
        }
        if (options_.command == nullptr) {
            throw usage_error("no command is given; it stands after '--': holdfast run NAME -- COMMAND");
        }
        if (options_.close_descriptors && options_.keep_until_children_exit) {
            throw usage_error("--close and --keep-until-children-exit exclude each other");
        }
        for (std::size_t at = 0; at < options_.locks.size(); ++at) {
            for (std::size_t before = 0; before < at; ++before) {
                if (same_lock(options_.locks[before], options_.locks[at])) {
                    throw usage_error(
                        "'" + options_.locks[at].name +
                        "' is named twice; locks are not reentrant, so the second would wait for the first");
                }
            }
        }
    }

    /// Semaphores and files are apart from the rest; a lock, a read lock and a write lock of one name may be one thing.
    static bool same_lock(const lock_request& a, const lock_request& b) {
        using kind = lock_request::kind;
        const auto apart = [](kind k) { return k == kind::semaphore || k == kind::exact; };
        if (a.name != b.name) return false;
        return a.what == b.what || (!apart(a.what) && !apart(b.what));
    }

    char** at_;
    char** end_;
    char* attached_ = nullptr;
    run_options options_;
};

}  // namespace

run_options parse_run_options(int count, char** arguments) {
    return reader(count, arguments).read();
}

}  // namespace holdfast::cli
