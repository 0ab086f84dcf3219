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
class thread_event {
public:
    thread_event() = default;
    thread_event(const thread_event&) = delete;
    thread_event& operator=(const thread_event&) = delete;
    ~thread_event() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    /// -1 when the process has no descriptor left.
    int descriptor() noexcept {
        // What a forked child has inherited is the parent's event too: a ring for one of them would be taken by the
        // other.
        if (descriptor_ >= 0 && generation_ != fork_generation()) ::close(std::exchange(descriptor_, -1));
        if (descriptor_ < 0) {
            generation_ = fork_generation();
            descriptor_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        }
        return descriptor_;
    }

private:
    int descriptor_ = -1;
    unsigned generation_ = 0;
};

thread_local thread_event this_thread_event;

}  // namespace

std::intptr_t parker::own_event() noexcept {
    return this_thread_event.descriptor();
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
