#include <core/fork.hpp>
#include <core/runtime.hpp>
#include <core/thread.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

thread_local bool is_library_thread = false;

class io_runtime final : public runtime {
public:
    io_runtime() : context_(std::make_shared<boost::asio::io_context>(1)), work_(context_->get_executor()) {
        thread_ = start_thread("holdfast-io", [context = context_] {
            is_library_thread = true;
            run_all([&context] { context->run(); });
            // Stopped: those who were told the end of an operation by then are still to hear it, though nobody else
            // needs this thread any more.
            context->restart();
            run_all([&context] { context->poll(); });
        });
    }

    ~io_runtime() override {
        if (generation_ != fork_generation()) {
            // The thread did not survive the fork, and the context may have been locked by it: never touch it again.
            thread_.detach();
            (void)new std::shared_ptr<boost::asio::io_context>(context_);
            return;
        }
        work_.reset();
        context_->stop();
        if (thread_.get_id() == std::this_thread::get_id()) {
            thread_.detach();
        } else {
            thread_.join();
        }
    }

    boost::asio::any_io_executor executor() noexcept override { return context_->get_executor(); }

private:
    /// A handler's exception is its owner's fault and must not end the others' I/O.
    template <class Run>
    static void run_all(Run run) {
        for (;;) {
            try {
                run();
                return;
            } catch (...) {
            }
        }
    }

    const unsigned generation_ = fork_generation();
    std::shared_ptr<boost::asio::io_context> context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::thread thread_;
};

}  // namespace

/// Stops one source after another. Its thread lives as long as there are any to be stopped, now or later.
class lost_thread {
public:
    /// The one of this process.
    static lost_thread& instance() {
        // Never destroyed, so that a loss during the end of the program finds it whole. A forked child has one of its
        // own, since it may have inherited the mutex locked.
        static std::atomic<lost_thread*> current{nullptr};
        lost_thread* found = current.load(std::memory_order_acquire);
        while (found == nullptr || found->generation_ != fork_generation()) {
            auto made = std::make_unique<lost_thread>(found);
            if (current.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel)) found = made.release();
        }
        return *found;
    }

    explicit lost_thread(const lost_thread* inherited) noexcept : inherited_(inherited) {}

    void join() {
        const std::lock_guard guard(mutex_);
        if (!running_) {
            // It cannot end before it is detached, which winpthreads would not bear: its end takes the mutex.
            start_thread("holdfast-lost", [this] { work(); }).detach();
            running_ = true;
        }
        ++users_;
    }
    void leave() noexcept {
        const std::lock_guard guard(mutex_);
        if (--users_ == 0) changed_.notify_one();
    }
    void stop(std::list<std::stop_source>& source) noexcept {
        const std::lock_guard guard(mutex_);
        queue_.splice(queue_.end(), source);
        changed_.notify_one();
    }

private:
    void work() noexcept {
        is_library_thread = true;
        for (;;) {
            std::list<std::stop_source> next;
            {
                std::unique_lock guard(mutex_);
                changed_.wait(guard, [this] { return !queue_.empty() || users_ == 0; });
                if (queue_.empty()) {
                    running_ = false;
                    return;
                }
                next.splice(next.end(), queue_, queue_.begin());
            }
            next.front().request_stop();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<std::stop_source> queue_;
    std::size_t users_ = 0;
    bool running_ = false;
    const unsigned generation_ = fork_generation();
    /// The parent's; so that what it has left behind is not taken for lost memory.
    [[maybe_unused]] const lost_thread* const inherited_;
};

lost_announcement::lost_announcement()
    : thread_(lost_thread::instance()), source_(1), token_(source_.front().get_token()) {
    thread_.join();
}

lost_announcement::~lost_announcement() {
    thread_.leave();
}

void lost_announcement::stop() noexcept {
    if (!source_.empty()) thread_.stop(source_);
}

namespace {

struct shared_slot {
    std::mutex mutex;
    std::weak_ptr<runtime> current;
    unsigned generation = 0;
};

}  // namespace

std::shared_ptr<runtime> runtime::shared() {
    static auto* const slot = new shared_slot;
    // A child must not inherit the mutex locked.
    const no_fork_here no_fork;
    const std::lock_guard guard(slot->mutex);
    auto found = slot->current.lock();
    if (found == nullptr || slot->generation != fork_generation()) {
        found = std::make_shared<io_runtime>();
        slot->current = found;
        slot->generation = fork_generation();
    }
    return found;
}

boost::asio::any_io_executor runtime::lasting_executor() {
    struct slot {
        std::mutex mutex;
        std::shared_ptr<runtime> kept;
        unsigned generation = 0;
    };
    static auto* const lasting = new slot;
    const no_fork_here no_fork;
    const std::lock_guard guard(lasting->mutex);
    if (lasting->kept == nullptr || lasting->generation != fork_generation()) {
        // The parent's ends as every runtime does in a child: its threads are not there.
        lasting->kept = shared();
        lasting->generation = fork_generation();
    }
    return lasting->kept->executor();
}

bool runtime::on_library_thread() noexcept {
    return is_library_thread;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
