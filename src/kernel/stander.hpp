// A helper thread that stands in flock for somebody who cannot.
#ifndef HOLDFAST_KERNEL_STANDER_HPP
#define HOLDFAST_KERNEL_STANDER_HPP

#include <core/fork.hpp>
#include <core/link.hpp>

#include <memory>
#include <mutex>

#include <pthread.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Blocks in flock(2) on a waiter's own open file, and wakes it once the lock is granted.

    For locks whose holder may unlock without an event that inotify knows (LOCK_UN without close). The open file is the
    waiter's own, so a waiter that is woken by other means takes the lock at once, without a hop to this thread: the
    kernel sees one owner.

    flock can only be interrupted by a signal, and signals are the user's; so the thread is ended by pthread_cancel,
    whose signal belongs to the C library.
*/
class HOLDFAST_API stander {
public:
    /// Null when the most helper threads that this process may have are standing already, or none can be started.
    static std::unique_ptr<stander> start(int descriptor, notifier& on_granted);

    stander(const stander&) = delete;
    stander& operator=(const stander&) = delete;
    /// Ends the thread. The lock may have been granted to the open file in the last moment: the caller unlocks it.
    ~stander();

    /// The waiter has what it wanted: no more notifications. The thread ends by itself, as the lock is ours.
    void disconnect() noexcept;

    /// How many helper threads this process may have at a time.
    static constexpr int most = 8;

private:
    stander(int descriptor, notifier& on_granted) noexcept;
    static void* run(void* self);

    const int descriptor_;
    const unsigned generation_;
    std::mutex mutex_;
    notifier* on_granted_;
    pthread_t thread_{};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
