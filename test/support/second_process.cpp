#include "support/second_process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace holdfast::test {
namespace {

using clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& text) {
    throw std::runtime_error(text);
}

/// False when nothing can be read in time.
bool readable(int descriptor, clock::time_point until) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
        pollfd polled{descriptor, POLLIN, 0};
        const int found = ::poll(&polled, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (found > 0) return true;
        if (found == 0 && clock::now() >= until) return false;
    }
}

int status_of(pid_t id) {
    int status = 0;
    while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

temporary_directory::temporary_directory(const std::string& parent) {
    const std::filesystem::path where = parent.empty() ? std::filesystem::temp_directory_path() : parent.c_str();
    path_ = (std::filesystem::canonical(where) / "holdfast-test-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) fail("mkdtemp " + path_);
}

temporary_directory::~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

second_process::second_process(const std::vector<std::string>& command) {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) fail("pipe2");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = ::posix_spawnp(&id_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
    if (error != 0) fail("cannot start " + command[0] + ": " + std::generic_category().message(error));
}

second_process::~second_process() {
    if (id_ > 0) {
        ::kill(id_, SIGKILL);
        status_of(id_);
    }
    ::close(to_);
    ::close(from_);
}

void second_process::send(std::string_view line) {
    const std::string text = std::string(line) + "\n";
    if (::write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail("the second process is gone");
}

std::string second_process::line(std::chrono::milliseconds within) {
    const auto until = clock::now() + within;
    for (;;) {
        if (const auto end = buffer_.find('\n'); end != std::string::npos) {
            std::string found = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            return found;
        }
        if (!readable(from_, until)) fail("the second process said nothing in time");
        char bytes[512];
        const auto size = ::read(from_, bytes, sizeof bytes);
        if (size <= 0) fail("the second process ended without a line; left: '" + buffer_ + "'");
        buffer_.append(bytes, static_cast<std::size_t>(size));
    }
}

std::string second_process::expect(std::string_view wanted) {
    const std::string said = line();
    if (!said.starts_with(wanted)) fail("the second process said '" + said + "', not '" + std::string(wanted) + "'");
    return said.substr(std::min(said.size(), wanted.size() + 1));
}

void second_process::signal(int number) const {
    if (::kill(id_, number) != 0) fail("the second process cannot be signalled");
}

void second_process::await_stopped() const {
    int status = 0;
    if (::waitpid(id_, &status, WUNTRACED) != id_ || !WIFSTOPPED(status)) fail("the second process did not stop");
}

int second_process::wait() {
    const int status = status_of(id_);
    id_ = -1;
    return status;
}

std::string helper_program(const char* variable) {
    const char* const path = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
    if (path == nullptr) fail(std::string("set ") + variable + " to the program's path, as ctest does");
    return path;
}

forked_child::forked_child(const std::function<void()>& body, std::chrono::seconds within) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
    std::fflush(nullptr);
    id_ = ::fork();
    if (id_ < 0) fail("fork");
    if (id_ > 0) {
        ::close(ends[1]);
        from_ = ends[0];
        return;
    }
    // A child that hangs must not outlive its test.
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(static_cast<unsigned>(within.count()));
    std::string wrong;
    try {
        body();
    } catch (const std::exception& failed) {
        wrong = failed.what();
        if (wrong.empty()) wrong = "an exception without a text";
    }
    (void)!::write(ends[1], wrong.data(), wrong.size());
    std::fflush(nullptr);
    ::_exit(0);
}

forked_child::~forked_child() {
    if (id_ > 0) {
        ::kill(id_, SIGKILL);
        status_of(id_);
    }
    ::close(from_);
}

std::string forked_child::result() {
    const int status = status_of(id_);
    id_ = -1;
    // Its grandchildren may keep the pipe open: what it wrote is there by now.
    std::string said(4096, '\0');
    ::fcntl(from_, F_SETFL, O_NONBLOCK);
    const auto size = ::read(from_, said.data(), said.size());
    said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (!said.empty()) return said;
    if (status == -SIGALRM) return "the child hung";
    if (status != 0) return "the child ended with status " + std::to_string(status);
    return "";
}

std::string in_child(const std::function<void()>& body, std::chrono::seconds within) {
    forked_child child(body, within);
    return child.result();
}

void require(bool condition, const std::string& text) {
    if (!condition) fail(text);
}

signal_pipe::signal_pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) fail("pipe2");
}

signal_pipe::~signal_pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
}

void signal_pipe::notify() const {
    if (::write(ends_[1], "x", 1) != 1) fail("nobody listens");
}

void signal_pipe::await(std::chrono::milliseconds within) const {
    char byte = 0;
    if (!readable(ends_[0], clock::now() + within) || ::read(ends_[0], &byte, 1) != 1) fail("no signal in time");
}

struct watchdog::state {
    std::mutex mutex;
    std::condition_variable ended;
    bool over = false;
    std::thread thread;
};

watchdog::watchdog(const char* what, std::chrono::seconds within) : state_(new state) {
    state_->thread = std::thread([this, what, within] {
        std::unique_lock guard(state_->mutex);
        if (state_->ended.wait_for(guard, within, [this] { return state_->over; })) return;
        std::fprintf(stderr, "WATCHDOG: %s has not ended within %lld s\n", what,
                     static_cast<long long>(within.count()));
        std::abort();
    });
}

watchdog::~watchdog() {
    {
        const std::lock_guard guard(state_->mutex);
        state_->over = true;
    }
    state_->ended.notify_all();
    state_->thread.join();
    delete state_;
}

std::vector<std::string> thread_names(pid_t process) {
    std::vector<std::string> names;
    std::error_code ended;
    const std::string tasks = "/proc/" + std::to_string(process) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, ended)) {
        std::ifstream file(task.path() / "comm");
        std::string name;
        if (std::getline(file, name)) names.push_back(std::move(name));
    }
    return names;
}

int count_threads(std::string_view name) {
    const auto names = thread_names(::getpid());
    return static_cast<int>(std::count(names.begin(), names.end(), name));
}

std::vector<std::string> takers_of_signals() {
    // SIGKILL and SIGSTOP, and the two of the C library, nobody can block.
    constexpr std::uint64_t not_to_be_blocked = 0x180040100;
    std::vector<std::string> found;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (task.path().filename() == std::to_string(::gettid())) continue;
        std::string name;
        std::ifstream file(task.path() / "status");
        for (std::string line; std::getline(file, line);) {
            const std::string value = line.substr(line.find_last_of("\t ") + 1);
            if (line.starts_with("Name:")) name = value;
            if (line.starts_with("SigBlk:") && ~(std::stoull(value, nullptr, 16) | not_to_be_blocked) != 0) {
                found.push_back(name);
            }
        }
    }
    return found;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within) {
    for (const auto until = clock::now() + within; clock::now() < until;) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return condition();
}

std::chrono::nanoseconds distribution::at(double quantile) const {
    if (values_.empty()) return {};
    auto sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))];
}

void distribution::print(const std::string& name) const {
    const auto us = [this](double quantile) { return static_cast<double>(at(quantile).count()) / 1000; };
    std::printf("    %-58s n=%-5zu p50 %9.1f  p95 %9.1f  max %9.1f us\n", name.c_str(), values_.size(), us(0.5),
                us(0.95), us(1));
}

}  // namespace holdfast::test
