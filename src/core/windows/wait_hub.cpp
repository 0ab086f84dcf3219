#include <core/thread.hpp>
#include <core/windows/wait_hub.hpp>

#include <algorithm>
#include <array>
#include <exception>

namespace holdfast {
inline namespace v0 {
namespace core {

wait_hub::~wait_hub() {
    {
        const std::lock_guard guard(mutex_);
        ending_ = true;
        for (const worker& each : workers_) ::SetEvent(each.changed);
    }
    for (worker& each : workers_) {
        each.thread.join();
        ::CloseHandle(each.changed);
    }
}

bool wait_hub::begin(wait& what, HANDLE object, notifier& on_end) {
    const std::lock_guard guard(mutex_);
    worker* const who = free_worker();
    if (who == nullptr) return false;
    who->waits.push_back(&what);
    what.object_ = object;
    what.on_end_ = &on_end;
    what.taken_ = what.leaving_ = false;
    what.under_way_ = true;
    ::SetEvent(who->changed);
    return true;
}

bool wait_hub::waits(const wait& what) const {
    const std::lock_guard guard(mutex_);
    return what.under_way_;
}

void wait_hub::end(wait& what) noexcept {
    std::unique_lock lock(mutex_);
    if (!what.under_way_) return;
    what.leaving_ = true;
    for (const worker& each : workers_) {
        if (std::find(each.waits.begin(), each.waits.end(), &what) != each.waits.end()) ::SetEvent(each.changed);
    }
    // Its thread may be taking the object in this moment, and it alone knows.
    left_.wait(lock, [&what] { return !what.under_way_; });
}

/// The mutex is held. Null when there can be no more.
wait_hub::worker* wait_hub::free_worker() {
    for (worker& each : workers_) {
        if (each.waits.size() < most_a_thread) return &each;
    }
    if (workers_.size() >= most_threads) return nullptr;
    workers_.emplace_back();
    worker& made = workers_.back();
    try {
        made.waits.reserve(most_a_thread);
        made.changed = ::CreateEventW(nullptr, FALSE, FALSE, nullptr);
        if (made.changed != nullptr) {
            made.thread = start_thread("holdfast-wait", [this, &made] { work(made); });
            return &made;
        }
    } catch (const std::exception&) {
        // No thread or no memory to be had.
        if (made.changed != nullptr) ::CloseHandle(made.changed);
    }
    workers_.pop_back();
    return nullptr;
}

void wait_hub::work(worker& me) noexcept {
    std::array<HANDLE, MAXIMUM_WAIT_OBJECTS> objects{};
    std::unique_lock lock(mutex_);
    while (!ending_) {
        const std::size_t count = me.waits.size();
        for (std::size_t i = 0; i < count; ++i) objects[i] = me.waits[i]->object_;
        // Last: where several are set, the first one counts, and an object that is set is not to wait for changes.
        objects[count] = me.changed;
        lock.unlock();
        const DWORD ended = ::WaitForMultipleObjects(static_cast<DWORD>(count) + 1, objects.data(), FALSE, INFINITE);
        lock.lock();
        // Only this thread takes waits out, so the first `count` are still those that it waited for.
        if (ended < count) {
            wait& what = *me.waits[ended];
            what.taken_ = true;
            finish(me, what);
        } else if (ended == WAIT_FAILED) {
            // One of the objects is none. Each waiter finds out for itself, by its next try.
            while (!me.waits.empty()) finish(me, *me.waits.back());
            // Unless it is the event of our own, which leaves nothing but to go on.
            ::WaitForSingleObject(me.changed, 1);
        }
        for (std::size_t i = me.waits.size(); i-- > 0;) {
            if (me.waits[i]->leaving_) finish(me, *me.waits[i]);
        }
    }
}

void wait_hub::finish(worker& me, wait& what) noexcept {
    std::erase(me.waits, &what);
    what.under_way_ = false;
    if (what.leaving_) {
        left_.notify_all();
    } else {
        // Under the mutex: the waiter may be gone as soon as it is free.
        what.on_end_->notify(signal_wake);
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
