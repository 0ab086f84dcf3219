// Threads that have waited, and end.
#include <holdfast/backends/system.hpp>
#include <holdfast/lock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <windows.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

/// Counted one by one: Wine's GetProcessHandleCount says zero.
int handles_of_this_process() {
    constexpr std::uintptr_t highest = 40000;
    int count = 0;
    for (std::uintptr_t at = 4; at < highest; at += 4) {
        DWORD flags = 0;
        if (::GetHandleInformation(reinterpret_cast<HANDLE>(at), &flags) != 0) ++count;
    }
    return count;
}

/// What a thread sleeps in is a kernel object of its own: one that stayed would do so for as long as the process, and
/// one that is closed twice is somebody else's by then, such as the file that is a lock.
TEST(WindowsThreads, take_with_them_what_they_have_slept_in) {
    const provider locks = system::make_provider();
    const lock wanted = locks.make_lock("threads-" + std::to_string(::GetCurrentProcessId()));
    const lock_handle held = wanted.acquire();
    // Whoever comes after it waits in this process's own queue.
    std::jthread first_waiter([&wanted](const std::stop_token& stop) {
        error_code code;
        EXPECT_FALSE(wanted.acquire(timeout::infinite(), stop, code));
    });
    const auto wait_in_threads = [&wanted](int count) {
        for (int i = 0; i < count; ++i) {
            std::thread([&wanted] {
                error_code code;
                EXPECT_FALSE(wanted.acquire(1ms, {}, code));
                EXPECT_EQ(code, errc::timed_out) << code.message();
            }).join();
        }
    };
    const auto wait_in_lanes = [&wait_in_threads](int count) {
        std::vector<std::jthread> lanes;
        for (int i = 0; i < 8; ++i) lanes.emplace_back([&wait_in_threads, count] { wait_in_threads(count); });
    };
    wait_in_lanes(10);
    const int before = handles_of_this_process();
    constexpr int threads = 100;
    wait_in_lanes(threads);
    EXPECT_LT(handles_of_this_process(), before + threads / 2);
}

}  // namespace
}  // namespace holdfast
