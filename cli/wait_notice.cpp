#include "wait_notice.hpp"

#include <core/thread.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

namespace holdfast::cli {

std::string holder_of(const provider& source, std::string_view mapped, std::optional<boottime::time_point> deadline) {
    using std::chrono::milliseconds;
    milliseconds limit = std::chrono::seconds(2);
    if (deadline) limit = std::min(limit, std::chrono::ceil<milliseconds>(*deadline - boottime::now()));
    if (limit <= milliseconds::zero()) return {};
    try {
        for (const lock_entry& each : source.list({std::string(mapped), limit})) {
            if (each.state == lock_entry::status::held) return each.holder;
        }
    } catch (const error&) {
        // It is only a hint, for which no acquisition fails.
    }
    return {};
}

wait_notice::wait_notice(const provider& source, std::string mapped, std::optional<boottime::time_point> deadline,
                         std::function<void(const std::string&)> tell)
    : source_(source), mapped_(std::move(mapped)), deadline_(deadline), tell_(std::move(tell)) {
    try {
        thread_ = core::start_thread("holdfast-holder", [this] { look(); });
    } catch (const std::system_error&) {
        // Out of threads: the wait goes on, and its holder stays unknown.
    }
}

wait_notice::~wait_notice() {
    drop();
    if (thread_.joinable()) thread_.join();
}

void wait_notice::end(bool granted) {
    drop();
    // Alone now.
    if (!told_ && !(granted && boottime::now() - begin_ < patience)) tell_({});
}

void wait_notice::drop() noexcept {
    {
        const std::lock_guard guard(mutex_);
        over_ = true;
    }
    ended_.notify_all();
}

void wait_notice::look() noexcept {
    try {
        {
            std::unique_lock lock(mutex_);
            if (ended_.wait_for(lock, patience, [this] { return over_; })) return;
        }
        const std::string holder = holder_of(source_, mapped_, deadline_);
        const std::lock_guard guard(mutex_);
        if (over_) return;
        told_ = true;
        tell_(holder);
    } catch (const std::exception&) {
        // Without memory nothing is told.
    }
}

}  // namespace holdfast::cli
