// Where threads sleep, at their end.
#include <core/parker.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

/// Sleeps again and again, until it has been roused some times.
void sleep_roused() {
    parker self;
    std::atomic<int> times{0};
    const std::jthread rousing([&](const std::stop_token& stop) {
        // Not all the time: whoever is roused before it sleeps does not sleep at all.
        for (; !stop.stop_requested(); std::this_thread::sleep_for(1ms)) {
            self.rouse();
            ++times;
        }
    });
    constexpr int enough = 20;
    while (times.load() < enough) self.park(boottime::now() + 1s);
}

/// What a thread still has to do when what it has used before is gone.
struct late_work {
    int* file = nullptr;

    ~late_work() {
        if (file == nullptr) return;
        // Has the first number that is free.
        *file = ::memfd_create("other", MFD_CLOEXEC);
        sleep_roused();
    }
};

thread_local late_work late;

TEST(parkers, a_thread_that_sleeps_once_more_at_its_end_writes_to_nobody_elses_descriptor) {
    int file = -1;
    std::thread([&file] {
        // Before the first sleep, so that it is destroyed after what that leaves.
        late.file = &file;
        sleep_roused();
    }).join();
    ASSERT_GE(file, 0);
    struct stat found {};
    ASSERT_EQ(::fstat(file, &found), 0);
    EXPECT_EQ(found.st_size, 0);
    ::close(file);
}

}  // namespace
}  // namespace holdfast::core
