// Where threads sleep: poll(2) and an eventfd.
#include <core/fork.hpp>
#include <core/parker.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// One event descriptor a thread, kept for its next wait: making one costs as much as a contended lock.
struct thread_event {
    int descriptor = -1;
    unsigned generation = 0;
    bool over = false;
};

// Not destroyed itself: what the thread destroys after its end may still wait.
constinit thread_local thread_event own{};

/// Closes it at the thread's end.
struct event_end {
    event_end() = default;
    event_end(const event_end&) = delete;
    event_end& operator=(const event_end&) = delete;
    ~event_end() {
        own.over = true;
        if (own.descriptor >= 0) ::close(std::exchange(own.descriptor, -1));
    }
};

thread_local const event_end at_end;

}  // namespace

std::intptr_t parker::own_event() noexcept {
    // Such a wait looks again and again, as any without a descriptor.
    if (own.over) return -1;
    // What a forked child has inherited is the parent's event too: a ring for one of them would be taken by the other.
    if (own.descriptor >= 0 && own.generation != fork_generation()) ::close(std::exchange(own.descriptor, -1));
    if (own.descriptor < 0) {
        (void)&at_end;
        own.generation = fork_generation();
        own.descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return own.descriptor;
}

void parker::ring(std::intptr_t event) noexcept {
    const std::uint64_t one = 1;
    // Cannot fail but by overflow, and then the sleeper is awake.
    (void)!::write(static_cast<int>(event), &one, sizeof one);
}

parker::awakening parker::sleep(std::intptr_t event, boottime::time_point until, int descriptor,
                                short events) noexcept {
    timespec left{};
    timespec* wait = nullptr;
    if (until != boottime::time_point::max()) {
        const auto remaining = std::max(until - boottime::now(), boottime::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(remaining);
        left.tv_sec = static_cast<time_t>(seconds.count());
        left.tv_nsec = static_cast<long>((remaining - seconds).count());
        wait = &left;
    }
    if (event < 0) {
        // Without a descriptor nobody can rouse us from poll: look again often, which is slow but true.
        constexpr long short_while = 2'000'000;
        if (wait == nullptr || left.tv_sec > 0 || left.tv_nsec > short_while) left = {0, short_while};
        wait = &left;
    }
    pollfd polled[2] = {{static_cast<int>(event), POLLIN, 0}, {descriptor, events, 0}};
    ::ppoll(polled, 2, wait, nullptr);
    return {false, polled[1].revents != 0};
}

void parker::take_ring(std::intptr_t event) noexcept {
    const auto descriptor = static_cast<int>(event);
    std::uint64_t count = 0;
    while (::read(descriptor, &count, sizeof count) < 0 && (errno == EAGAIN || errno == EINTR)) {
        pollfd written{descriptor, POLLIN, 0};
        ::ppoll(&written, 1, nullptr, nullptr);
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
