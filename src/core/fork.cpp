#include <core/fork.hpp>
#include <core/hot.hpp>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <new>
#include <shared_mutex>

namespace holdfast {
inline namespace v0 {
namespace core {

/// All open lock descriptors of this process.
struct descriptor_list {
    std::shared_mutex forking;
    std::mutex mutex;
    forked_descriptor* first = nullptr;
    std::atomic<unsigned> generation{0};

    descriptor_list() { ::pthread_atfork(&before, &in_parent, &in_child); }

    static descriptor_list& instance() noexcept {
        // Never destroyed: handles of static storage duration may outlive any order of destruction.
        static auto* const list = new descriptor_list;
        return *list;
    }

    void insert(forked_descriptor& entry) noexcept {
        entry.previous_ = nullptr;
        entry.next_ = first;
        if (first != nullptr) first->previous_ = &entry;
        first = &entry;
    }
    void remove(forked_descriptor& entry) noexcept {
        (entry.previous_ == nullptr ? first : entry.previous_->next_) = entry.next_;
        if (entry.next_ != nullptr) entry.next_->previous_ = entry.previous_;
        entry.next_ = entry.previous_ = nullptr;
    }

    static void before() noexcept {
        instance().forking.lock();
        instance().mutex.lock();
    }
    static void in_parent() noexcept {
        instance().mutex.unlock();
        instance().forking.unlock();
    }
    static void in_child() noexcept {
        descriptor_list& self = instance();
        self.generation.fetch_add(1, std::memory_order_relaxed);
        for (forked_descriptor* entry = self.first; entry != nullptr;) {
            forked_descriptor* const following = entry->next_;
            ::close(entry->descriptor_);
            entry->descriptor_ = -1;
            entry->next_ = entry->previous_ = nullptr;
            entry = following;
        }
        self.first = nullptr;
        self.mutex.unlock();
        // Made anew and not unlocked: it was locked by a thread that has another number here.
        new (&self.forking) std::shared_mutex;
    }
};

no_fork_here::no_fork_here() noexcept {
    descriptor_list::instance().forking.lock_shared();
}

no_fork_here::~no_fork_here() {
    descriptor_list::instance().forking.unlock_shared();
}

HOLDFAST_HOT unsigned fork_generation() noexcept {
    return descriptor_list::instance().generation.load(std::memory_order_relaxed);
}

forked_descriptor::~forked_descriptor() {
    reset();
}

void forked_descriptor::reset(int descriptor) noexcept {
    int closing = -1;
    {
        descriptor_list& list = descriptor_list::instance();
        const std::lock_guard guard(list.mutex);
        if (descriptor_ >= 0) {
            list.remove(*this);
            closing = descriptor_;
        }
        descriptor_ = descriptor;
        if (descriptor_ >= 0) list.insert(*this);
    }
    // Outside the mutex: a close may block, and a fork must not wait for it. A child forked in between inherits the
    // descriptor, for a moment that ends with our close only in us; so unlocking is never left to the close alone.
    if (closing >= 0) ::close(closing);
}

void forked_descriptor::release() noexcept {
    descriptor_list& list = descriptor_list::instance();
    const std::lock_guard guard(list.mutex);
    if (descriptor_ >= 0) list.remove(*this);
    descriptor_ = -1;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
