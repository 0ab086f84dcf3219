#include <core/fork.hpp>
#include <core/thread.hpp>
#include <kernel/stander.hpp>

#include <atomic>
#include <cerrno>

#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// How many threads stand in this process; those of its parent do not count.
struct count {
    std::atomic<int> standing{0};
    std::atomic<unsigned> generation{0};
} counted;

}  // namespace

std::unique_ptr<stander> stander::start(int descriptor, notifier& on_granted) {
    if (counted.generation.exchange(fork_generation(), std::memory_order_relaxed) != fork_generation()) {
        counted.standing.store(0, std::memory_order_relaxed);
    }
    if (counted.standing.fetch_add(1, std::memory_order_relaxed) >= most) {
        counted.standing.fetch_sub(1, std::memory_order_relaxed);
        return nullptr;
    }
    std::unique_ptr<stander> made(new stander(descriptor, on_granted));
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    // It calls one system call and one notifier.
    ::pthread_attr_setstacksize(&attributes, 128 * 1024);
    int status = 0;
    {
        const no_signals_here none;
        status = ::pthread_create(&made->thread_, &attributes, &run, made.get());
    }
    ::pthread_attr_destroy(&attributes);
    if (status != 0) {
        made->thread_ = {};
        return nullptr;
    }
    name_thread(made->thread_, "holdfast-flock");
    return made;
}

stander::stander(int descriptor, notifier& on_granted) noexcept
    : descriptor_(descriptor), generation_(fork_generation()), on_granted_(&on_granted) {}

stander::~stander() {
    // In a forked child there is no such thread.
    if (generation_ != fork_generation()) return;
    if (thread_ != pthread_t{}) {
        ::pthread_cancel(thread_);
        ::pthread_join(thread_, nullptr);
    }
    counted.standing.fetch_sub(1, std::memory_order_relaxed);
}

void stander::disconnect() noexcept {
    const std::lock_guard guard(mutex_);
    on_granted_ = nullptr;
}

// Cancelled in the system call or not at all: elsewhere it could die in the middle of the notifier's work. No object
// with a destructor lives in this frame meanwhile, since cancellation unwinds it. AddressSanitizer does not see such an
// unwinding, and would keep its marks of this frame on a stack that is used again.
__attribute__((no_sanitize_address)) void* stander::run(void* self) {
    auto* const me = static_cast<stander*>(self);
    int ignored = 0;
    long status = 0;
    ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &ignored);
    do {
        status = ::syscall(SYS_flock, me->descriptor_, LOCK_EX);
    } while (status != 0 && errno == EINTR);
    ::pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &ignored);
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
    // Also after an error: the waiter's next try meets it too, and reports it.
    const std::lock_guard guard(me->mutex_);
    if (me->on_granted_ != nullptr) me->on_granted_->notify(signal_wake);
    return nullptr;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
