#include <contract/thread_rest.hpp>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

namespace holdfast::contract {
namespace {

/// What the kernel says of a thread: asleep or not, and how often it has gone to sleep so far.
struct sleep_count {
    bool asleep = false;
    std::string times;

    static sleep_count of(long thread) {
        sleep_count made;
        std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with("State:")) made.asleep = line.find('S', 6) != std::string::npos;
            if (line.starts_with("voluntary_ctxt_switches:")) made.times = line;
        }
        return made;
    }
};

}  // namespace

void thread_rest::begin() noexcept {
    id_.store(::gettid());
}

bool thread_rest::waits() const {
    const long thread = id_.load();
    if (thread == 0) return false;
    // Asleep for so long that it is in the wait itself and not on the way there.
    constexpr auto long_enough = std::chrono::milliseconds(5);
    const auto before = sleep_count::of(thread);
    std::this_thread::sleep_for(long_enough);
    const auto after = sleep_count::of(thread);
    if (!before.asleep || !after.asleep) return false;
    // Or a wait that gets up now and then to look for itself.
    constexpr int often_enough = 20;
    return before.times == after.times || ++looks_ >= often_enough;
}

}  // namespace holdfast::contract
