// What the asynchronous styles have in common: a thread for handlers, and one place where a call is made.
#ifndef HOLDFAST_TEST_CONTRACT_ASYNC_STYLE_HPP
#define HOLDFAST_TEST_CONTRACT_ASYNC_STYLE_HPP

#include <contract/call_state.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <utility>

namespace holdfast::contract {

namespace asio = boost::asio;

/// The user's thread, on which all handlers run and all cancelling is done.
class user_thread {
public:
    user_thread();
    ~user_thread();
    asio::io_context::executor_type executor() { return context_.get_executor(); }
    /// Returns when everything posted before has run.
    void catch_up();

private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::thread thread_;
};

class async_state : public pending::state, public std::enable_shared_from_this<async_state> {
public:
    async_state(asio::io_context::executor_type executor, asio::cancellation_type type)
        : executor_(std::move(executor)), type_(type) {}

    void cancel() override;
    asio::cancellation_slot slot() { return signal_.slot(); }
    asio::io_context::executor_type executor() const { return executor_; }

    /// The end of a call, whatever it gives.
    void ended(error_code code) { report({.code = code}); }
    template <class Handle>
    void ended(error_code code, Handle handle) {
        report({.code = code, .handle = held(std::move(handle))});
    }
    template <class Handle>
    void ended(error_code code, std::optional<Handle> handle) {
        report({.code = code, .handle = handle ? held(std::move(*handle)) : held()});
    }
    void ended(error_code code, bool upgraded) { report({.code = code, .upgraded = upgraded}); }
    void ended(error_code code, int count) { report({.code = code, .count = count}); }

    diagnostics diag = poisoned_diagnostics();
    /// Releases and the like take no diagnostics.
    bool takes_diagnostics = true;
    /// What a try that was refused leaves behind.
    held_state refused = held_state::released;

private:
    void report(outcome how);

    asio::io_context::executor_type executor_;
    asio::cancellation_type type_;
    asio::cancellation_signal signal_;
};

template <class Token>
auto async_acquire_plain(const target& on, timeout limit, diagnostics& diag, Token token) {
    if (const auto* one = std::get_if<lock>(&on.object)) return one->async_acquire(limit, diag, std::move(token));
    if (const auto* one = std::get_if<semaphore>(&on.object)) return one->async_acquire(limit, diag, std::move(token));
    if (const auto* one = std::get_if<reader_writer_lock>(&on.object)) {
        if (on.mode == access::shared) return one->async_acquire_read(limit, diag, std::move(token));
        return one->async_acquire_write(limit, diag, std::move(token));
    }
    const auto& one = std::get<upgradeable_reader_writer_lock>(on.object);
    if (on.mode == access::shared) return one.async_acquire_read(limit, diag, std::move(token));
    return one.async_acquire_write(limit, diag, std::move(token));
}

template <class Token>
auto async_try_acquire_plain(const target& on, timeout limit, diagnostics& diag, Token token) {
    if (const auto* one = std::get_if<lock>(&on.object)) return one->async_try_acquire(limit, diag, std::move(token));
    if (const auto* one = std::get_if<semaphore>(&on.object)) {
        return one->async_try_acquire(limit, diag, std::move(token));
    }
    if (const auto* one = std::get_if<reader_writer_lock>(&on.object)) {
        if (on.mode == access::shared) return one->async_try_acquire_read(limit, diag, std::move(token));
        return one->async_try_acquire_write(limit, diag, std::move(token));
    }
    const auto& one = std::get<upgradeable_reader_writer_lock>(on.object);
    if (on.mode == access::shared) return one.async_try_acquire_read(limit, diag, std::move(token));
    return one.async_try_acquire_write(limit, diag, std::move(token));
}

/** A style from its launcher: `Launcher::launch<Result>(state, initiate)`, where `initiate(token)` makes the call and
    `Result` is what it gives besides an error code, or void.
*/
template <class Launcher>
class async_style final : public call_style {
public:
    explicit async_style(asio::cancellation_type type) : type_(type) {}

