#include "crowd.hpp"

#include "measure.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

namespace holdfast::bench {
namespace {

using clock = std::chrono::steady_clock;

/// What a holder does with the lock.
constexpr std::chrono::microseconds work{5};

struct shared_page {
    std::atomic<int> ready{0};
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
    std::atomic<long> acquisitions{0};
    std::atomic<long> sleeps{0};
    std::atomic<long> longest_ns{0};
};

long sleeps_so_far() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

void take_part(shared_page& page, const contender& self) {
    // What is done once, with the first, is no wait for others.
    self.acquire();
    self.release();
    ++page.ready;
    while (!page.begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const long before = sleeps_so_far();
    long count = 0;
    long longest = 0;
    while (!page.over) {
        const auto from = clock::now();
        self.acquire();
        const auto got = clock::now();
        longest = std::max(longest, static_cast<long>(std::chrono::nanoseconds(got - from).count()));
        while (clock::now() - got < work) {
        }
        self.release();
        ++count;
    }
    page.acquisitions += count;
    page.sleeps += sleeps_so_far() - before;
    long known = page.longest_ns;
    while (longest > known && !page.longest_ns.compare_exchange_weak(known, longest)) {
    }
}

}  // namespace

crowd_result measure_crowd(const std::function<contender()>& make, int processes, double seconds) {
    void* const at = ::mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    auto& page = *new (at) shared_page;
    std::vector<pid_t> children;
    for (int count = 0; count < processes; ++count) {
        const pid_t child = ::fork();
        if (child < 0) break;
        if (child == 0) {
            try {
                take_part(page, make());
            } catch (...) {
                ::_exit(1);
            }
            ::_exit(0);
        }
        children.push_back(child);
    }
    while (page.ready < static_cast<int>(children.size())) {
        // One that could not take part.
        if (::waitpid(-1, nullptr, WNOHANG) > 0) ++page.ready;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto from = clock::now();
    page.begun = true;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    page.over = true;
    // Not counting how they end; each adds the one acquisition that it was at.
    const double took = us_since(from);
    for (const pid_t each : children) ::waitpid(each, nullptr, 0);
    const auto acquisitions = static_cast<double>(std::max(1L, page.acquisitions.load()));
    const crowd_result made{took / acquisitions, static_cast<double>(page.longest_ns) / 1000.0,
                            static_cast<double>(page.sleeps) / acquisitions};
    ::munmap(at, sizeof(shared_page));
    return made;
}

}  // namespace holdfast::bench
