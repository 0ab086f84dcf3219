// Holdfast: locks in the shape that std::unique_lock, std::scoped_lock and std::shared_lock take.
#ifndef HOLDFAST_STD_LOCK_HPP
#define HOLDFAST_STD_LOCK_HPP

#include <holdfast/error.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/lock_handle.hpp>
#include <holdfast/reader_writer_lock.hpp>
#include <holdfast/timeout.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace detail {

/// The standard's relative times as timeouts: a negative one is a try, one beyond our range waits without end.
template <class Rep, class Period>
timeout standard_timeout(std::chrono::duration<Rep, Period> left) {
    const auto milliseconds = std::chrono::duration<long double, std::milli>(left).count();
    if (!(milliseconds > 0)) return timeout::zero();
    if (milliseconds > static_cast<long double>(std::numeric_limits<std::int32_t>::max())) return timeout::infinite();
    return timeout(left);
}

template <class Clock, class Duration>
timeout standard_timeout(std::chrono::time_point<Clock, Duration> end) {
    const auto now = Clock::now();
    // Compared first: a time far in the past could overflow the difference.
    return end <= now ? timeout::zero() : standard_timeout(end - now);
}

/** The handles that one adapter has, each with the thread that acquired it.

    More than one also where the lock is exclusive: one that was lost is still its holder's to unlock, when the next
    one has it already.
*/
class standard_holds {
public:
    void add(lock_handle held) {
        const std::lock_guard guard(mutex_);
        entries_.push_back({std::this_thread::get_id(), std::move(held)});
    }

    /// This thread's newest; where it has none (a std::unique_lock was moved to another thread), the oldest of all.
    void release() noexcept {
        std::list<entry> ending;
        {
            const std::lock_guard guard(mutex_);
            auto found = entries_.end();
            for (auto each = entries_.begin(); each != entries_.end(); ++each) {
                if (each->thread == std::this_thread::get_id()) found = each;
            }
            if (found == entries_.end()) found = entries_.begin();
            if (found == entries_.end()) return;
            ending.splice(ending.begin(), entries_, found);
        }
        try {
            error_code code;
            diagnostics diag;
            ending.front().held.release(code, &diag);
            if (!code) return;
            const std::lock_guard guard(mutex_);
            failure_.emplace(code, std::move(diag));
        } catch (...) {
            // No memory for the report; the lock's handle has let go of it all the same.
        }
    }

    /// This thread's newest, or an empty one.
    const lock_handle& mine() const {
        static const lock_handle none;
        const std::lock_guard guard(mutex_);
        for (auto each = entries_.rbegin(); each != entries_.rend(); ++each) {
            if (each->thread == std::this_thread::get_id()) return each->held;
        }
        return none;
    }

    std::optional<error> take_failure() {
        const std::lock_guard guard(mutex_);
        return std::exchange(failure_, std::nullopt);
    }

private:
    struct entry {
        std::thread::id thread;
        lock_handle held;
    };

    mutable std::mutex mutex_;
    std::list<entry> entries_;
    std::optional<error> failure_;
};

}  // namespace detail

/** @brief A @ref lock that meets the standard's TimedLockable requirements: for `std::unique_lock`, `std::scoped_lock`,
    `std::lock_guard` and `std::condition_variable_any`.

    For code that is written against them. New code does better with @ref lock and its handles: the standard's
    `unlock()` may not throw, because destructors call it, so the one moment at which the loss of a lock is sure to be
    seen passes in silence. Here such an error is kept for @ref take_unlock_error. `std::lock` and a `std::scoped_lock`
    of several release and take locks again until they have all; @ref acquire_all takes them once, in order.

    Not copyable and not movable; neither recursive nor reentrant: a thread that locks twice waits for itself. Its
    destructor releases what is still locked.

    @par Errors
    What @ref lock::acquire throws, but `errc::timed_out`; nothing is locked then.
    @par Thread safety
    Distinct objects: safe. Shared objects: safe. Unlock on the thread that locked; where that is not possible, a lock
    that another thread took is released.
*/
class std_lock {
public:
    explicit std_lock(holdfast::lock target) noexcept : target_(std::move(target)) {}
    std_lock(const std_lock&) = delete;
    std_lock& operator=(const std_lock&) = delete;

