// What a call under way and its style share.
#ifndef HOLDFAST_TEST_CONTRACT_CALL_STATE_HPP
#define HOLDFAST_TEST_CONTRACT_CALL_STATE_HPP

#include <contract/call_styles.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace holdfast::contract {

/// What results hold before a call, so that whatever the call forgets to clear is seen.
inline error_code poisoned_code() {
    return make_error_code(errc::protocol);
}
inline diagnostics poisoned_diagnostics() {
    return {"poison", "poison", 4711, "left over from before the call", held_state::unknown};
}

class pending::state {
public:
    virtual ~state() = default;

    virtual void cancel() = 0;
    virtual bool waits() const { return true; }

    /// Called once, from any thread.
    void finish(outcome how) {
        const std::lock_guard guard(mutex_);
        result_.emplace(std::move(how));
        ended_.notify_all();
    }
    bool done_within(std::chrono::milliseconds patience) {
        std::unique_lock guard(mutex_);
        return ended_.wait_for(guard, patience, [this] { return result_.has_value() || taken_; });
    }
    outcome take() {
        const std::lock_guard guard(mutex_);
        taken_ = true;
        outcome made = std::move(*result_);
        result_.reset();
        return made;
    }

private:
    std::mutex mutex_;
    std::condition_variable ended_;
    std::optional<outcome> result_;
    bool taken_ = false;
};

/// What any call that ended well must have left of the poison: nothing.
/// @param refused what a try that was refused leaves behind
void expect_cleared(const outcome& how, held_state refused = held_state::released);

std::unique_ptr<call_style> make_sync_style(bool throwing);
std::unique_ptr<call_style> make_callback_style();
std::unique_ptr<call_style> make_future_style();
std::unique_ptr<call_style> make_coroutine_style();
std::unique_ptr<call_style> make_deferred_style();

}  // namespace holdfast::contract

#endif
