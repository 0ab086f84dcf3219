#include <core/fork.hpp>
#include <core/runner.hpp>
#include <kernel/inotify_hub.hpp>

#include <holdfast/error.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace holdfast {
inline namespace v0 {
namespace core {

std::shared_ptr<inotify_hub> inotify_hub::shared() {
    struct slot {
        std::mutex mutex;
        std::shared_ptr<inotify_hub> current;
        unsigned generation = 0;
    };
    static auto* const made = new slot;
    // Making an instance takes milliseconds, and a child that is forked meanwhile would find the mutex locked for ever.
    const no_fork_here stay;
    const std::lock_guard guard(made->mutex);
    if (made->current != nullptr && made->generation != fork_generation()) {
        // The parent's: its mutex may have been held by a thread that is not here. Only its descriptor is given up.
        ::close(made->current->descriptor_);
        (void)new std::shared_ptr<inotify_hub>(std::move(made->current));
    }
    if (made->current == nullptr) {
        const int descriptor = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (descriptor < 0) {
            diagnostics diag;
            diag.native_code = errno;
            diag.message = "inotify_init1: " + std::generic_category().message(diag.native_code) +
                           " (see /proc/sys/fs/inotify/max_user_instances)";
            throw error(make_error_code(errc::unavailable), std::move(diag));
        }
        made->current = std::make_shared<inotify_hub>(descriptor);
        made->generation = fork_generation();
    }
    return made->current;
}

inotify_hub::~inotify_hub() {
    ::close(descriptor_);
}

int inotify_hub::add(int descriptor, std::uint32_t mask, listener& who) {
    // By descriptor and not by path: the inode that is meant may have another name by now, or none.
    char path[40];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    const std::lock_guard guard(mutex_);
    // An inode has one watch in an instance, so masks add up.
    const int watch = ::inotify_add_watch(descriptor_, path, mask | IN_MASK_ADD);
    if (watch < 0) return errno;
    try {
        who.watches_.push_back(watch);
        watches_[watch].push_back({&who, mask});
    } catch (...) {
        return ENOMEM;
    }
    return 0;
}

void inotify_hub::remove(listener& who) noexcept {
    // In a forked child the instance is still the parent's: to end a watch here would end it there.
    if (generation_ != fork_generation()) return;
    const std::lock_guard guard(mutex_);
    forget(who);
    for (const int watch : who.watches_) {
        const auto found = watches_.find(watch);
        if (found == watches_.end() || !found->second.empty()) continue;
        // Fails where the inode is gone, and the kernel has ended the watch itself.
        ::inotify_rm_watch(descriptor_, watch);
        watches_.erase(found);
    }
    who.watches_.clear();
    // Whoever led between two waits may be leaving for good, and whoever was roused to lead may have left as well.
    if (leader_ == nullptr && !followers_.empty()) followers_.front()->rouse();
}

void inotify_hub::retire(listener& who) noexcept {
    if (generation_ != fork_generation()) return;
    const std::lock_guard guard(mutex_);
    forget(who);
    try {
        retired_.insert(retired_.end(), who.watches_.begin(), who.watches_.end());
    } catch (...) {
        // Then they stay until their files are gone, which costs a little memory and nothing else.
    }
    who.watches_.clear();
    if (leader_ == nullptr && !followers_.empty()) followers_.front()->rouse();
}

void inotify_hub::sweep(std::size_t most_left) noexcept {
    if (generation_ != fork_generation()) return;
    const std::lock_guard guard(mutex_);
    if (retired_.size() <= most_left) return;
    for (const int watch : retired_) {
        const auto found = watches_.find(watch);
        if (found == watches_.end() || !found->second.empty()) continue;
        ::inotify_rm_watch(descriptor_, watch);
        watches_.erase(found);
    }
    retired_.clear();
}

/// The mutex is held.
void inotify_hub::forget(listener& who) noexcept {
    for (const int watch : who.watches_) {
        const auto found = watches_.find(watch);
        if (found == watches_.end()) continue;
        std::erase_if(found->second, [&who](const subscription& one) { return one.who == &who; });
    }
}

void inotify_hub::wait(parker& self, boottime::time_point until) {
    {
        std::unique_lock guard(mutex_);
        if (leader_ != nullptr) {
            followers_.push_back(&self);
            guard.unlock();
            self.park(until);
            guard.lock();
            std::erase(followers_, &self);
            // Roused because the leader has gone: the next wait leads.
            return;
        }
        leader_ = &self;
    }
    // Back to the caller after every delivery, for only the caller can tell whether it was roused: a rouse that comes
    // together with an event is used up when `park` returns. It leads on in its next wait; nobody is roused to lead
    // meanwhile, because a leader that does not come back removes or retires its listener.
    if (self.park(until, descriptor_, POLLIN)) {
        drain();
        self.calm();
    }
    const std::lock_guard guard(mutex_);
    leader_ = nullptr;
}

void inotify_hub::drain() {
    alignas(inotify_event) char buffer[8192];
    const std::lock_guard guard(mutex_);
    for (auto size = static_cast<ssize_t>(sizeof buffer); size > static_cast<ssize_t>(sizeof buffer / 2);) {
        // A read that leaves room has taken all there was.
        size = ::read(descriptor_, buffer, sizeof buffer);
        for (std::ptrdiff_t at = 0; at < size;) {
            const auto* const one = reinterpret_cast<const inotify_event*>(buffer + at);
            at += static_cast<std::ptrdiff_t>(sizeof(inotify_event) + one->len);
            dispatch(one->wd, one->mask);
        }
    }
}

/// The mutex is held.
void inotify_hub::dispatch(int watch_descriptor, std::uint32_t mask) {
    if ((mask & IN_Q_OVERFLOW) != 0) {
        // Events were dropped: everybody looks for themselves.
        for (auto& each : watches_) {
            for (const subscription& one : each.second) one.who->on_file_event(one.mask);
        }
        return;
    }
    const auto found = watches_.find(watch_descriptor);
    if (found == watches_.end()) return;
    if ((mask & IN_IGNORED) != 0) {
        // The inode is gone, and its number may be given again.
        if (found->second.empty()) watches_.erase(found);
        return;
    }
    for (const subscription& one : found->second) {
        if ((mask & one.mask) != 0) one.who->on_file_event(mask);
    }
}

/// Delivers events on an executor.
class inotify_hub::pump : public std::enable_shared_from_this<pump> {
public:
    pump(std::shared_ptr<inotify_hub> hub, const boost::asio::any_io_executor& executor, int descriptor)
        : hub_(std::move(hub)), stream_(new stream(executor, descriptor)) {}
    pump(const pump&) = delete;
    pump& operator=(const pump&) = delete;
    ~pump() {
        // The executor's threads did not survive a fork, and may have held its mutexes: then only our copy is closed.
        if (generation_ == fork_generation()) {
            delete stream_;
        } else {
            ::close(stream_->native_handle());
        }
    }

    void wait() {
        stream_->async_wait(stream::wait_read, [self = weak_from_this()](const error_code& code) {
            const auto alive = self.lock();
            if (code || alive == nullptr) return;
            gathered_rousings roused(alive->stream_->get_executor());
            alive->hub_->drain();
            alive->wait();
            roused.run();
        });
    }

private:
    using stream = boost::asio::posix::stream_descriptor;

    const std::shared_ptr<inotify_hub> hub_;
    const unsigned generation_ = fork_generation();
    stream* const stream_;
};

std::shared_ptr<void> inotify_hub::deliver_on(const boost::asio::any_io_executor& executor) {
    const void* const context = &executor.context();
    const std::lock_guard guard(mutex_);
    std::erase_if(pumps_, [](const auto& each) { return each.second.expired(); });
    auto& slot = pumps_[context];
    auto found = slot.lock();
    if (found == nullptr) {
        // A duplicate, because an executor closes what it was given.
        const int copy = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
        if (copy < 0) throw error(errc::unavailable, "no descriptor left: " + std::generic_category().message(errno));
        try {
            found = std::make_shared<pump>(shared_from_this(), executor, copy);
        } catch (...) {
            ::close(copy);
            throw;
        }
        slot = found;
        found->wait();
    }
    return found;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
