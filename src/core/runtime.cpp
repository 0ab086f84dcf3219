#include <core/fork.hpp>
#include <core/runtime.hpp>
#include <core/thread.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <deque>
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

/// Runs callbacks one after another; its thread lives while there are any.
class lost_thread {
public:
    static lost_thread& instance() {
        // Never destroyed, so that a loss during the end of the program finds it whole.
        static auto* const made = new lost_thread;
        return *made;
    }

    void run(std::function<void()> callback) {
        // A child must not inherit the mutex locked.
        const no_fork_here no_fork;
        const std::lock_guard guard(mutex_);
        if (generation_ != fork_generation()) {
            generation_ = fork_generation();
            queue_.clear();
            running_ = false;
        }
        queue_.push_back(std::move(callback));
        if (running_) return;
        // It cannot end before it is detached, which winpthreads would not bear: its end takes the mutex.
        start_thread("holdfast-lost", [this] { work(); }).detach();
        running_ = true;
    }

private:
    void work() {
        is_library_thread = true;
        for (;;) {
            std::function<void()> next;
            {
                const no_fork_here no_fork;
                const std::lock_guard guard(mutex_);
                if (queue_.empty()) {
                    running_ = false;
                    return;
                }
                next = std::move(queue_.front());
                queue_.pop_front();
            }
            try {
                next();
            } catch (...) {
                // The user's callback is the user's; the others are still to be told.
            }
        }
    }

    std::mutex mutex_;
    std::deque<std::function<void()>> queue_;
    bool running_ = false;
    unsigned generation_ = fork_generation();
};

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

void run_on_lost_thread(std::function<void()> callback) {
    lost_thread::instance().run(std::move(callback));
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
