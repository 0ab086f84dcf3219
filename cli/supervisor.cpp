#include "supervisor.hpp"

#include "process_tree.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

/// A command that ends within this time does not pay for the detection of a loss (a thread, an inotify instance).
constexpr nanoseconds arm_after = 20ms;
/// How often to look whether a lock is lost of which nothing has told: holdfast itself may have been stopped meanwhile.
constexpr nanoseconds look_every = 1s;
/// How long after the last moment for the command the guardian may stay silent before it counts as stopped: where the
/// lock is gone already, and before a lease ends.
constexpr nanoseconds guardian_grace = 2s;
constexpr nanoseconds guardian_grace_before_expiry = 20ms;
constexpr nanoseconds never = nanoseconds::max();

nanoseconds soonest_end(const std::vector<watched_lock>& locks) {
    nanoseconds soonest = never;
    for (const watched_lock& each : locks) {
        if (each.valid_until) soonest = std::min(soonest, each.valid_until());
    }
    return soonest;
}

/// SIGKILL early enough to have worked at the lease's end.
nanoseconds margin_before_end(nanoseconds left) {
    return std::min<nanoseconds>(250ms, left / 20);
}

command_deadline deadline_before(nanoseconds end_of_lease, nanoseconds left, nanoseconds grace) {
    const nanoseconds dead_by = end_of_lease - margin_before_end(left);
    // SIGTERM early enough for the grace to fit in.
    return {dead_by - std::min(grace, left / 4), dead_by};
}

class supervision {
public:
    supervision(guardian& keeper, const command_plan& plan, int signals, const std::vector<watched_lock>& locks,
                const supervision_hooks& hooks)
        : keeper_(keeper), plan_(plan), signals_(signals), locks_(locks), hooks_(hooks) {}
    supervision(const supervision&) = delete;
    supervision& operator=(const supervision&) = delete;
    ~supervision() {
        callbacks_.clear();
        if (lost_event_ >= 0) close(lost_event_);
    }

    command_end run() {
        refresh_deadline();
        if (deadline_ != never) {
            arm();
        } else if (can_lose()) {
            arm_at_ = boot_time() + arm_after;
        }
        while (!end_) {
            wait_for_news();
            take_reports();
            if (end_) break;
            take_signals();
            check_time();
        }
        return *end_;
    }

private:
    bool can_lose() const {
        return std::any_of(locks_.begin(), locks_.end(), [](const watched_lock& l) { return bool(l.lost_token); });
    }

    void wait_for_news() {
        std::array<pollfd, 3> sources{
            {{keeper_.descriptor(), POLLIN, 0}, {signals_, POLLIN, 0}, {lost_event_, POLLIN, 0}}};
        const nanoseconds next = std::min({arm_at_, look_at_, refresh_at_, give_up_at_, lease_give_up_at_});
        if (next == never) {
            poll(sources.data(), sources.size(), -1);
            return;
        }
        const nanoseconds wait = std::max(next - boot_time(), 0ns);
        const timespec limit{static_cast<time_t>(wait / 1s), static_cast<long>((wait % 1s).count())};
        ppoll(sources.data(), sources.size(), &limit, nullptr);
    }

    // Reports
    // ----------------------------------------------------------------------------------------------------------

    void take_reports() {
        int stop = 0;
        while (const auto report = keeper_.receive()) {
            switch (report->what) {
                case guardian_report::kind::started:
                    if (hooks_.started) hooks_.started(report->command);
                    break;
                case guardian_report::kind::stopped: stop = report->status; break;
                case guardian_report::kind::not_started: finish_unstarted(*report); return;
                case guardian_report::kind::exited: finish(*report); return;
            }
        }
        if (stop == 0) return;
        stop_self(stop);
        // The lock may have been lost, the command killed, or the terminal given to somebody else meanwhile; the
        // guardian knows what applies.
        keeper_.resume();
    }

    void finish(const guardian_report& report) {
        const bool lost = losing_ || report.why == guardian_report::cause::deadline;
        if (lost && !losing_) report_loss();
        end_ = command_end{lost ? command_end::kind::lost : command_end::kind::exited, report.status};
    }

    void finish_unstarted(const guardian_report& report) {
        if (report.why != guardian_report::cause::deadline) {
            end_ = command_end{command_end::kind::not_started, report.status};
            return;
        }
        if (!losing_) report_loss();
        end_ = command_end{command_end::kind::lost_before_start, 0};
    }

    // Signals
    // ----------------------------------------------------------------------------------------------------------

    void take_signals() {
        // One by one: the SIGCONT after a stop signal is for `stop_self` to find.
        signalfd_siginfo info;
        while (!end_ && read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) take_signal(info);
    }

