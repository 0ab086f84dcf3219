#include <contract/call_state.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast::contract {
namespace {

constexpr std::chrono::seconds longest_call{60};

/// A thread that hangs can be neither ended nor left alone.
[[noreturn]] void report_hang(const char* what) {
    std::fprintf(stderr, "%s has not ended within %lld s: giving up\n", what,
                 static_cast<long long>(longest_call.count()));
    std::abort();
}

}  // namespace

std::string name_of(style how) {
    switch (how) {
        case style::sync_throw: return "sync_throw";
        case style::sync_code: return "sync_code";
        case style::callback: return "callback";
        case style::future: return "future";
        case style::coroutine: return "coroutine";
        case style::deferred: return "deferred";
    }
    return {};
}

std::string target::name() const {
    return std::visit(
        [](const auto& each) -> std::string {
            if constexpr (requires { each.name(); }) {
                return std::string(each.name());
            } else {
                return std::string(each.front().name());
            }
        },
        object);
}

std::string target::mapped_name() const {
    return std::visit(
        [](const auto& each) -> std::string {
            if constexpr (requires { each.mapped_name(); }) {
                return std::string(each.mapped_name());
            } else {
                return std::string(each.front().mapped_name());
            }
        },
        object);
}

held::operator bool() const {
    const auto* const several = composite();
    return several != nullptr ? static_cast<bool>(*several) : static_cast<bool>(plain());
}

held_state held::state() const {
    const auto* const several = composite();
    return several != nullptr ? several->state() : plain().state();
}

std::stop_token held::lost_token() const {
    const auto* const several = composite();
    return several != nullptr ? several->lost_token() : plain().lost_token();
}

boottime::time_point held::valid_until() const {
    return plain().valid_until();
}

const lock_handle& held::plain() const {
    if (const auto* const one = std::get_if<lock_handle>(&handle_)) return *one;
    if (const auto* const one = std::get_if<upgradeable_lock_handle>(&handle_)) return *one;
    return none_;
}

lock_handle& held::plain() {
    if (auto* const one = std::get_if<lock_handle>(&handle_)) return *one;
    if (auto* const one = std::get_if<upgradeable_lock_handle>(&handle_)) return *one;
    return none_;
}

pending& pending::operator=(pending&& other) noexcept {
    if (this != &other) {
        const pending ending(std::move(*this));
        state_ = std::move(other.state_);
    }
    return *this;
}

pending::~pending() {
    if (state_ == nullptr || done()) return;
    state_->cancel();
    if (!state_->done_within(longest_call)) report_hang("a cancelled call");
}

bool pending::done() const {
    return state_->done_within(std::chrono::milliseconds::zero());
}

bool pending::done_within(std::chrono::milliseconds patience) const {
    return state_->done_within(patience);
}

bool pending::waits() const {
    return state_->waits();
}

void pending::cancel() {
    state_->cancel();
}

outcome pending::get() {
    if (!state_->done_within(longest_call)) report_hang("a call");
    return state_->take();
}

std::unique_ptr<call_style> make_call_style(style how) {
    switch (how) {
        case style::sync_throw: return make_sync_style(true);
        case style::sync_code: return make_sync_style(false);
        case style::callback: return make_callback_style();
        case style::future: return make_future_style();
        case style::coroutine: return make_coroutine_style();
        case style::deferred: return make_deferred_style();
    }
    return nullptr;
}

void expect_cleared(const outcome& how, held_state refused) {
    if (how.code) return;
    // A try that got nothing may say which lock it was.
    const diagnostics poison = poisoned_diagnostics();
    if (how.granted()) {
        EXPECT_EQ(how.diag.lock_name, "");
    }
    EXPECT_NE(how.diag.backend, poison.backend);
    EXPECT_NE(how.diag.lock_name, poison.lock_name);
    EXPECT_EQ(how.diag.native_code, 0);
    EXPECT_EQ(how.diag.message, "");
    EXPECT_EQ(how.diag.state, how.granted() || how.upgraded ? held_state::released : refused);
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= until) return condition();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace holdfast::contract
