// Helper threads for system calls that block.
#ifndef HOLDFAST_KERNEL_WAIT_THREADS_HPP
#define HOLDFAST_KERNEL_WAIT_THREADS_HPP

#include <holdfast/config.hpp>

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

#include <pthread.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/** A bounded number of threads, each for one wait at a time, kept for a while for the next one.

    All are named "holdfast-wait" and block every signal.

    Thread safety: safe.
*/
class HOLDFAST_API wait_threads {
public:
    /// How many waits there can be at a time.
    static constexpr int most = 64;

    /// Those of this process; in a forked child new ones.
    static std::shared_ptr<wait_threads> shared();

    wait_threads();
    wait_threads(const wait_threads&) = delete;
    wait_threads& operator=(const wait_threads&) = delete;
    /// @pre all waits have ended
    ~wait_threads();

    /// Runs @p wait on one of the threads. False when all are busy and there can be no more.
    bool run(std::function<void()> wait);

private:
    struct worker {
        wait_threads* owner = nullptr;
        pthread_t thread{};
        std::list<worker>::iterator self;
    };

    static void* enter(void* self);
    void work(std::list<worker>::iterator self);
    void join_ended();

    const unsigned generation_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<std::function<void()>> waits_;
    std::list<worker> working_;
    std::list<worker> ended_;
    int idle_ = 0;
    bool ending_ = false;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
