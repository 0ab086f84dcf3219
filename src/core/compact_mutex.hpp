// A mutex of four bytes, for what there may be very many of.
#ifndef HOLDFAST_CORE_COMPACT_MUTEX_HPP
#define HOLDFAST_CORE_COMPACT_MUTEX_HPP

#include <holdfast/config.hpp>

#include <atomic>

namespace holdfast {
inline namespace v0 {
namespace core {

/** For std::lock_guard; std::mutex takes ten times the memory, and each held lock has two.

    The second of the mutexes in Ulrich Drepper, "Futexes Are Tricky", 2011, section 4.

    Thread safety: safe.
*/
class compact_mutex {
public:
    compact_mutex() = default;
    compact_mutex(const compact_mutex&) = delete;
    compact_mutex& operator=(const compact_mutex&) = delete;

    void lock() noexcept {
        int found = unlocked;
        if (state_.compare_exchange_strong(found, locked, std::memory_order_acquire, std::memory_order_relaxed)) return;
        while (state_.exchange(contended, std::memory_order_acquire) != unlocked) {
            state_.wait(contended, std::memory_order_relaxed);
        }
    }
    void unlock() noexcept {
        if (state_.exchange(unlocked, std::memory_order_release) == contended) state_.notify_one();
    }

private:
    enum : int { unlocked, locked, contended };

    std::atomic<int> state_{unlocked};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
