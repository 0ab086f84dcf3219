// Threads that wait for kernel objects, many each, for those who cannot wait themselves.
#ifndef HOLDFAST_CORE_WINDOWS_WAIT_HUB_HPP
#define HOLDFAST_CORE_WINDOWS_WAIT_HUB_HPP

#include <core/link.hpp>

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Waits for objects in such a way that no signal is lost.

    A wait for an auto-reset event takes it. Whoever ends such a wait has to know, then, whether it had taken the event
    already; and the ways to register a wait with Windows (RegisterWaitForSingleObject, thread pool waits, and Asio's
    object_handle upon them) do not tell. So these threads stand in WaitForMultipleObjects themselves, and it is they
    who take a wait out of their list, between two of those calls.

    Thread safety: safe.
*/
class HOLDFAST_API wait_hub {
public:
    /// The wait of one waiter. Not to be destroyed while it is under way.
    class wait {
    public:
        /// @pre not under way
        bool taken() const noexcept { return taken_; }

    private:
        friend class wait_hub;

        HANDLE object_ = nullptr;
        notifier* on_end_ = nullptr;
        bool under_way_ = false;
        bool leaving_ = false;
        bool taken_ = false;
    };

    /// How many waits one thread has, beside the event that tells it of changes.
    static constexpr std::size_t most_a_thread = MAXIMUM_WAIT_OBJECTS - 1;
    static constexpr std::size_t most_threads = 16;

    wait_hub() = default;
    wait_hub(const wait_hub&) = delete;
    wait_hub& operator=(const wait_hub&) = delete;
    /// @pre no wait is under way
    ~wait_hub();

    /// Waits for @p object; when it is taken, or cannot be waited for, @p on_end is told of `signal_wake`. False when
    /// there are too many waits.
    bool begin(wait& what, HANDLE object, notifier& on_end);
    /// True while the wait is under way.
    bool waits(const wait& what) const;
    /// Ends it; afterwards `taken` says how.
    void end(wait& what) noexcept;

private:
    struct worker {
        std::thread thread;
        /// Auto-reset.
        HANDLE changed = nullptr;
        std::vector<wait*> waits;
    };

    worker* free_worker();
    void work(worker& me) noexcept;
    /// The mutex is held.
    void finish(worker& me, wait& what) noexcept;

    mutable std::mutex mutex_;
    std::condition_variable left_;
    std::list<worker> workers_;
    bool ending_ = false;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
