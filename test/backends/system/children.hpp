// Forked children that are killed at will, and the kinds of lock that they take.
#ifndef HOLDFAST_TEST_BACKENDS_SYSTEM_CHILDREN_HPP
#define HOLDFAST_TEST_BACKENDS_SYSTEM_CHILDREN_HPP

#include <holdfast/core.hpp>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <ostream>
#include <stop_token>
#include <utility>

namespace holdfast::test {

/// Memory that forked children share with us.
template <class Value>
class shared {
public:
    shared() : value_(new (map()) Value()) {}
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() { ::munmap(value_, sizeof(Value)); }
    Value& operator*() const noexcept { return *value_; }
    Value* operator->() const noexcept { return value_; }

private:
    static void* map() {
        return ::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    Value* value_;
};

/// A child that runs until it is killed, or is over.
class child {
public:
    explicit child(const std::function<void()>& body) : id_(::fork()) {
        if (id_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        try {
            body();
        } catch (const std::exception& failed) {
            std::fprintf(stderr, "child: %s\n", failed.what());
            ::_exit(1);
        }
        ::_exit(0);
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child() { kill(); }

    pid_t id() const noexcept { return id_; }
    void kill() noexcept {
        if (id_ <= 0) return;
        ::kill(id_, SIGKILL);
        wait();
    }
    int wait() noexcept {
        int status = -1;
        ::waitpid(std::exchange(id_, -1), &status, 0);
        return status;
    }

private:
    pid_t id_;
};

[[noreturn]] inline void stay() {
    for (;;) ::pause();
}

/// One way of holding something, and what the name is in the kernel.
struct kind {
    const char* name;
    const char* mapped;
    std::function<lock_handle(const provider&, timeout, error_code&)> acquire;
    std::function<lock_handle(const provider&, std::stop_token)> acquire_until_stopped;
    std::function<void(const provider&, std::function<void(error_code, lock_handle)>)> acquire_async;
};
inline std::ostream& operator<<(std::ostream& out, const kind& one) {
    return out << one.name;
}

inline const kind kinds[] = {
    {"lock", "lock:x",
     [](const provider& at, timeout limit, error_code& code) { return at.make_lock("x").acquire(limit, {}, code); },
     [](const provider& at, std::stop_token stop) { return at.make_lock("x").acquire(timeout::infinite(), stop); },
     [](const provider& at, auto done) { at.make_lock("x").async_acquire(timeout::infinite(), std::move(done)); }},
    {"ticket", "semaphore:x",
     [](const provider& at, timeout limit, error_code& code) {
         return at.make_semaphore("x", 1).acquire(limit, {}, code);
     },
     [](const provider& at, std::stop_token stop) {
         return at.make_semaphore("x", 1).acquire(timeout::infinite(), stop);
     },
     [](const provider& at, auto done) {
         at.make_semaphore("x", 1).async_acquire(timeout::infinite(), std::move(done));
     }},
    {"write", "readers:x",
     [](const provider& at, timeout limit, error_code& code) {
         return at.make_reader_writer_lock("x").acquire_write(limit, {}, code);
     },
     [](const provider& at, std::stop_token stop) {
         return at.make_reader_writer_lock("x").acquire_write(timeout::infinite(), stop);
     },
     [](const provider& at, auto done) {
         at.make_reader_writer_lock("x").async_acquire_write(timeout::infinite(), std::move(done));
     }},
};

}  // namespace holdfast::test

#endif
