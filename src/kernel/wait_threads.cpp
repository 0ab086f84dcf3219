#include <core/fork.hpp>
#include <core/thread.hpp>
#include <kernel/wait_threads.hpp>

#include <chrono>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// How long a thread stays when it has nothing to do.
constexpr std::chrono::seconds idle_time{2};
/// It makes one system call and notifies one waiter.
constexpr std::size_t stack_size = 256 * 1024;

struct shared_threads {
    std::mutex mutex;
    std::weak_ptr<wait_threads> threads;
    unsigned generation = 0;
};

}  // namespace

std::shared_ptr<wait_threads> wait_threads::shared() {
    // Never destroyed: providers of static storage duration may outlive any order of destruction.
    static auto* const one = new shared_threads;
    const no_fork_here none;
    const std::lock_guard guard(one->mutex);
    auto found = one->threads.lock();
    if (found == nullptr || found->generation_ != fork_generation()) {
        found = std::make_shared<wait_threads>();
        one->threads = found;
    }
    return found;
}

wait_threads::wait_threads() : generation_(fork_generation()) {}

wait_threads::~wait_threads() {
    // In a forked child there are no such threads.
    if (generation_ != fork_generation()) return;
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return working_.empty(); });
    join_ended();
}

bool wait_threads::run(std::function<void()> wait) {
    const std::lock_guard guard(mutex_);
    join_ended();
    if (static_cast<std::size_t>(idle_) > waits_.size()) {
        waits_.push_back(std::move(wait));
        changed_.notify_one();
        return true;
    }
    if (working_.size() >= most) return false;
    waits_.push_back(std::move(wait));
    working_.push_back({this, {}, {}});
    const auto made = std::prev(working_.end());
    made->self = made;
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, stack_size);
    int status = 0;
    {
        const no_signals_here none;
        status = ::pthread_create(&made->thread, &attributes, &enter, &*made);
    }
    ::pthread_attr_destroy(&attributes);
    if (status == 0) {
        name_thread(made->thread, "holdfast-wait");
        return true;
    }
    working_.pop_back();
    waits_.pop_back();
    return false;
}

void* wait_threads::enter(void* self) {
    auto* const me = static_cast<worker*>(self);
    me->owner->work(me->self);
    return nullptr;
}

void wait_threads::work(std::list<worker>::iterator self) {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        const bool wanted =
            changed_.wait_for(lock, idle_time, [this] { return ending_ || !waits_.empty(); }) && !waits_.empty();
        --idle_;
        if (!wanted) break;
        const auto wait = std::move(waits_.front());
        waits_.pop_front();
        lock.unlock();
        wait();
        lock.lock();
    }
    ended_.splice(ended_.end(), working_, self);
    // Under the mutex: the destructor may go on as soon as it is free.
    changed_.notify_all();
}

/// The mutex is held; the threads need it no more.
void wait_threads::join_ended() {
    for (const worker& each : ended_) ::pthread_join(each.thread, nullptr);
    ended_.clear();
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