    pending start(const request& what) override {
        auto state = std::make_shared<async_state>(thread_.executor(), type_);
        const timeout limit = what.limit;
        switch (what.what) {
            case verb::acquire:
            case verb::try_acquire: start_acquire(state, *what.on, limit, what.what == verb::acquire); break;
            case verb::release:
                if (auto* const all = what.handle->composite()) {
                    Launcher::template launch<void>(state, [all, diag = &state->diag](auto token) {
                        return all->async_release(*diag, std::move(token));
                    });
                    break;
                }
                state->takes_diagnostics = false;
                Launcher::template launch<void>(state, [handle = &what.handle->plain()](auto token) {
                    return handle->async_release(std::move(token));
                });
                break;
            case verb::try_upgrade:
                state->refused = held_state::held;
                Launcher::template launch<bool>(
                    state, [handle = &what.handle->upgradeable(), limit, diag = &state->diag](auto token) {
                        return handle->async_try_upgrade(limit, *diag, std::move(token));
                    });
                break;
            case verb::count:
                Launcher::template launch<int>(
                    state, [on = std::get<semaphore>(what.on->object), diag = &state->diag](auto token) {
                        return on.async_current_count(*diag, std::move(token));
                    });
                break;
            case verb::upgrade:
                state->takes_diagnostics = false;
                Launcher::template launch<void>(state, [handle = &what.handle->upgradeable(), limit](auto token) {
                    return handle->async_upgrade(limit, std::move(token));
                });
                break;
            case verb::wait_lost:
                state->takes_diagnostics = false;
                if (const auto* const several = what.handle->composite()) {
                    Launcher::template launch<void>(
                        state, [several](auto token) { return several->async_wait_lost(std::move(token)); });
                    break;
                }
                Launcher::template launch<void>(state, [handle = &what.handle->plain()](auto token) {
                    return handle->async_wait_lost(std::move(token));
                });
                break;
        }
        // A coroutine begins on that thread.
        thread_.catch_up();
        return pending(std::move(state));
    }

private:
    static void start_acquire(const std::shared_ptr<async_state>& state, const target& on, timeout limit, bool must) {
        diagnostics* const diag = &state->diag;
        if (const auto* const all = std::get_if<std::vector<lock_request>>(&on.object)) {
            if (must) {
                Launcher::template launch<composite_handle>(state, [all = *all, limit, diag](auto token) {
                    return async_acquire_all(all, limit, *diag, std::move(token));
                });
            } else {
                Launcher::template launch<std::optional<composite_handle>>(
                    state, [all = *all, limit, diag](auto token) {
                        return async_try_acquire_all(all, limit, *diag, std::move(token));
                    });
            }
            return;
        }
        if (on.mode != access::upgradeable && must) {
            Launcher::template launch<lock_handle>(state, [on, limit, diag](auto token) {
                return async_acquire_plain(on, limit, *diag, std::move(token));
            });
        } else if (on.mode != access::upgradeable) {
            Launcher::template launch<std::optional<lock_handle>>(state, [on, limit, diag](auto token) {
                return async_try_acquire_plain(on, limit, *diag, std::move(token));
            });
        } else if (must) {
            Launcher::template launch<upgradeable_lock_handle>(state, [on, limit, diag](auto token) {
                return std::get<upgradeable_reader_writer_lock>(on.object).async_acquire_upgradeable_read(
                    limit, *diag, std::move(token));
            });
        } else {
            Launcher::template launch<std::optional<upgradeable_lock_handle>>(state, [on, limit, diag](auto token) {
                return std::get<upgradeable_reader_writer_lock>(on.object).async_try_acquire_upgradeable_read(
                    limit, *diag, std::move(token));
            });
        }
    }

    const asio::cancellation_type type_;
    user_thread thread_;
};

/// A handler that reports to @p state, on the user's thread.
inline auto reporting_handler(const std::shared_ptr<async_state>& state) {
    return asio::bind_executor(state->executor(),
                               asio::bind_cancellation_slot(state->slot(), [state](error_code code, auto&&... result) {
                                   state->ended(code, std::forward<decltype(result)>(result)...);
                               }));
}

}  // namespace holdfast::contract

#endif
