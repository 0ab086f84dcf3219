#include "handoff.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

namespace holdfast::bench {
namespace {

/// What both processes see.
struct shared_page {
    std::atomic<std::int64_t> released_at{0};
    std::atomic<int> turn{0};
    std::atomic<int> waiting{0};
    std::atomic<int> acquired{0};
};

class shared {
public:
    shared() {
        void* const at =
            ::mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
        page_ = new (at) shared_page;
    }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() { ::munmap(page_, sizeof(shared_page)); }
    shared_page* operator->() const noexcept { return page_; }

private:
    shared_page* page_;
};

std::int64_t now() noexcept {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * std::int64_t{1'000'000'000} + at.tv_nsec;
}

// Long enough that a waiter is asleep in the kernel, on one processor too: yielding it is what lets it get there.
void let_the_other_fall_asleep() {
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
}

/** On one processor it is the scheduler's mood whether whoever is woken interrupts the other or waits until that
   sleeps, which takes twice as long. Tasks of SCHED_BATCH do not interrupt. Where it cannot be set, the rows are less
   steady.
*/
void let_interrupt(bool may) {
    const sched_param none{};
    ::sched_setscheduler(0, may ? SCHED_OTHER : SCHED_BATCH, &none);
}

void pin_side(bool pinned, int side) {
    pin_to(pinned ? 0 : side);
    let_interrupt(!pinned);
}

void unpin_side() {
    let_interrupt(true);
    unpin();
}

/// Both sides run this; side 0 begins holding.
samples play(const shared& page, const contender& self, int side, int count) {
    samples taken;
    if (side == 0) self.acquire();
    page->turn.fetch_add(1);
    while (page->turn.load() < 2) let_the_other_fall_asleep();
    for (int i = 0; i < count; ++i) {
        if ((i + side) % 2 == 0) {
            // Ours to give away, once the other waits for it.
            while (page->waiting.load() <= i) let_the_other_fall_asleep();
            let_the_other_fall_asleep();
            page->released_at.store(now());
            self.release();
            // The kernel wakes a waiter of flock but does not reserve the lock for it: we must not overtake.
            while (page->acquired.load() <= i) let_the_other_fall_asleep();
        } else {
            page->waiting.store(i + 1);
            self.acquire();
            taken.push_back(static_cast<double>(now() - page->released_at.load()) / 1000.0);
            page->acquired.store(i + 1);
        }
    }
    if ((count + side) % 2 == 0) self.release();
    return taken;
}

template <class Body>
pid_t fork_side(Body body) {
    const pid_t child = ::fork();
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
        try {
            body();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    return child;
}

}  // namespace

samples measure_handoff(const std::function<contender()>& make, bool pinned, int count) {
    const shared page;
    const pid_t other = fork_side([&] {
        pin_side(pinned, 1);
        play(page, make(), 1, count);
    });
    pin_side(pinned, 0);
    samples taken = play(page, make(), 0, count);
    ::waitpid(other, nullptr, 0);
    unpin_side();
    return taken;
}

samples measure_crash(const std::function<contender()>& make, bool pinned, int count) {
    samples taken;
    pin_side(pinned, 0);
    for (int i = 0; i < count; ++i) {
        const shared page;
        const pid_t holder = fork_side([&] {
            pin_side(pinned, 1);
            const contender self = make();
            self.acquire();
            page->turn.store(1);
            for (;;) ::pause();
        });
        while (page->turn.load() == 0) let_the_other_fall_asleep();
        // A third process kills, when the waiter sleeps.
        const pid_t killer = fork_side([&] {
            pin_side(pinned, 1);
            while (page->waiting.load() == 0) let_the_other_fall_asleep();
            let_the_other_fall_asleep();
            page->released_at.store(now());
            ::kill(holder, SIGKILL);
        });
        const contender self = make();
        page->waiting.store(1);
        self.acquire();
        taken.push_back(static_cast<double>(now() - page->released_at.load()) / 1000.0);
        self.release();
        ::waitpid(killer, nullptr, 0);
        ::waitpid(holder, nullptr, 0);
    }
    unpin_side();
    return taken;
}

}  // namespace holdfast::bench
