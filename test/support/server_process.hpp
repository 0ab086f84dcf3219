// Starting servers of the tests' own.
#ifndef HOLDFAST_TEST_SUPPORT_SERVER_PROCESS_HPP
#define HOLDFAST_TEST_SUPPORT_SERVER_PROCESS_HPP

#include <support/loopback.hpp>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

namespace holdfast::test {

/// A port of the loopback interface that nobody had a moment ago. Another program might take it before the server does,
/// so starting that has to be tried again.
inline int free_port() {
    const loopback_listener probe = listen_on_loopback(-1);
    ::close(probe.descriptor);
    return probe.port;
}

struct server_start {
    /// The signal that ends it when the thread that started it ends.
    int with_us = SIGKILL;
    /// Who runs it; null: who runs the test.
    const passwd* user = nullptr;
    /// Where what it prints is added to.
    std::string output = "/dev/null";
};

/// Starts a server, found in the PATH, in a session of its own: a terminal's interrupt is the test's, which ends it.
inline pid_t start_server(const std::vector<std::string>& command, const server_start& how = {}) {
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& each : words) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    const uid_t user_id = how.user == nullptr ? 0 : how.user->pw_uid;
    const gid_t group_id = how.user == nullptr ? 0 : how.user->pw_gid;
    const pid_t parent = ::getpid();
    const pid_t id = ::fork();
    if (id < 0) throw std::system_error(errno, std::generic_category(), "no process");
    if (id > 0) return id;
    // Nothing but system calls from here on: other threads may hold any mutex.
    if (how.user != nullptr && (::setgroups(1, &group_id) != 0 || ::setgid(group_id) != 0 || ::setuid(user_id) != 0)) {
        ::_exit(126);
    }
    // After the change of user, which forgets it.
    ::prctl(PR_SET_PDEATHSIG, how.with_us);
    if (::getppid() != parent) ::_exit(126);
    const int log = ::open(how.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
    if (::chdir("/") != 0) ::_exit(126);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
}

}  // namespace holdfast::test

#endif
