// A critical section in memory that several processes share: notices when two are in it.
#ifndef HOLDFAST_TEST_PROCESS_OVERLAP_SECTION_HPP
#define HOLDFAST_TEST_PROCESS_OVERLAP_SECTION_HPP

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace holdfast::test {

struct overlap_section {
    static constexpr int most_participants = 8;

    std::atomic<int> ready;
    std::atomic<int> inside;
    std::atomic<std::uint64_t> overlaps;
    std::atomic<std::uint64_t> total;
    std::atomic<std::uint64_t> wanted;
    std::atomic<std::uint64_t> entries[most_participants];
    /// Nothing but the lock protects this one.
    std::uint64_t unprotected;

    /// Maps a file that is made here, or that another process has made.
    static overlap_section& map(const char* path) {
        const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || ::ftruncate(file, sizeof(overlap_section)) != 0) std::abort();
        void* const found = ::mmap(nullptr, sizeof(overlap_section), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ::close(file);
        if (found == MAP_FAILED) std::abort();
        return *static_cast<overlap_section*>(found);
    }

    /// Waits until all @p participants are here.
    void begin(int participants) noexcept {
        ready.fetch_add(1);
        while (ready.load() < participants) ::sched_yield();
    }

    /// Takes some time that no clock is asked for.
    static void work(std::uint64_t steps) noexcept {
        for (std::uint64_t i = 0; i < steps; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    }

    bool is_over() const noexcept { return total.load(std::memory_order_relaxed) >= wanted.load(); }

    /// To be called with the lock held. @param who from 1
    void pass(int who) noexcept {
        if (inside.exchange(who) != 0) overlaps.fetch_add(1);
        volatile std::uint64_t& shared = unprotected;
        const std::uint64_t before = shared;
        // Long enough, now and then, for somebody else to come in if the lock lets them.
        work(before % 8 == 0 ? 60'000 : before % 4096);
        if (before % 16 == 0) ::sched_yield();
        shared = before + 1;
        entries[who].fetch_add(1, std::memory_order_relaxed);
        total.fetch_add(1, std::memory_order_relaxed);
        int expected = who;
        if (!inside.compare_exchange_strong(expected, 0)) overlaps.fetch_add(1);
    }

    /// To be called without it: leaves the others their chance, since neither flock nor .NET is fair.
    void rest() const noexcept {
        work(total.load(std::memory_order_relaxed) * 37 % 8192);
        ::sched_yield();
    }
};

}  // namespace holdfast::test

#endif
