#include "support/second_process.hpp"

#include <kernel/inotify_hub.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <latch>
#include <semaphore>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using core::inotify_hub;
using core::parker;

/// A file that is watched for being closed.
class watched_file final : private inotify_hub::listener {
public:
    watched_file(inotify_hub& hub, const std::string& path, parker* rouses)
        : hub_(hub), path_(path), rouses_(rouses), file_(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600)) {
        if (hub_.add(file_, IN_CLOSE_NOWRITE, *this) != 0) throw std::runtime_error("inotify_add_watch");
    }
    ~watched_file() {
        stop();
        ::close(file_);
    }
    void stop() noexcept { hub_.remove(*this); }
    void make_event() const { ::close(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)); }
    int events() const noexcept { return events_.load(); }

private:
    void on_file_event(std::uint32_t) noexcept override {
        ++events_;
        if (rouses_ != nullptr) rouses_->rouse();
    }

    inotify_hub& hub_;
    const std::string path_;
    parker* const rouses_;
    const int file_;
    std::atomic<int> events_{0};
};

std::shared_ptr<inotify_hub> new_hub() {
    return std::make_shared<inotify_hub>(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

/// True once the thread sleeps in the kernel.
bool sleeps(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string line;
    std::getline(file, line);
    return line.find(") S ") != std::string::npos;
}

// The leader's own rouse (a cancellation, a lock that was granted) may come in the same moment as an event that it
// delivers to somebody else.
TEST(InotifyHub, ARouseThatComesWithAnothersEventEndsTheWait) {
    const temporary_directory directory;
    const auto hub = new_hub();
    const watched_file others(*hub, directory / "others", nullptr);
    for (int round = 0; round < 300; ++round) {
        parker self;
        std::atomic<pid_t> thread{0};
        std::atomic<bool> ended{false};
        std::jthread leader([&] {
            thread = ::gettid();
            while (!ended) hub->wait(self, boottime::now() + 5s);
        });
        while (thread == 0 || !sleeps(thread)) std::this_thread::yield();
        const auto began = boottime::now();
        ended = true;
        others.make_event();
        self.rouse();
        leader.join();
        ASSERT_LT(boottime::now() - began, 1s) << "in round " << round;
    }
}

// Whoever leads may be gone the moment after it was chosen.
TEST(InotifyHub, SomebodyLeadsAfterAllWhoCouldHaveHaveLeft) {
    const temporary_directory directory;
    const auto hub = new_hub();
    for (int round = 0; round < 60; ++round) {
        parker last;
        watched_file mine(*hub, directory / "last", &last);
        const auto until = boottime::now() + 5ms;
        std::latch begun(2);
        auto leave_soon = [&](int number) {
            parker self;
            watched_file own(*hub, directory / std::to_string(number), &self);
            begun.count_down();
            while (boottime::now() < until) hub->wait(self, until);
        };
        std::jthread first(leave_soon, 1);
        std::jthread second(leave_soon, 2);
        begun.wait();
        std::jthread waiting([&] {
            while (mine.events() == 0) hub->wait(last, boottime::now() + 5s);
        });
        first.join();
        second.join();
        const auto began = boottime::now();
        mine.make_event();
        waiting.join();
        ASSERT_LT(boottime::now() - began, 1s) << "in round " << round;
    }
}

}  // namespace
}  // namespace holdfast::test
