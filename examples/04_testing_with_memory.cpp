// Testing code that uses locks: the memory backend needs no server, and fails on request.
#include <holdfast/holdfast.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

/// The code under test takes a provider, and does not care which.
std::string nightly(const holdfast::provider& locks) {
    try {
        auto held = locks.make_lock("nightly").try_acquire(10ms);
        if (!held) return "busy";
        held->release();
        return "done";
    } catch (const holdfast::error& failure) {
        return failure.boost_code() == holdfast::errc::unavailable ? "server down" : failure.what();
    }
}

int failures = 0;

void expect(bool holds, const char* what) {
    std::cout << (holds ? "ok    " : "FAILED ") << what << '\n';
    failures += holds ? 0 : 1;
}

}  // namespace

int main() {
    holdfast::memory_provider locks;
    expect(nightly(locks) == "done", "it does its work under the lock");
    {
        const auto other = locks.make_lock("nightly").acquire();
        expect(nightly(locks) == "busy", "it leaves when another one is at work");
    }
    locks.fail_next(holdfast::errc::unavailable);
    expect(nightly(locks) == "server down", "it says when the server is down");

    auto held = locks.make_lock("nightly").acquire();
    locks.lose("nightly");
    expect(held.state() == holdfast::held_state::lost, "a lock can be lost at the test's word");
    expect(nightly(locks) == "done", "and then somebody else has it");
    return failures == 0 ? 0 : 1;
}
