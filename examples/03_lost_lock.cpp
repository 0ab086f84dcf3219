// Losing a lock: how the holder hears of it, and what it does then.
#include <holdfast/holdfast.hpp>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>

#include <unistd.h>

using namespace std::chrono_literals;

namespace {

/// Works step by step until it is done or told to stop.
bool work(const holdfast::lock_handle& held, std::stop_token stop) {
    for (int step = 0; step < 1000; ++step) {
        if (stop.stop_requested()) return false;
        // Before a step that cannot be taken back: look, do not wait to be told.
        if (held.state() != holdfast::held_state::held) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

}  // namespace

int main() try {
    const auto locks = holdfast::open("file:///tmp/holdfast-examples-" + std::to_string(::getuid()) + "?private");
    const auto lock = locks.make_lock("lost");
    auto held = lock.acquire(10s);

    // Runs on a thread of the library. Must not throw, and should not take long.
    const std::stop_callback told(held.lost_token(), [] { std::cout << "told that the lock is lost\n"; });

    // Somebody deletes our lock file: from now on another program can have the lock beside us.
    const std::jthread stranger([&lock] {
        std::this_thread::sleep_for(20ms);
        std::filesystem::remove(lock.mapped_name());
    });
    std::cout << (work(held, held.lost_token()) ? "done\n" : "stopped: the lock is not ours any more\n");

    holdfast::error_code code;
    held.release(code);
    std::cout << "release says: " << code.message() << '\n';
    return code == holdfast::errc::lost ? 0 : 1;
} catch (const holdfast::error& failure) {
    std::cerr << failure.what() << '\n';
    return 1;
}
