// One signature for every way of calling the library, so that each test is written once and run in all of them.
#ifndef HOLDFAST_TEST_CONTRACT_CALL_STYLES_HPP
#define HOLDFAST_TEST_CONTRACT_CALL_STYLES_HPP

#include <holdfast/acquire_all.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/reader_writer_lock.hpp>
#include <holdfast/semaphore.hpp>
#include <holdfast/upgradeable_reader_writer_lock.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::contract {

enum class style { sync_throw, sync_code, callback, future, coroutine, deferred };
inline constexpr std::array all_styles{style::sync_throw, style::sync_code, style::callback,
                                       style::future,     style::coroutine, style::deferred};
std::string name_of(style how);
constexpr bool is_sync(style how) {
    return how == style::sync_throw || how == style::sync_code;
}

using detail::access;

/// Something to acquire: a lock object, and in which way.
struct target {
    /// Requests say themselves in which way: for them the mode means nothing.
    std::variant<lock, reader_writer_lock, upgradeable_reader_writer_lock, semaphore, std::vector<lock_request>> object;
    access mode = access::exclusive;

    std::string name() const;
    std::string mapped_name() const;
};

/// Something acquired, of whichever type.
class held {
public:
    held() = default;
    // Whatever handle an acquire gives, it is one of these.
    template <class Handle>
    explicit held(Handle handle) : handle_(std::move(handle)) {}
    held(held&&) = default;
    held& operator=(held&&) = default;

    explicit operator bool() const;
    held_state state() const;
    std::stop_token lost_token() const;
    boottime::time_point valid_until() const;
    /// Releases by its destructor.
    void drop() { handle_ = std::monostate(); }

    /// The handle itself; an empty one where nothing, or several locks, are held.
    lock_handle& plain();
    const lock_handle& plain() const;
    upgradeable_lock_handle& upgradeable() { return std::get<upgradeable_lock_handle>(handle_); }
    composite_handle* composite() { return std::get_if<composite_handle>(&handle_); }
    const composite_handle* composite() const { return std::get_if<composite_handle>(&handle_); }

private:
    std::variant<std::monostate, lock_handle, upgradeable_lock_handle, composite_handle> handle_;
    lock_handle none_;
};

/// How a call ended.
struct outcome {
    error_code code;
    /// Cleared by the call, or what it said; styles that have none leave it empty.
    diagnostics diag;
    /// What was acquired; empty after an error, and where a try got nothing.
    held handle;
    /// What try_upgrade told.
    bool upgraded = false;
    /// What count gave.
    int count = 0;

    bool granted() const { return !code && handle; }
    /// A try that found the lock taken.
    bool nothing() const { return !code && !handle; }
};

enum class verb { acquire, try_acquire, release, upgrade, try_upgrade, wait_lost, count };

struct request {
    verb what;
    /// acquire, try_acquire, count
    const target* on = nullptr;
    /// release, upgrade, try_upgrade, wait_lost: must outlive the call
    held* handle = nullptr;
    timeout limit = timeout::zero();
    /// Blocking styles only: the stop token is stopped before the call.
    bool stopped_before = false;
};

/// A call under way. Destroying it cancels it and waits for its end.
class pending {
public:
    class state;
    explicit pending(std::shared_ptr<state> shared) : state_(std::move(shared)) {}
    pending(pending&&) noexcept = default;
    pending& operator=(pending&& other) noexcept;
    ~pending();

    bool done() const;
    bool done_within(std::chrono::milliseconds patience) const;
    /// True once the call has asked and waits: it has its place in the queue.
    bool waits() const;
    void cancel();
    /// Waits for the end; a call that never ends, ends the program.
    outcome get();

private:
    std::shared_ptr<state> state_;
};

class call_style {
public:
    call_style() = default;
    call_style(const call_style&) = delete;
    call_style& operator=(const call_style&) = delete;
    virtual ~call_style() = default;

    /// Begins a call; blocking styles do it on a thread of its own.
    virtual pending start(const request& what) = 0;
    /// The call as a whole; blocking styles make it on the calling thread.
    virtual outcome run(const request& what) { return start(what).get(); }
};

std::unique_ptr<call_style> make_call_style(style how);

/// Waits until @p condition holds, looking again and again.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience = std::chrono::seconds(20));

}  // namespace holdfast::contract

#endif
