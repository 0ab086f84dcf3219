#include <core/parker.hpp>

#include <thread>

namespace holdfast {
inline namespace v0 {
namespace core {

void parker::rouse() noexcept {
    unsigned found = state_.load(std::memory_order_relaxed);
    unsigned next = roused;
    do {
        next = found == elsewhere || found == rousing ? rousing : roused;
    } while (!state_.compare_exchange_weak(found, next, std::memory_order_acq_rel));
    if (found == elsewhere) {
        other_.load(std::memory_order_acquire)->end();
        // The sleeper waits for this, since what it sleeps in is gone afterwards.
        state_.exchange(roused, std::memory_order_acq_rel);
    }
    if (found != asleep) return;
    if (const auto event = event_.load(std::memory_order_acquire); event != -1) ring(event);
}

bool parker::park(boottime::time_point until, int descriptor, short events) noexcept {
    const std::intptr_t event = own_event();
    event_.store(event, std::memory_order_release);
    unsigned expected = idle;
    if (!state_.compare_exchange_strong(expected, asleep, std::memory_order_acq_rel)) {
        state_.store(idle, std::memory_order_release);
        return false;
    }
    const awakening ended = sleep(event, until, descriptor, events);
    // Whoever roused us may not have rung yet, and must have before this thread's next sleep, or the event's end.
    const bool was_roused = state_.exchange(idle, std::memory_order_acq_rel) == roused;
    if (was_roused && event != -1 && !ended.rung) take_ring(event);
    return ended.descriptor_ready;
}

bool parker::begin_other(other_sleep& where) noexcept {
    other_.store(&where, std::memory_order_release);
    unsigned expected = idle;
    if (state_.compare_exchange_strong(expected, elsewhere, std::memory_order_acq_rel)) return true;
    state_.store(idle, std::memory_order_release);
    return false;
}

bool parker::end_other() noexcept {
    unsigned expected = elsewhere;
    if (state_.compare_exchange_strong(expected, idle, std::memory_order_acq_rel)) return false;
    while (state_.load(std::memory_order_acquire) == rousing) std::this_thread::yield();
    state_.exchange(idle, std::memory_order_acq_rel);
    return true;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