    void take_signal(const signalfd_siginfo& info) {
        const auto signal = static_cast<int>(info.ssi_signo);
        if (signal == SIGCHLD) {
            check_guardian();
            return;
        }
        const bool from_process = info.ssi_code <= 0;
        const auto sender = from_process ? static_cast<pid_t>(info.ssi_pid) : 0;
        // Our own: the SIGPIPE of a broken stderr.
        if (from_process && sender == getpid()) return;
        if (signal == SIGCONT && plan_.tty.own_group) {
            keeper_.resume();
            return;
        }
        // In a shared group the terminal's signals have reached the command already.
        if (from_process || plan_.tty.own_group) keeper_.forward(signal, from_process, sender);
        // With a group of its own the command decides whether it stops, and the guardian tells us.
        if (!is_stop_signal(signal) || plan_.tty.own_group) return;
        stop_self(signal);
        // Who stopped the command by way of us continues it in the same way.
        if (from_process) keeper_.resume();
    }

    void check_guardian() {
        if (!keeper_.is_dead()) return;
        take_reports();
        if (end_) return;
        // The command has been sent SIGKILL at this moment; it and all the rest are our children now.
        end_all_descendants(signals_);
        const auto how = losing_ ? command_end::kind::lost : command_end::kind::guardian_died;
        end_ = command_end{how, SIGKILL};
    }

    // Loss
    // -------------------------------------------------------------------------------------------------------------

    void arm() {
        arm_at_ = never;
        look_at_ = boot_time() + look_every;
        lost_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (lost_event_ < 0) {
            // Out of descriptors; the library may give some back. A lease's deadline is the guardian's anyway.
            arm_at_ = boot_time() + 1s;
            return;
        }
        for (const watched_lock& each : locks_) {
            if (!each.lost_token) continue;
            callbacks_.push_back(std::make_unique<loss_callback>(each.lost_token(), wake{lost_event_}));
        }
    }

    /// Tells the guardian how long the shortest lease lasts, and comes back well before it ends.
    void refresh_deadline() {
        const nanoseconds soonest = soonest_end(locks_);
        const nanoseconds now = boot_time();
        if (soonest == never) {
            refresh_at_ = never;
            return;
        }
        const nanoseconds left = std::max(soonest - now, 0ns);
        if (soonest != deadline_) {
            deadline_ = soonest;
            const command_deadline until = deadline_before(soonest, left, plan_.grace);
            keeper_.set_deadline(until);
            lease_give_up_at_ = until.dead_by + std::min(guardian_grace_before_expiry, margin_before_end(left) / 2);
        }
        refresh_at_ = left == 0ns ? never : now + std::max<nanoseconds>(left / 8, 5ms);
    }

    void check_time() {
        const nanoseconds now = boot_time();
        if (now >= arm_at_) arm();
        if (now >= refresh_at_) refresh_deadline();
        if (now >= look_at_ && !losing_) {
            look_at_ = now + look_every;
            const auto is_lost = [](const watched_lock& each) { return each.is_lost && each.is_lost(); };
            if (std::any_of(locks_.begin(), locks_.end(), is_lost)) begin_to_lose();
        }
        if (lost_event_ >= 0 && !losing_) {
            std::uint64_t count = 0;
            if (read(lost_event_, &count, sizeof count) > 0) begin_to_lose();
        }
        if (now >= std::min(give_up_at_, lease_give_up_at_)) {
            // The guardian has been stopped, or one of the processes cannot be killed. Either way we can do no less.
            keeper_.kill();
            end_all_descendants(signals_);
            if (!losing_) report_loss();
            end_ = command_end{command_end::kind::lost, SIGKILL};
        }
    }

    void begin_to_lose() {
        losing_ = true;
        look_at_ = never;
        keeper_.terminate();
        give_up_at_ = boot_time() + plan_.grace + guardian_grace;
        // Afterwards: writing may take a moment.
        report_loss();
    }

    void report_loss() {
        if (!hooks_.lost) return;
        const watched_lock* which = &locks_.front();
        for (const watched_lock& each : locks_) {
            if (each.lost_token && (each.lost_token().stop_requested() || each.is_lost())) which = &each;
        }
        hooks_.lost(*which);
    }

    struct wake {
        int event;
        void operator()() const noexcept {
            const std::uint64_t one = 1;
            [[maybe_unused]] const ssize_t written = write(event, &one, sizeof one);
        }
    };
    using loss_callback = std::stop_callback<wake>;

    guardian& keeper_;
    const command_plan& plan_;
    const int signals_;
    const std::vector<watched_lock>& locks_;
    const supervision_hooks& hooks_;
    std::optional<command_end> end_;
    std::vector<std::unique_ptr<loss_callback>> callbacks_;
    int lost_event_ = -1;
    bool losing_ = false;
    nanoseconds deadline_ = never;
    nanoseconds arm_at_ = never;
    nanoseconds look_at_ = never;
    nanoseconds refresh_at_ = never;
    nanoseconds give_up_at_ = never;
    nanoseconds lease_give_up_at_ = never;
};

}  // namespace

command_deadline deadline_within(const std::vector<watched_lock>& locks, nanoseconds grace) {
    const nanoseconds soonest = soonest_end(locks);
    if (soonest == never) return {};
    return deadline_before(soonest, std::max(soonest - boot_time(), 0ns), grace);
}

command_end supervise(guardian& keeper, const command_plan& plan, int signal_descriptor,
                      const std::vector<watched_lock>& locks, const supervision_hooks& hooks) {
    return supervision(keeper, plan, signal_descriptor, locks, hooks).run();
}

}  // namespace holdfast::cli
