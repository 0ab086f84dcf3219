#include <backends/redis/reactor_seat.hpp>
#include <core/fork.hpp>
#include <core/runner.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <poll.h>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {

struct reactor_seat::waits {
    explicit waits(const boost::asio::any_io_executor& executor) : timer(executor), descriptor(executor) {}

    boost::asio::steady_timer timer;
    boottime::time_point timer_at = core::never;
    std::atomic<bool> timing{false};
    boost::asio::posix::stream_descriptor descriptor;
    // Handlers of a descriptor that was let go find another count, and change nothing.
    std::atomic<unsigned> tenure{0};
    std::atomic<bool> reading{false};
    std::atomic<bool> writing{false};
    /// The reactor has been asked for more than reading.
    bool wrote = false;
};

reactor_seat::reactor_seat(const boost::asio::any_io_executor& executor, std::function<void()> work)
    : executor_(executor),
      work_(std::move(work)),
      waits_(std::make_unique<waits>(executor)),
      generation_(core::fork_generation()) {}

reactor_seat::~reactor_seat() {
    let_go();
}

/// Without the owner's mutex, which only the work takes.
void reactor_seat::take_turn() {
    core::gathered_rousings roused(executor_);
    work_();
    roused.run();
}

void reactor_seat::await(int descriptor, short events, boottime::time_point until) {
    if (until == core::never) {
        if (waits_->timer_at != core::never) waits_->timer.cancel();
    } else if (until != waits_->timer_at || !waits_->timing) {
        waits_->timing = true;
        waits_->timer.expires_after(until - boottime::now());
        waits_->timer.async_wait([self = weak_from_this()](const error_code& code) {
            const auto alive = self.lock();
            if (code || alive == nullptr) return;
            // The timer's clock and ours differ a little: if this was early, it is set again.
            alive->waits_->timing = false;
            alive->take_turn();
        });
    }
    waits_->timer_at = until;
    if (descriptor < 0) return;
    // Asio never takes back that it asked for room to write: then each wait for an answer would first be woken by that.
    if (waits_->wrote && !waits_->writing && (events & POLLOUT) == 0) let_go();
    if (!waits_->descriptor.is_open()) {
        waits_->descriptor.assign(descriptor);
        waits_->reading = waits_->writing = waits_->wrote = false;
    }
    using boost::asio::posix::stream_descriptor;
    if ((events & POLLIN) != 0 && !waits_->reading.exchange(true)) {
        waits_->descriptor.async_wait(
            stream_descriptor::wait_read,
            [self = weak_from_this(), tenure = waits_->tenure.load()](const error_code& code) {
                const auto alive = self.lock();
                if (code == boost::asio::error::operation_aborted || alive == nullptr) return;
                if (tenure == alive->waits_->tenure) alive->waits_->reading = false;
                alive->readable_ = true;
                alive->take_turn();
            });
    }
    if ((events & POLLOUT) != 0 && !waits_->writing.exchange(true)) {
        waits_->wrote = true;
        waits_->descriptor.async_wait(
            stream_descriptor::wait_write,
            [self = weak_from_this(), tenure = waits_->tenure.load()](const error_code& code) {
                const auto alive = self.lock();
                if (code == boost::asio::error::operation_aborted || alive == nullptr) return;
                if (tenure == alive->waits_->tenure) alive->waits_->writing = false;
                alive->take_turn();
            });
    }
}

void reactor_seat::stop() noexcept {
    if (!waits_->descriptor.is_open() || !(waits_->reading || waits_->writing)) return;
    let_go();
}

void reactor_seat::let_go() noexcept {
    if (!waits_->descriptor.is_open()) return;
    // Its owner closes it; the reactor only looks at it.
    waits_->descriptor.release();
    ++waits_->tenure;
}

void reactor_seat::post() {
    if (posted_.exchange(true)) return;
    try {
        boost::asio::post(executor_, [self = weak_from_this()] {
            if (const auto alive = self.lock()) alive->take_turn();
        });
    } catch (...) {
        posted_ = false;
        throw;
    }
}

bool reactor_seat::begin_work() noexcept {
    posted_ = false;
    return readable_.exchange(false);
}

void reactor_seat::end(std::shared_ptr<reactor_seat> seat) noexcept {
    // The executor's threads did not survive a fork, and its reactor is shared with the parent's.
    if (seat->generation_ != core::fork_generation()) (void)new std::shared_ptr<reactor_seat>(std::move(seat));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
