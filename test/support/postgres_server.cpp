#include "support/postgres_server.hpp"

#include <libpq-fe.h>

#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace holdfast::test {
namespace {

[[noreturn]] void fail(const std::string& text) {
    throw std::runtime_error("postgres_server: " + text);
}

std::string read_file(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// Debian keeps the server's programs out of the PATH, by version.
std::string program(const std::string& name) {
    for (const char* version : {"17", "16", "15", "14", "13"}) {
        std::string path = std::string("/usr/lib/postgresql/") + version + "/bin/" + name;
        if (std::filesystem::exists(path)) return path;
    }
    fail("no " + name + " in /usr/lib/postgresql; on Debian: apt-get install postgresql-15");
}

const passwd* other_user() {
    if (::geteuid() != 0) return nullptr;
    const passwd* const user = ::getpwnam("postgres");
    if (user == nullptr) fail("PostgreSQL does not run as root, and there is no user postgres");
    return user;
}

int wait_for(pid_t id) {
    int status = 0;
    while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/// A zombie does not: whoever inherits it may take a while to bury it.
bool runs(pid_t id) {
    const std::string text = read_file("/proc/" + std::to_string(id) + "/stat");
    const auto name_ends = text.rfind(')');
    return name_ends != std::string::npos && text.size() > name_ends + 2 && text[name_ends + 2] != 'Z';
}

using connection = std::unique_ptr<PGconn, decltype(&::PQfinish)>;
using result = std::unique_ptr<PGresult, decltype(&::PQclear)>;

}  // namespace

postgres_server::postgres_server(std::vector<std::string> settings) : settings_(std::move(settings)) {
    make_data({program("initdb"), "-D", directory_ / "data", "-U", "postgres", "-A", "trust", "-N", "--no-instructions",
               "--locale=C", "-E", "UTF8"});
    start();
}

postgres_server::postgres_server(standby, const postgres_server& primary) {
    make_data({program("pg_basebackup"), "-D", directory_ / "data", "-d", primary.connection(), "-R", "-X", "stream",
               "-c", "fast", "--no-sync"});
    start();
}

std::unique_ptr<postgres_server> postgres_server::standby_of(const postgres_server& primary) {
    return std::unique_ptr<postgres_server>(new postgres_server(standby(), primary));
}

void postgres_server::make_data(const std::vector<std::string>& command) const {
    if (const passwd* const user = other_user()) {
        if (::chown(directory_.path().c_str(), user->pw_uid, user->pw_gid) != 0) fail("chown");
    }
    if (wait_for(run(command, directory_ / "make_data.log")) != 0)
        fail(command.front() + ": " + read_file(directory_ / "make_data.log"));
}

std::string postgres_server::write(const std::string& name, const std::string& text) const {
    std::string path = directory_ / name;
    std::ofstream(path) << text;
    const passwd* const user = other_user();
    if (user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) fail("chown");
    if (::chmod(path.c_str(), 0600) != 0) fail("chmod");
    return path;
}

postgres_server::~postgres_server() {
    if (pid_ > 0) stop(SIGQUIT);
}

postgres_server& postgres_server::shared() {
    static postgres_server instance;
    return instance;
}

/// Starts a program as the user that may run a server. It dies with this thread.
pid_t postgres_server::run(const std::vector<std::string>& command, const std::string& output) const {
    return start_server(command, {.with_us = SIGQUIT, .user = other_user(), .output = output});
}

void postgres_server::start() {
    const bool first = port_ == 0;
    for (int attempt = 0;; ++attempt) {
        if (first) port_ = free_port();
        std::vector<std::string> command{program("postgres"), "-D", directory_ / "data"};
        for (const std::string& each : {std::string("listen_addresses=127.0.0.1"), "port=" + std::to_string(port_),
                                        "unix_socket_directories=" + directory_.path(), std::string("fsync=off"),
                                        std::string("synchronous_commit=off"), std::string("full_page_writes=off"),
                                        std::string("shared_buffers=16MB"), std::string("autovacuum=off"),
                                        std::string("log_min_messages=warning")}) {
            command.insert(command.end(), {"-c", each});
        }
        for (const std::string& each : settings_) command.insert(command.end(), {"-c", each});
        pid_ = run(command, directory_ / "log");
        try {
            wait_until_ready();
            return;
        } catch (const std::runtime_error&) {
            // Somebody else may have taken the port in between.
            constexpr int most_ports = 5;
            if (!first || attempt == most_ports || log().find("Address already in use") == std::string::npos) throw;
        }
    }
}

void postgres_server::wait_until_ready() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (::PQping(connection().c_str()) != PQPING_OK) {
        if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
            pid_ = -1;
            fail("the server ended: " + log());
        }
        if (std::chrono::steady_clock::now() > until) fail("the server does not become ready: " + log());
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

std::string postgres_server::connection() const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " user=postgres dbname=postgres";
}

std::string postgres_server::url() const {
    return "postgres://postgres@127.0.0.1:" + std::to_string(port_) + "/postgres";
}

std::string postgres_server::query(const std::string& sql) const {
    const test::connection to(::PQconnectdb((connection() + " application_name=test").c_str()), &::PQfinish);
    if (::PQstatus(to.get()) != CONNECTION_OK) fail(::PQerrorMessage(to.get()));
    const result answer(::PQexec(to.get(), sql.c_str()), &::PQclear);
    const auto status = ::PQresultStatus(answer.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail(::PQresultErrorMessage(answer.get()));
    return ::PQntuples(answer.get()) > 0 ? ::PQgetvalue(answer.get(), 0, 0) : "";
}

void postgres_server::stop(int signal) {
    // Stopped processes would not hear it.
    signal_all(SIGCONT);
    const std::vector<pid_t> serving = children();
    ::kill(pid_, signal);
    wait_for(pid_);
    pid_ = -1;
    // When the postmaster is killed, the others end as soon as they notice.
    for (const pid_t each : serving) {
        eventually([each] { return !runs(each); });
    }
}

void postgres_server::kill_all() {
    // Stopped, they start no others.
    signal_all(SIGSTOP);
    const std::vector<pid_t> serving = children();
    for (const pid_t each : serving) ::kill(each, SIGKILL);
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
    pid_ = -1;
    for (const pid_t each : serving) {
        eventually([each] { return !runs(each); });
    }
}

std::vector<pid_t> postgres_server::children() const {
    std::ifstream from("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children");
    std::vector<pid_t> found;
    for (pid_t each = 0; from >> each;) found.push_back(each);
    return found;
}

void postgres_server::signal_all(int signal) const {
    for (const pid_t each : children()) ::kill(each, signal);
    ::kill(pid_, signal);
}

std::string postgres_server::log() const {
    return read_file(directory_ / "log");
}

}  // namespace holdfast::test
