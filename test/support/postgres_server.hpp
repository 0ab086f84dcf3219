// A PostgreSQL server of the tests' own.
#ifndef HOLDFAST_TEST_SUPPORT_POSTGRES_SERVER_HPP
#define HOLDFAST_TEST_SUPPORT_POSTGRES_SERVER_HPP

#include <support/second_process.hpp>
#include <support/server_process.hpp>

#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

/** A server in a temporary directory, on a free port of the loopback interface; it ends with the thread that made it.

    Run as the user `postgres` where the tests are run by root, whom PostgreSQL refuses.

    Thread safety: `query` from any thread.
*/
class postgres_server {
public:
    /// @param settings such as "max_connections=10", besides those that make tests fast
    explicit postgres_server(std::vector<std::string> settings = {});
    /// A standby that is fed by @p primary's stream.
    static std::unique_ptr<postgres_server> standby_of(const postgres_server& primary);
    postgres_server(const postgres_server&) = delete;
    postgres_server& operator=(const postgres_server&) = delete;
    ~postgres_server();

    /// One for the whole program, for tests that do it no harm.
    static postgres_server& shared();

    int port() const noexcept { return port_; }
    const std::string& directory() const noexcept { return directory_.path(); }
    /// `host=127.0.0.1 port=... user=postgres dbname=postgres`
    std::string connection() const;
    std::string url() const;

    /// The first value of @p sql's last result; throws with the server's text.
    std::string query(const std::string& sql) const;
    int count(const std::string& sql) const { return std::stoi(query(sql)); }

    /// Ends the server: SIGINT (fast), SIGQUIT (immediate) or SIGKILL.
    void stop(int signal);
    /// Kills all of its processes at once, as when the machine fails.
    void kill_all();
    /// Starts it again, on the same port.
    void start();
    /// The postmaster and every process of the server, stopped or going on.
    void signal_all(int signal) const;
    pid_t pid() const noexcept { return pid_; }
    /// What the server has logged.
    std::string log() const;
    /// A file in the server's directory that the server may read, and nobody else.
    std::string write(const std::string& name, const std::string& text) const;

private:
    struct standby {};
    postgres_server(standby, const postgres_server& primary);

    void make_data(const std::vector<std::string>& command) const;
    pid_t run(const std::vector<std::string>& command, const std::string& output) const;
    void wait_until_ready();
    std::vector<pid_t> children() const;

    temporary_directory directory_;
    const std::vector<std::string> settings_;
    int port_ = 0;
    pid_t pid_ = -1;
};

}  // namespace holdfast::test

#endif
