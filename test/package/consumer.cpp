// A user's program: takes and releases a lock in a file, with nothing but the public headers.
#include <holdfast/holdfast.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: consumer <directory>\n", stderr);
        return 2;
    }
    try {
        auto locks = holdfast::open(std::string("file://") + argv[1]);
        auto lock = locks.make_lock("n");
        auto held = lock.acquire(std::chrono::seconds(5));
        if (lock.try_acquire()) {
            std::fputs("the lock was given away twice\n", stderr);
            return 1;
        }
        held.release();
        if (!lock.try_acquire()) {
            std::fputs("the lock was not given back\n", stderr);
            return 1;
        }
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
    std::puts("Holdfast " HOLDFAST_VERSION_STRING " took and released a lock");
    return 0;
}
