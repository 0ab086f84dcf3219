#include <backends/system/contender.hpp>
#include <core/hot.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

/// A few operations that the kernel does all at once, or none of.
class operations {
public:
    explicit operations(std::optional<int> stop) noexcept {
        if (!stop) return;
        for (const sembuf& each : open_set::stop_condition(*stop)) all_[count_++] = each;
    }
    operations& add(int semaphore, int by, int flags) noexcept {
        all_[count_++] = {static_cast<unsigned short>(semaphore), static_cast<short>(by), static_cast<short>(flags)};
        return *this;
    }
    int run(open_set& on, boottime::time_point until) noexcept {
        if (until == boottime::time_point::max()) return on.operate(all_.data(), count_);
        const auto left = std::max(until - boottime::now(), boottime::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec limit{static_cast<time_t>(seconds.count()), static_cast<long>((left - seconds).count())};
        return on.operate(all_.data(), count_, &limit);
    }

private:
    std::array<sembuf, 5> all_{};
    std::size_t count_ = 0;
};

}  // namespace

void contender::go_to(std::shared_ptr<slot> place) noexcept {
    place_ = std::move(place);
    where_ = position::outside;
}

void contender::want(core::access mode) noexcept {
    if (where_ == position::outside) mode_ = mode;
}

HOLDFAST_HOT int contender::try_enter() noexcept {
    return enter(IPC_NOWAIT, boottime::time_point::max(), std::nullopt);
}

HOLDFAST_HOT int contender::stand(boottime::time_point until, std::optional<int> stop) noexcept {
    return enter(0, until, stop);
}

HOLDFAST_HOT int contender::enter(int flags, boottime::time_point until, std::optional<int> stop) noexcept {
    open_set& set = *place_->set;
    const int first = place_->first;
    const int kept = SEM_UNDO | flags;
    operations next(stop);
    if (set.identity().kind == set_kind::tickets) {
        next.add(first, -1, kept);
    } else if (mode_ == core::access::shared) {
        next.add(first, -1, flags).add(first, 1, 0).add(first + 1, -1, kept);
    } else if (where_ == position::at_gate) {
        next.add(first + 1, -most_tickets, kept);
    } else if (flags != 0) {
        next.add(first, -1, kept).add(first + 1, -most_tickets, kept);
    } else {
        // All at once would wait behind every reader to come.
        next.add(first, -1, kept);
        const int error = next.run(set, until);
        if (error != 0) return error;
        where_ = position::at_gate;
        return enter(flags, until, stop);
    }
    const int error = next.run(set, until);
    if (error == 0) where_ = position::inside;
    return error;
}

HOLDFAST_HOT int contender::leave() noexcept {
    if (where_ == position::outside) return 0;
    open_set& set = *place_->set;
    const int first = place_->first;
    operations back(std::nullopt);
    if (set.identity().kind == set_kind::tickets) {
        back.add(first, 1, SEM_UNDO);
    } else if (mode_ == core::access::shared) {
        back.add(first + 1, 1, SEM_UNDO);
    } else {
        back.add(first, 1, SEM_UNDO);
        if (where_ == position::inside) back.add(first + 1, most_tickets, SEM_UNDO);
    }
    where_ = position::outside;
    // In a forked child it is not ours to give.
    if (place_->generation != core::fork_generation()) return 0;
    return back.run(set, boottime::time_point::max());
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