    /// Waits until the lock is ours.
    void lock() { holds_.add(target_.acquire()); }
    /// False where somebody else has it, and only then.
    bool try_lock() { return take(timeout::zero()); }
    /// A negative time tries once; one of more than 2^31-1 ms waits without end.
    template <class Rep, class Period>
    bool try_lock_for(const std::chrono::duration<Rep, Period>& time) {
        return take(detail::standard_timeout(time));
    }
    /// As @ref try_lock_for, with what is left until @p end now; a clock that is set meanwhile does not matter.
    template <class Clock, class Duration>
    bool try_lock_until(const std::chrono::time_point<Clock, Duration>& end) {
        return take(detail::standard_timeout(end));
    }
    /// Releases the lock; see @ref take_unlock_error.
    void unlock() noexcept { holds_.release(); }

    /// What this thread has locked, for its state, lost token and fencing token; empty for nothing. Until it unlocks.
    const lock_handle& handle() const { return holds_.mine(); }
    /// The error of the last `unlock()` that failed, of any thread, since this was last asked: `errc::lost`, mostly.
    std::optional<error> take_unlock_error() { return holds_.take_failure(); }

private:
    bool take(timeout limit) {
        auto held = target_.try_acquire(limit);
        if (!held) return false;
        holds_.add(std::move(*held));
        return true;
    }

    holdfast::lock target_;
    detail::standard_holds holds_;
};

/** @brief A @ref reader_writer_lock that meets the standard's SharedTimedLockable requirements: for `std::shared_lock`
    to read, and for `std::unique_lock` and its kin to write.

    All that is said of @ref std_lock is true of it.

    @par Errors
    As @ref std_lock.
    @par Thread safety
    As @ref std_lock.
*/
class std_reader_writer_lock {
public:
    explicit std_reader_writer_lock(reader_writer_lock target) noexcept : target_(std::move(target)) {}
    std_reader_writer_lock(const std_reader_writer_lock&) = delete;
    std_reader_writer_lock& operator=(const std_reader_writer_lock&) = delete;

    /// @name To write; see @ref std_lock
    /// @{
    void lock() { written_.add(target_.acquire_write()); }
    bool try_lock() { return take(written_, target_.try_acquire_write()); }
    template <class Rep, class Period>
    bool try_lock_for(const std::chrono::duration<Rep, Period>& time) {
        return take(written_, target_.try_acquire_write(detail::standard_timeout(time)));
    }
    template <class Clock, class Duration>
    bool try_lock_until(const std::chrono::time_point<Clock, Duration>& end) {
        return take(written_, target_.try_acquire_write(detail::standard_timeout(end)));
    }
    void unlock() noexcept { written_.release(); }
    /// @}

    /// @name To read
    /// @{
    void lock_shared() { read_.add(target_.acquire_read()); }
    bool try_lock_shared() { return take(read_, target_.try_acquire_read()); }
    template <class Rep, class Period>
    bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& time) {
        return take(read_, target_.try_acquire_read(detail::standard_timeout(time)));
    }
    template <class Clock, class Duration>
    bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& end) {
        return take(read_, target_.try_acquire_read(detail::standard_timeout(end)));
    }
    void unlock_shared() noexcept { read_.release(); }
    /// @}

    /// What this thread has locked, to write or else to read; empty for nothing. Until it unlocks.
    const lock_handle& handle() const {
        const lock_handle& writing = written_.mine();
        return writing ? writing : read_.mine();
    }
    /// The error of the last unlock that failed, of any thread, since this was last asked.
    std::optional<error> take_unlock_error() {
        auto failure = written_.take_failure();
        return failure ? failure : read_.take_failure();
    }

private:
    static bool take(detail::standard_holds& holds, std::optional<lock_handle> held) {
        if (!held) return false;
        holds.add(std::move(*held));
        return true;
    }

    reader_writer_lock target_;
    detail::standard_holds written_;
    detail::standard_holds read_;
};

}  // namespace v0
}  // namespace holdfast

#endif
