#include "run_command.hpp"

#include "acquisition.hpp"
#include "default_directory.hpp"
#include "exit_codes.hpp"
#include "guardian.hpp"
#include "process_tree.hpp"
#include "run_options.hpp"
#include "run_reporter.hpp"
#include "say.hpp"
#include "secrets.hpp"
#include "signals.hpp"
#include "supervisor.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

int exit_code_of(const error& failure) {
    if (failure.diag().native_code == EMFILE || failure.diag().native_code == ENFILE) return exit_code::os_error;
    return exit_code::of(failure);
}

/// What an errno of fork or exec means.
int exit_code_of_start(int failure) noexcept {
    switch (failure) {
        case ENOENT: return exit_code::not_found;
        case EAGAIN:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        // The guardian was killed before exec.
        case ESRCH: return exit_code::os_error;
        default: return exit_code::not_executable;
    }
}

/// Nothing that we open may become the command's standard input, output or error, should those be closed.
void reserve_standard_descriptors() noexcept {
    for (int descriptor = 0; descriptor <= 2; ++descriptor) {
        // The lowest free number is given out, which is this one. Closed by exec: the command finds it closed, too.
        if (fcntl(descriptor, F_GETFD) < 0) open("/dev/null", O_RDWR | O_CLOEXEC);
    }
}

/// The command's environment: ours, with the locks' names and tokens and without the URL.
class command_environment {
public:
    explicit command_environment(const acquisition& held, const std::vector<lock_request>& locks) {
        for (std::size_t at = 0; at < locks.size(); ++at) {
            const std::string suffix = '_' + std::to_string(at + 1);
            const auto token = held.fencing(at);
            if (at == 0) {
                own_.push_back("HOLDFAST_NAME=" + locks[at].name);
                if (token) own_.push_back("HOLDFAST_FENCING_TOKEN=" + std::to_string(*token));
            }
            if (locks.size() == 1) continue;
            own_.push_back("HOLDFAST_NAME" + suffix + '=' + locks[at].name);
            if (token) own_.push_back("HOLDFAST_FENCING_TOKEN" + suffix + '=' + std::to_string(*token));
        }
        for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
            if (!is_ours(*variable)) all_.push_back(*variable);
        }
        for (std::string& variable : own_) all_.push_back(variable.data());
        all_.push_back(nullptr);
    }

    char* const* get() const noexcept { return all_.data(); }

private:
    /// The URL, and what an outer `holdfast run` has set.
    static bool is_ours(std::string_view variable) {
        return variable.starts_with("HOLDFAST_URL=") || variable.starts_with("HOLDFAST_NAME=") ||
               variable.starts_with("HOLDFAST_NAME_") || variable.starts_with("HOLDFAST_FENCING_TOKEN=") ||
               variable.starts_with("HOLDFAST_FENCING_TOKEN_");
    }

    std::vector<std::string> own_;
    std::vector<char*> all_;
};

/// From the held locks to the released ones.
class held_run {
public:
    held_run(const program_arguments& all, const run_options& options, acquisition& locks, run_reporter& report,
             const inherited_signals& signals, int signal_descriptor)
        : options_(options),
          locks_(locks),
          report_(report),
          signals_(signal_descriptor),
          environment_(locks, options.locks) {
        plan_.arguments = options.command;
        plan_.environment = environment_.get();
        if (!options.close_descriptors) plan_.inherited = locks.descriptors();
        plan_.signals = signals;
        plan_.grace = *options.kill_after;
        plan_.report_start = report.wants_start();
        plan_.title = all.values[0];
        char* const last = all.values[all.count - 1];
        plan_.title_size = static_cast<std::size_t>(last + std::strlen(last) - all.values[0]);
    }

    int run() {
        plan_.tty = find_terminal();
        plan_.deadline = deadline_within(locks_.watched(), plan_.grace);
        adopt_orphans();
        command_end end;
        try {
            guardian keeper(plan_, signals_);
            spare_what_is_older_than(keeper.id());
            end = supervise_with(keeper);
            keeper.dismiss();
        } catch (const std::system_error& failure) {
            locks_.release();
            locks_.report_release();
            return report_.failed(exit_code::os_error, std::string("cannot start the command: ") + failure.what());
        }
        return conclude(end);
    }

private:
    command_end supervise_with(guardian& keeper) {
        supervision_hooks hooks;
        hooks.started = [this](pid_t command) { report_.started(command); };
        hooks.lost = [this](const watched_lock& which) { report_.lost(which.name); };
        try {
            return supervise(keeper, plan_, signals_, locks_.watched(), hooks);
        } catch (...) {
            keeper.kill();
            end_all_descendants(signals_);
            throw;
        }
    }

