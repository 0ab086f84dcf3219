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
            options_.json_descriptor = parse_number(name, value(name, "a file descriptor"), 1, INT_MAX);
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

const char* run_help() noexcept {
    return R"(Runs a command while holding a lock, and passes its exit status on.

Usage: holdfast run [OPTIONS] {NAME | --lock NAME | --read NAME | --write NAME | --semaphore N NAME}... -- COMMAND...

Examples:
  One backup at a time on this machine; a second one waits:
    holdfast run backup -- ./backup.sh
  From cron: do nothing if the last one still runs:
    holdfast run --try backup -- ./backup.sh || [ $? -eq 75 ]
  Wait ten seconds at most, then exit with 1, as flock(1) does:
    holdfast run --timeout 10s -E 1 backup -- ./backup.sh
  One deployment at a time among all machines; the URL with its password is read from a file:
    holdfast run --url @/etc/holdfast.url deploy/web -- ./deploy.sh
  At most three conversions at once:
    holdfast run --url redis://db --semaphore 3 convert -- ffmpeg in.mov out.mp4
  Two locks, taken in this order:
    holdfast run accounts reports -- ./close-month
  The file that flock(1) users of the same program have agreed on:
    holdfast run --exact /run/app.lock -- ./app
  Say whom we wait for:
    holdfast run -v backup -- ./backup.sh
  See every step as a line of JSON:
    holdfast run --json-fd 3 backup -- ./backup.sh 3>events

Locks (each may be repeated; they are acquired in the order given):
  NAME, --lock NAME       a lock
  --read NAME             a reader-writer lock, for reading
  --write NAME            a reader-writer lock, for writing
  --semaphore N NAME      one of N tickets
  --exact PATH            the lock on exactly that file, which is never deleted

Options:
  --url URL               the backend; @FILE reads it from FILE. Default: $HOLDFAST_URL, else lock files in
                          /run/lock/holdfast-<uid>
  -w, --timeout TIME      wait that long at most: 500ms, 10s, 1.5m, infinite (the default)
  -n, --try               do not wait: --timeout 0s
  -E, --conflict-exit-code N
                          the exit code when the lock was not to be had in time (default 75)
  --kill-after TIME       when the lock is lost, or holdfast killed: the time between SIGTERM and SIGKILL (default 5s)
  --keep-until-children-exit
                          the command's background children keep the lock too, as with flock(1); lock files only
  -o, --close             do not let the command inherit the lock file's descriptor
  --keep-files            leave lock files behind
  -v, --verbose           tell what happens, on standard error
  --json-fd N             write events to descriptor N, a JSON object a line
  -h, --help              this text

The command finds HOLDFAST_NAME and, where the backend has one, HOLDFAST_FENCING_TOKEN in its environment; with several
locks also HOLDFAST_NAME_1, HOLDFAST_NAME_2, ... HOLDFAST_URL is removed.

Exit status: the command's own; if a signal killed the command, holdfast dies of the same signal. Else:
  64 usage   69 backend unavailable   70 internal fault, or guardian killed   71 out of processes or descriptors
  73 no lock directory   75 lock held elsewhere (-E)   76 protocol   77 permission   78 bad URL   79 lock lost
  126 command not executable   127 command not found
)";
}

}  // namespace holdfast::cli
