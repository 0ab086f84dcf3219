// Windows does not say what a thread does; so it is given the time to get there.
#include <contract/thread_rest.hpp>

#include <chrono>
#include <thread>

#include <windows.h>

namespace holdfast::contract {

void thread_rest::begin() noexcept {
    id_.store(static_cast<long>(::GetCurrentThreadId()));
}

bool thread_rest::waits() const {
    if (id_.load() == 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    constexpr int often_enough = 8;
    return ++looks_ >= often_enough;
}

}  // namespace holdfast::contract
