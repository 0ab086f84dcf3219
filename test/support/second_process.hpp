// Second processes for tests: programs that are told line by line what to do, and forked children with one task.
#ifndef HOLDFAST_TEST_SUPPORT_SECOND_PROCESS_HPP
#define HOLDFAST_TEST_SUPPORT_SECOND_PROCESS_HPP

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

/// An empty directory, deleted with everything in it.
class temporary_directory {
public:
    /// @param parent of a file system that matters; default: the system's temporary directory
    explicit temporary_directory(const std::string& parent = {});
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory();

    const std::string& path() const noexcept { return path_; }
    std::string operator/(std::string_view below) const { return path_ + "/" + std::string(below); }

private:
    std::string path_;
};

/// A program with its standard input and output in our hands. Killed, by its own number, when this is destroyed.
class second_process {
public:
    explicit second_process(const std::vector<std::string>& command);
    second_process(const second_process&) = delete;
    second_process& operator=(const second_process&) = delete;
    ~second_process();

    pid_t id() const noexcept { return id_; }
    void send(std::string_view line);
    /// The next line that it prints. Throws when none comes in time.
    std::string line(std::chrono::milliseconds within = std::chrono::seconds(20));
    /// Throws unless that line is, or begins with, @p wanted; returns what follows.
    std::string expect(std::string_view wanted);
    void signal(int number) const;
    /// Waits until it is stopped (SIGSTOP) in all of its threads.
    void await_stopped() const;
    /// Its exit status, or minus the signal that ended it.
    int wait();

private:
    pid_t id_ = -1;
    int to_ = -1;
    int from_ = -1;
    std::string buffer_;
};

/// A second program of the tests, found by the environment variable that the build sets for it.
std::string helper_program(const char* variable);

/** Runs @p body in a forked child, which then ends without any destructor.

    @return what went wrong there: the exception's text, the signal, or "" for nothing
*/
std::string in_child(const std::function<void()>& body, std::chrono::seconds within = std::chrono::seconds(30));

/// The same for a child that runs beside us.
class forked_child {
public:
    explicit forked_child(const std::function<void()>& body, std::chrono::seconds within = std::chrono::seconds(30));
    forked_child(const forked_child&) = delete;
    forked_child& operator=(const forked_child&) = delete;
    ~forked_child();

    pid_t id() const noexcept { return id_; }
    /// What went wrong there; see `in_child`.
    std::string result();

private:
    pid_t id_ = -1;
    int from_ = -1;
};

/// For bodies of children, where GoogleTest's assertions are not heard: throws with @p text.
void require(bool condition, const std::string& text);

/// Lines to a child or from one: a pipe that both ends of a fork keep.
class signal_pipe {
public:
    signal_pipe();
    signal_pipe(const signal_pipe&) = delete;
    signal_pipe& operator=(const signal_pipe&) = delete;
    ~signal_pipe();

    void notify() const;
    /// Throws when nobody notifies in time.
    void await(std::chrono::milliseconds within = std::chrono::seconds(20)) const;

private:
    int ends_[2];
};

/// Ends the whole program, loudly, unless destroyed in time.
class watchdog {
public:
    watchdog(const char* what, std::chrono::seconds within);
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog();

private:
    struct state;
    state* const state_;
};

/// The names of this process's threads, of which each kernel keeps 15 bytes.
std::vector<std::string> thread_names(pid_t process);
int count_threads(std::string_view name);
/// The names of this process's other threads that leave signals of the program's unblocked.
std::vector<std::string> takers_of_signals();
/// Waits, looking every millisecond, until @p condition; false when it has not come true in time.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = std::chrono::seconds(10));

/// Times, printed as a distribution.
class distribution {
public:
    void add(std::chrono::nanoseconds value) { values_.push_back(value); }
    std::size_t size() const noexcept { return values_.size(); }
    std::chrono::nanoseconds at(double quantile) const;
    /// "name: n=..., p50 ..., p95 ..., max ... us"
    void print(const std::string& name) const;

private:
    std::vector<std::chrono::nanoseconds> values_;
};

}  // namespace holdfast::test

#endif
