// An observer that counts, and lets a test wait for what it was told.
#ifndef HOLDFAST_TEST_SUPPORT_NOTICES_HPP
#define HOLDFAST_TEST_SUPPORT_NOTICES_HPP

#include <holdfast/observer.hpp>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::test {

class notices final : public observer {
public:
    void waiting(std::string_view) noexcept override { count(waiting_); }
    void lost(std::string_view) noexcept override { count(lost_); }
    void released(std::string_view, error_code result) noexcept override {
        if (result) count(failed_releases_);
    }
    void notice(std::string_view, std::string_view text) noexcept override {
        const std::lock_guard guard(mutex_);
        texts_.emplace_back(text);
        changed_.notify_all();
    }

    /// Waits until @p wanted waits have begun since this was made. False when they have not in time.
    bool await_waiting(int wanted, std::chrono::milliseconds within = std::chrono::seconds(20)) {
        std::unique_lock guard(mutex_);
        return changed_.wait_for(guard, within, [this, wanted] { return waiting_ >= wanted; });
    }
    bool await_texts(std::size_t wanted, std::chrono::milliseconds within = std::chrono::seconds(20)) {
        std::unique_lock guard(mutex_);
        return changed_.wait_for(guard, within, [this, wanted] { return texts_.size() >= wanted; });
    }
    int waits() const { return read(waiting_); }
    int losses() const { return read(lost_); }
    int failed_releases() const { return read(failed_releases_); }
    std::vector<std::string> texts() const {
        const std::lock_guard guard(mutex_);
        return texts_;
    }

private:
    void count(int& what) noexcept {
        const std::lock_guard guard(mutex_);
        ++what;
        changed_.notify_all();
    }
    int read(const int& what) const {
        const std::lock_guard guard(mutex_);
        return what;
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    int waiting_ = 0;
    int lost_ = 0;
    int failed_releases_ = 0;
    std::vector<std::string> texts_;
};

}  // namespace holdfast::test

#endif
