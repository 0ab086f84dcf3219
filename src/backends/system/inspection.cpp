// What `list` and `examine` tell of the sets in a directory.
#include <backends/system/contender.hpp>
#include <backends/system/strategy.hpp>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <sys/sem.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

using grade = finding::grade;
using name_status = lock_entry::status;

int ask(const set_directory::used_name& of, int semaphore, int what) noexcept {
    return ::semctl(of.semaphores, of.first + semaphore, what);
}

/// Who changed a semaphore last, as far as this PID namespace can tell.
std::string last_to_change(const set_directory::used_name& of, int semaphore) {
    const int process = ask(of, semaphore, GETPID);
    if (process <= 0) return {};
    std::string command;
    std::getline(std::ifstream("/proc/" + std::to_string(process) + "/comm"), command);
    return "process " + std::to_string(process) + (command.empty() ? "" : " (" + command + ")");
}

void add_waiters(std::vector<lock_entry>& to, const lock_entry& like, const std::string& access, int count) {
    if (count <= 0) return;
    lock_entry made;
    made.key = like.key;
    made.state = name_status::waiting;
    made.access = access;
    made.details = {{"processes", std::to_string(count)}};
    to.push_back(std::move(made));
}

void add_tickets(std::vector<lock_entry>& to, lock_entry made, const set_directory::used_name& of) {
    const bool is_lock = of.mapped.starts_with("lock:");
    const int taken = std::min(of.max_count, most_tickets) - ask(of, 0, GETVAL);
    made.access = is_lock ? "exclusive" : "ticket";
    if (taken <= 0) made.state = name_status::free;
    // Whoever changed it last took the only one.
    if (taken > 0 && of.max_count == 1) made.holder = last_to_change(of, 0);
    if (!is_lock) made.details = {{"taken", std::to_string(taken)}, {"tickets", std::to_string(of.max_count)}};
    to.push_back(made);
    add_waiters(to, made, made.access, ask(of, 0, GETNCNT));
}

void add_readers(std::vector<lock_entry>& to, lock_entry made, const set_directory::used_name& of) {
    const bool gate_taken = ask(of, 0, GETVAL) == 0;
    const int readers = most_tickets - ask(of, 1, GETVAL);
    const bool written = gate_taken && readers == most_tickets;
    made.access = written ? "write" : "read";
    if (readers <= 0) made.state = name_status::free;
    if (written) made.holder = last_to_change(of, 0);
    if (!written && readers > 0) made.details = {{"readers", std::to_string(readers)}};
    to.push_back(made);
    // A writer with the gate waits for the last reader.
    add_waiters(to, made, "write", ask(of, 1, GETNCNT));
    add_waiters(to, made, "", ask(of, 0, GETNCNT));
}

/// Two who want the same must exclude each other.
finding try_exclusion(set_directory& in) {
    const std::string name = "doctor:" + std::to_string(::getpid());
    std::shared_ptr<slot> found;
    failure why;
    auto result = set_directory::resolution::busy;
    for (int attempt = 0; attempt < 1000 && result == set_directory::resolution::busy; ++attempt) {
        result = in.find(set_kind::tickets, name, 1, found, why);
        if (result == set_directory::resolution::busy) ::usleep(1000);
    }
    if (result == set_directory::resolution::busy) why.text = "another process has '" + in.path() + "' locked";
    if (result != set_directory::resolution::found) return {grade::fault, "locking", why.text};
    contender first;
    contender second;
    first.go_to(found);
    second.go_to(found);
    if (first.try_enter() != 0 || second.try_enter() != EAGAIN) {
        return {grade::fault, "locking", "the kernel's semaphores do not exclude"};
    }
    return {grade::good, "locking", "semaphores can be made, are published in '" + in.path() + "', and exclude"};
}

finding look_at_limits() {
    union {
        int value;
        seminfo* info;
    } argument{};
    seminfo limits{};
    seminfo used{};
    argument.info = &limits;
    const bool known = ::semctl(0, 0, IPC_INFO, argument) >= 0;
    argument.info = &used;
    if (!known || ::semctl(0, 0, SEM_INFO, argument) < 0) {
        return {grade::fault, "limits", "there are no System V semaphores: " + std::generic_category().message(errno)};
    }
    const std::string text = std::to_string(used.semusz) + " of " + std::to_string(limits.semmni) + " sets and " +
                             std::to_string(used.semaem) + " of " + std::to_string(limits.semmns) +
                             " semaphores are in use on this machine";
    if (limits.semmsl < layout::of(set_kind::readers, layout::most_sets - 1).size()) {
        return {grade::warning, "limits",
                text + "; the largest sets, for thousands of names, are beyond kernel.sem (SEMMSL)"};
    }
    const bool scarce = used.semusz >= limits.semmni - limits.semmni / 10;
    return {scarce ? grade::warning : grade::good, "limits", text + (scarce ? "; raise kernel.sem" : "")};
}

finding look_at_sharing(system::scope scope) {
    if (scope == scope::machine) {
        return {grade::warning, "sharing", "everybody on this machine can use these locks, and jam or break them"};
    }
    // systemd-logind's RemoveIPC, which is on unless switched off, spares the system's own users.
    constexpr uid_t first_person = 1000;
    if (::geteuid() >= first_person && ::access("/run/systemd/seats", F_OK) == 0) {
        return {grade::warning, "sharing",
                "systemd-logind removes this user's semaphores when the last session ends, held or not, unless "
                "RemoveIPC=no is in logind.conf"};
    }
    return {grade::good, "sharing", "only this user's processes can use these locks"};
}

}  // namespace

std::vector<lock_entry> system_backend::list(const list_query& query) {
    std::vector<lock_entry> made;
    for (const auto& each : directory_->names()) {
        if (!query.key.empty() && each.mapped != query.key) continue;
        lock_entry entry;
        entry.key = each.mapped + (each.whole ? "" : "...");
        if (each.kind == set_kind::readers) {
            add_readers(made, std::move(entry), each);
        } else {
            add_tickets(made, std::move(entry), each);
        }
    }
    return made;
}

std::vector<finding> system_backend::examine(const examination& how) {
    std::vector<finding> made{try_exclusion(*directory_), look_at_limits(), look_at_sharing(scope_)};
    if (how.clean) {
        made.push_back({grade::good, "clean",
                        "removed " + std::to_string(directory_->clean()) + " sets of semaphores that nobody used"});
    }
    return made;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
