// Holders and waiters that are terminated.
#include <holdfast/backends/system.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/semaphore.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <windows.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

std::string unique_name() {
    static int count = 0;
    return "crash-" + std::to_string(::GetCurrentProcessId()) + "-" + std::to_string(++count);
}

std::wstring ready_name(const std::string& name) {
    return L"ready-" + std::wstring(name.begin(), name.end());
}

/// This program once more, doing what `DISABLED_SecondProcess` does. Terminated when destroyed.
class second_process {
public:
    second_process(const char* role, const std::string& name) {
        ready_ = ::CreateEventW(nullptr, TRUE, FALSE, ready_name(name).c_str());
        ::SetEnvironmentVariableA("HOLDFAST_TEST_ROLE", role);
        ::SetEnvironmentVariableA("HOLDFAST_TEST_NAME", name.c_str());
        wchar_t path[1024];
        ::GetModuleFileNameW(nullptr, path, 1024);
        std::wstring line =
            L"\"" + std::wstring(path) +
            L"\" --gtest_filter=DISABLED_SecondProcess.* --gtest_also_run_disabled_tests --gtest_brief=1";
        STARTUPINFOW how{};
        how.cb = sizeof how;
        PROCESS_INFORMATION made{};
        if (!::CreateProcessW(nullptr, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &how, &made)) {
            throw std::runtime_error("no second process: " + std::to_string(::GetLastError()));
        }
        ::CloseHandle(made.hThread);
        process_ = made.hProcess;
    }
    second_process(const second_process&) = delete;
    second_process& operator=(const second_process&) = delete;
    ~second_process() {
        terminate();
        ::CloseHandle(process_);
        ::CloseHandle(ready_);
    }

    void await_ready() const {
        if (::WaitForSingleObject(ready_, 20000) != WAIT_OBJECT_0) throw std::runtime_error("it does not get ready");
    }
    void terminate() {
        ::TerminateProcess(process_, 9);
        ::WaitForSingleObject(process_, INFINITE);
    }

private:
    HANDLE ready_ = nullptr;
    HANDLE process_ = nullptr;
};

void say_ready(const std::string& name) {
    const HANDLE ready = ::CreateEventW(nullptr, TRUE, FALSE, ready_name(name).c_str());
    ::SetEvent(ready);
    ::Sleep(60000);
}

TEST(DISABLED_SecondProcess, DoesAsItIsTold) {
    const char* const role = std::getenv("HOLDFAST_TEST_ROLE");
    const char* const name = std::getenv("HOLDFAST_TEST_NAME");
    ASSERT_TRUE(role != nullptr && name != nullptr);
    const provider locks = system::make_provider();
    if (role == std::string("holder")) {
        const lock_handle held = locks.make_lock(name).acquire();
        say_ready(name);
    } else if (role == std::string("two tickets")) {
        const semaphore both = locks.make_semaphore(name, 2);
        const lock_handle first = both.acquire();
        const lock_handle second = both.acquire();
        say_ready(name);
    } else if (role == std::string("waiter")) {
        std::jthread waiting([&] { const lock_handle never = locks.make_lock(name).acquire(); });
        ::Sleep(200);
        say_ready(name);
    }
}

/// Waiters look again every two seconds, and have no handle for a moment then; Wine is slow to end a process. On a busy
/// machine one may miss the others' moment, and then another one.
constexpr auto in_time = 10s;

void expect_soon(clock::time_point since, const char* what) {
    const auto took = clock::now() - since;
    std::printf("%s after %lld ms\n", what,
                static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
    EXPECT_LT(took, in_time);
}

TEST(Crash, OfTheHolderGivesTheLockToItsWaiter) {
    const std::string name = unique_name();
    second_process holder("holder", name);
    holder.await_ready();
    const lock mine = system::make_provider().make_lock(name);
    EXPECT_FALSE(mine.try_acquire());
    clock::time_point died;
    std::jthread killer([&] {
        std::this_thread::sleep_for(300ms);
        holder.terminate();
        died = clock::now();
    });
    const lock_handle held = mine.acquire(20s);
    killer.join();
    expect_soon(died, "the waiter had the lock");
}

TEST(Crash, OfTheHolderGivesTheLockToOneAsynchronousWaiterAfterTheOther) {
    const std::string name = unique_name();
    second_process holder("holder", name);
    holder.await_ready();
    // Each with a handle of its own, as in several processes: they must all let go in one moment.
    std::vector<provider> places;
    for (int i = 0; i < 5; ++i) places.push_back(system::make_provider());
    std::atomic<int> inside{0};
    std::atomic<int> done{0};
    for (const provider& each : places) {
        each.make_lock(name).async_acquire(20s, [&](error_code code, lock_handle held) {
            EXPECT_FALSE(code) << code.message();
            EXPECT_EQ(++inside, 1);
            --inside;
            held.release();
            ++done;
        });
    }
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(done, 0);
    holder.terminate();
    const auto died = clock::now();
    while (done < 5 && clock::now() < died + 20s) std::this_thread::sleep_for(5ms);
    EXPECT_EQ(done, 5);
    expect_soon(died, "five waiters had had the lock");
}

TEST(Crash, OfTheHolderOfAllTicketsGivesThemToWaiters) {
    const std::string name = unique_name();
    second_process holder("two tickets", name);
    holder.await_ready();
    const semaphore mine = system::make_provider().make_semaphore(name, 2);
    EXPECT_EQ(mine.current_count(), 0);
    EXPECT_FALSE(mine.try_acquire());
    holder.terminate();
    const auto died = clock::now();
    const lock_handle first = mine.acquire(20s);
    const lock_handle second = mine.acquire(20s);
    expect_soon(died, "both tickets were had");
    EXPECT_EQ(mine.current_count(), 0);
}

TEST(Crash, OfAWaiterTakesNothingAlong) {
    const std::string name = unique_name();
    const lock mine = system::make_provider().make_lock(name);
    lock_handle held = mine.acquire(0ms);
    second_process waiter("waiter", name);
    waiter.await_ready();
    waiter.terminate();
    held.release();
    EXPECT_TRUE(mine.try_acquire());
}

}  // namespace
}  // namespace holdfast