    int conclude(const command_end& end) {
        using kind = command_end::kind;
        // Before the release, which may take as long as a server takes to answer.
        if (end.what == kind::exited || end.what == kind::lost) {
            if (WIFSIGNALED(end.status)) {
                report_.died_of(WTERMSIG(end.status));
            } else {
                report_.exited(WEXITSTATUS(end.status));
            }
        }
        // Those who inherited the descriptors keep the locks, and unlocking ours would take them away.
        const bool keeps = options_.keep_until_children_exit && end.what == kind::exited;
        const bool was_ours = keeps || locks_.release();
        locks_.report_release();
        switch (end.what) {
            case kind::exited:
                if (!was_ours) return exit_code::lost;
                break;
            case kind::lost:
            case kind::lost_before_start: return exit_code::lost;
            case kind::guardian_died:
                return report_.failed(exit_code::internal, "the guardian was killed, and the command with it");
            case kind::not_started:
                return report_.failed(exit_code_of_start(end.status),
                                      std::string(options_.command[0]) + ": " + std::strerror(end.status));
        }
        if (WIFSIGNALED(end.status)) die_of(WTERMSIG(end.status));
        return WEXITSTATUS(end.status);
    }

    const run_options& options_;
    acquisition& locks_;
    run_reporter& report_;
    const int signals_;
    command_environment environment_;
    command_plan plan_;
};

int acquire_and_run(const program_arguments& all, const run_options& options, std::optional<std::string> url,
                    run_reporter& report) {
    const inherited_signals signals = block_signals();
    const int descriptor = open_signal_descriptor();
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
    acquisition locks(options, std::move(url), report);
    if (options.keep_until_children_exit && !locks.are_files()) {
        throw usage_error("--keep-until-children-exit goes with lock files only");
    }
    switch (locks.acquire(descriptor)) {
        case acquisition::outcome::held: break;
        case acquisition::outcome::conflict: report.conflict(locks.refused()); return options.conflict_exit_code;
        case acquisition::outcome::interrupted: report.interrupted(locks.signal()); die_of(locks.signal());
        case acquisition::outcome::lost: report.found_lost(locks.refused()); return exit_code::lost;
    }
    const int status = held_run(all, options, locks, report, signals, descriptor).run();
    // Without the destructors of handles: `--keep-until-children-exit` leaves the locks to others, and else all is
    // done.
    _exit(status);
}

}  // namespace

int run_command(const program_arguments& all, int first) {
    reserve_standard_descriptors();
    spare_present_children();
    run_options options;
    std::optional<std::string> url;
    std::optional<run_reporter> report;
    try {
        options = parse_run_options(all.count - first, all.values + first);
        if (options.help) {
            const std::string_view text = run_help();
            return write(STDOUT_FILENO, text.data(), text.size()) < 0 ? exit_code::os_error : exit_code::success;
        }
        url = chosen_url(options);
        if (url) use_drivers_for(*url, all);
        hide_secrets(url.value_or(""), options.url_argument);
        report.emplace(options);
    } catch (const usage_error& wrong) {
        say(std::string("run: ") + wrong.what() + "; see holdfast run --help");
        return exit_code::usage;
    } catch (const std::system_error& failure) {
        say(failure.what());
        return exit_code::os_error;
    }
    try {
        return acquire_and_run(all, options, std::move(url), *report);
    } catch (const usage_error& wrong) {
        return report->failed(exit_code::usage, wrong.what());
    } catch (const directory_error& wrong) {
        return report->failed(exit_code::cannot_create, wrong.what());
    } catch (const error& failure) {
        return report->failed(exit_code_of(failure), failure.what());
    } catch (const std::system_error& failure) {
        return report->failed(exit_code::os_error, failure.what());
    } catch (const std::exception& failure) {
        return report->failed(exit_code::internal, failure.what());
    }
}

}  // namespace holdfast::cli
