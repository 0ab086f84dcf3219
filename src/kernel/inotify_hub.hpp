// The process's one inotify instance, shared by all who wait for files.
#ifndef HOLDFAST_KERNEL_INOTIFY_HUB_HPP
#define HOLDFAST_KERNEL_INOTIFY_HUB_HPP

#include <core/fork.hpp>
#include <core/parker.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Delivers file events. One instance a process, because a user has only 128 of them and each takes milliseconds to
   make.

    Its descriptor is read by whoever waits: one of the waiting callers leads (reads for all, on its own thread, which
    saves a hop), the others follow; for asynchronous waiters the executor reads too.

    Thread safety: safe.
*/
class HOLDFAST_API inotify_hub : public std::enable_shared_from_this<inotify_hub> {
public:
    class listener {
    public:
        /// Called with the hub's mutex held: must neither block nor call the hub. @param mask IN_* of inotify(7)
        virtual void on_file_event(std::uint32_t mask) noexcept = 0;

    protected:
        ~listener() = default;

    private:
        friend class inotify_hub;
        std::vector<int> watches_;
    };

    /// The process's hub; a new one after a fork. Throws `errc::unavailable` when the kernel gives no instance.
    static std::shared_ptr<inotify_hub> shared();

    explicit inotify_hub(int descriptor) noexcept : descriptor_(descriptor), generation_(fork_generation()) {}
    inotify_hub(const inotify_hub&) = delete;
    inotify_hub& operator=(const inotify_hub&) = delete;
    ~inotify_hub();

    /// Tells @p who about @p mask on the open file @p descriptor. @return 0 or an errno
    int add(int descriptor, std::uint32_t mask, listener& who);
    /// No call of @p who is running or will come after this.
    void remove(listener& who) noexcept;
    /// The same, leaving the kernel's part for `sweep`: for whoever has just got what it waited for, and is in a hurry.
    void retire(listener& who) noexcept;
    /// Removes what `retire` has left, and nobody else listens to; not yet where that is no more than @p most_left.
    void sweep(std::size_t most_left = 0) noexcept;

    /// Waits on the calling thread until it is roused or @p until, delivering events meanwhile if nobody else does; may
    /// return without a reason. Whoever has waited for the last time must `remove` its listener: others may have relied
    /// on it to deliver.
    void wait(parker& self, boottime::time_point until);

    /// Delivers events on @p executor for as long as the result lives.
    std::shared_ptr<void> deliver_on(const boost::asio::any_io_executor& executor);

private:
    class pump;
    struct subscription {
        listener* who;
        std::uint32_t mask;
    };

    void forget(listener& who) noexcept;
    void drain();
    void dispatch(int watch_descriptor, std::uint32_t mask);

    const int descriptor_;
    const unsigned generation_;
    std::mutex mutex_;
    std::unordered_map<int, std::vector<subscription>> watches_;
    /// Kernel watches that may be nobody's. Until they are swept the kernel merges their events into one.
    std::vector<int> retired_;
    parker* leader_ = nullptr;
    std::vector<parker*> followers_;
    std::map<const void*, std::weak_ptr<pump>> pumps_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
