// A second program for tests: holds one lock and does what it is told, line by line.
//
// lock_holder <url> <name> <what>
//   hold     acquires and prints "held <ns>"; then per line of input: "state" prints the state, anything else is time
//            to give the lock back by release(): "releasing <ns>" before, "released" after
//   abandon  the same, but the handle is only destroyed
//   exit     the same, but the program ends with the lock held, without a word to anybody
//   leave    the same, but the program ends by returning from main, handle and all, as most programs do
//   try      prints "got" or "busy"; once for each line of input
// Times are those of the clock that Holdfast counts on.
#include <holdfast/holdfast.hpp>

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

namespace {

void say(const char* what) {
    std::printf("%s %lld\n", what, static_cast<long long>(holdfast::boottime::now().time_since_epoch().count()));
    std::fflush(stdout);
}

const char* text_of(holdfast::held_state state) {
    switch (state) {
        case holdfast::held_state::held: return "held";
        case holdfast::held_state::lost: return "lost";
        case holdfast::held_state::unknown: return "unknown";
        case holdfast::held_state::released: break;
    }
    return "released";
}

void answer_tries(const holdfast::lock& lock) {
    std::string line;
    say("ready");
    while (std::getline(std::cin, line)) {
        auto held = lock.try_acquire();
        const bool got = held.has_value();
        if (got) held->release();
        say(got ? "got" : "busy");
    }
}

int run(const std::string& url, const std::string& name, const std::string& what) {
    const holdfast::lock lock = holdfast::open(url).make_lock(name);
    if (what == "try") {
        answer_tries(lock);
        return 0;
    }
    holdfast::lock_handle held = lock.acquire();
    say("held");
    std::string line;
    while (std::getline(std::cin, line) && line == "state") say(text_of(held.state()));
    say("releasing");
    if (what == "exit") ::_exit(0);
    if (what == "leave") return 0;
    if (what == "abandon") {
        held = {};
    } else {
        held.release();
    }
    say("released");
    std::getline(std::cin, line);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    try {
        return run(argv[1], argv[2], argv[3]);
    } catch (const std::exception& failed) {
        std::printf("error %s\n", failed.what());
        return 1;
    }
}
