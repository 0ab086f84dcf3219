// Holdfast: holding a lock is owning one of these.
#ifndef HOLDFAST_LOCK_HANDLE_HPP
#define HOLDFAST_LOCK_HANDLE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/completion.hpp>
#include <holdfast/detail/result_adapter.hpp>
#include <holdfast/error.hpp>
#include <holdfast/fencing_token.hpp>
#include <holdfast/timeout.hpp>

#include <boost/asio/async_result.hpp>

#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
class hold;
}  // namespace core

class composite_handle;

/** @brief A held lock, read lock, write lock or semaphore ticket.

    Move-only; a default-made, moved-from or released handle is empty. Destroying it releases the lock.

    @par Thread safety
    Distinct objects: safe. Shared objects: `state`, `valid_until`, `lost_token`, `fencing_token` and `name` may be
    called together with each other; everything else needs the caller's own synchronisation. A handle may be released
    from any thread and in any style, whichever acquired it.

    @par Fork
    In a process forked since the acquisition every call gives `errc::invalid_state`, destruction only closes what was
    inherited, and the parent's lock is not touched.
*/
class HOLDFAST_API lock_handle {
public:
    lock_handle() noexcept;
    lock_handle(lock_handle&& other) noexcept = default;
    lock_handle& operator=(lock_handle&& other) noexcept;
    lock_handle(const lock_handle&) = delete;
    lock_handle& operator=(const lock_handle&) = delete;

    /** @brief Releases the lock, if it is still held.

        Bounded by the provider's `release_timeout`. On one of the library's own threads it does not wait: the release
        then goes on by itself (await @ref async_release to know its end). Errors go to the observer.

        The last handle that is left of the last provider also ends the library's own I/O thread, and waits for what
        runs there: handlers that have no executor of their own.
    */
    ~lock_handle() {
        // Handlers move handles about a lot, and most that are destroyed are empty.
        if (hold_ != nullptr) let_go();
    }

    /// True unless empty. Says nothing about loss; see @ref state.
    explicit operator bool() const noexcept { return hold_ != nullptr; }

    /// The lock's name as the user gave it; empty for an empty handle.
    std::string_view name() const noexcept;

    /** @brief Whether the lock is still ours: the check before a dangerous step.

        Reads the clock for leases, looks at the connection for sessions and at the file for files; no round trip.
        `held` from a file or a session means "nothing seen to the contrary".
    */
    held_state state() const noexcept;

    /** @brief Until when the backend will surely not give the lock to anybody else.

        Grows with every renewal of a lease. `boottime::time_point::max()` where there is no such end.
    */
    boottime::time_point valid_until() const noexcept;

    /** @brief A token that is stopped when the lock is, or may be, no longer ours.

        Never stopped by a release. Asking for it arms the detection (locks that nobody asks pay nothing), and a loss
        that happened before is noticed then. Callbacks run on a library thread named "holdfast-lost"; they must not
        throw (a `std::stop_callback` that throws ends the program; @ref async_wait_lost has no such limit).

        @par Errors
        Throws @ref error with `errc::invalid_state` for an empty handle or after a fork; with `errc::unavailable` where
        there is no thread or descriptor left to notice a loss with. A token that was given needs nothing more.
    */
    std::stop_token lost_token() const;

    /** @brief Completes when the lock is lost.

        @par Handler signature
        `void(error_code)`: no error once the lock is lost; `errc::cancelled` when it was released, or the wait
        cancelled, first; `errc::invalid_state` for an empty handle; `errc::unavailable` where there is nothing left to
        notice a loss with.
        @par Thread safety
        The handler runs on its associated executor.
        @par Cancellation
        All types; ends the wait only, the lock stays held.
    */
    template <class CompletionToken>
    auto async_wait_lost(CompletionToken&& token) const {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [](auto handler, std::shared_ptr<core::hold> hold) {
                const auto executor = executor_of(hold);
                start_wait_lost(std::move(hold),
                                detail::erase_completion<detail::no_result>(std::move(handler), executor));
            },
            token, hold_);
    }

    /// The acquisition's fencing token, where the backend has them.
    std::optional<holdfast::fencing_token> fencing_token() const noexcept;

    /** @brief The descriptor that keeps the lock, where the kernel keeps it; for handing the lock to another process.

        A duplicate of it keeps the lock until that is closed too, or the lock is released here. It belongs to the
        handle: never close or unlock it.

        On Windows it is the number of a lock file's handle, and a duplicate keeps the lock until that is closed,
        whatever is released here.
    */
    std::optional<int> native_descriptor() const noexcept;

    /** @brief Releases the lock and reports how that went, once.

        The handle is empty afterwards, whatever the outcome. Releasing an empty handle does nothing.

        @par Errors
        `errc::lost` when the lock had been lost before; `errc::in_doubt` when the reply was lost; `errc::unavailable`
        when the backend could not be reached: it then ends with its session or lease.
        @par Thread safety
        From any thread. With a server backend it blocks for a round trip, so prefer @ref async_release on an I/O
       thread.
        @par Cancellation
        None: a release is bounded by the provider's `release_timeout`.
    */
    void release();
    /// @copydoc release()
    void release(error_code& code, diagnostics* diag = nullptr);

    /** @brief Releases the lock without blocking.

        The handle is empty as soon as this returns. A token that starts later (`deferred`) releases then, or when its
        operation is destroyed without having been started.

        @par Handler signature
        `void(error_code)`, with the errors of @ref release.
        @par Thread safety
        The handler runs on its associated executor.
        @par Cancellation
        None: the release goes on by itself, bounded by the provider's `release_timeout`.
    */
    template <class CompletionToken>
    auto async_release(CompletionToken&& token) {
        return release_into(nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_release
    template <class CompletionToken>
    auto async_release(diagnostics& diag, CompletionToken&& token) {
        return release_into(&diag, std::forward<CompletionToken>(token));
    }

    /// @cond internal
    explicit lock_handle(std::shared_ptr<core::hold> hold) noexcept;
    /// @endcond

protected:
    const std::shared_ptr<core::hold>& shared_hold() const noexcept { return hold_; }

    static boost::asio::any_io_executor executor_of(const std::shared_ptr<core::hold>& hold);
    static void start_release(std::shared_ptr<core::hold> hold, diagnostics* diag,
                              std::unique_ptr<detail::completion<detail::no_result>> done);
    static void start_wait_lost(std::shared_ptr<core::hold> hold,
                                std::unique_ptr<detail::completion<detail::no_result>> done);

private:
    friend class composite_handle;

    template <class CompletionToken>
    auto release_into(diagnostics* diag, CompletionToken&& token) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [](auto handler, lock_handle held, diagnostics* details) {
                const auto executor = executor_of(held.hold_);
                start_release(std::move(held.hold_), details,
                              detail::erase_completion<detail::no_result>(std::move(handler), executor));
            },
            // As a handle: a deferred operation may be dropped before it was ever started.
            token, lock_handle(std::move(hold_)), diag);
    }

    void let_go() noexcept;

    std::shared_ptr<core::hold> hold_;
};

/** @brief A held upgradeable read lock: shared with readers, and able to become the only holder.

    Releasing it releases everything, upgraded or not.
*/
class HOLDFAST_API upgradeable_lock_handle : public lock_handle {
public:
    upgradeable_lock_handle() noexcept = default;
    /// @cond internal
    explicit upgradeable_lock_handle(lock_handle&& handle) noexcept : lock_handle(std::move(handle)) {}
    /// @endcond

    /** @brief Waits for the readers to leave and becomes the only holder.

        A failed or cancelled upgrade leaves the upgradeable read lock held. There is no way back but release.

        @param limit how long to wait
        @param stop  cancels the wait
        @par Errors
        `errc::timed_out`, `errc::cancelled`; `errc::invalid_state` for an empty or already upgraded handle;
        `errc::lost`; what the backend adds.
        @par Cancellation
        By @p stop; the upgradeable read lock stays held.
    */
    void upgrade(timeout limit = timeout::infinite(), std::stop_token stop = {});
    /// @copydoc upgrade
    void upgrade(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr);

    /** @brief As @ref upgrade, but tells by its result whether the upgrade succeeded within @p limit. */
    bool try_upgrade(timeout limit = timeout::zero(), std::stop_token stop = {});
    /// @copydoc try_upgrade
    bool try_upgrade(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr);

    /** @brief Upgrades without blocking; the handle must stay where it is until then.

        @par Handler signature
        `void(error_code)`, with the errors of @ref upgrade.
        @par Thread safety
        The handler runs on its associated executor.
        @par Cancellation
        All types; the upgradeable read lock stays held.
    */
    template <class CompletionToken>
    auto async_upgrade(timeout limit, CompletionToken&& token) {
        return upgrade_into(limit, nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_upgrade
    template <class CompletionToken>
    auto async_upgrade(timeout limit, diagnostics& diag, CompletionToken&& token) {
        return upgrade_into(limit, &diag, std::forward<CompletionToken>(token));
    }

    /** @brief As @ref async_upgrade, but tells by its result whether the upgrade succeeded within @p limit.

        @par Handler signature
        `void(error_code, bool)`: true once upgraded; false without an error where readers stayed until the end of
        @p limit; false with an error otherwise, as @ref upgrade has them.
        @par Thread safety
        The handler runs on its associated executor.
        @par Cancellation
        All types; ends with `errc::cancelled`, and the upgradeable read lock stays held.
    */
    template <class CompletionToken>
    auto async_try_upgrade(timeout limit, CompletionToken&& token) {
        return try_upgrade_into(limit, nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_try_upgrade
    template <class CompletionToken>
    auto async_try_upgrade(timeout limit, diagnostics& diag, CompletionToken&& token) {
        return try_upgrade_into(limit, &diag, std::forward<CompletionToken>(token));
    }

private:
    template <class CompletionToken>
    auto upgrade_into(timeout limit, diagnostics* diag, CompletionToken&& token) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [](auto handler, std::shared_ptr<core::hold> hold, timeout until, diagnostics* details) {
                const auto executor = executor_of(hold);
                start_upgrade(std::move(hold), until, details,
                              detail::erase_completion<detail::no_result>(std::move(handler), executor));
            },
            token, shared_hold(), limit, diag);
    }
    template <class CompletionToken>
    auto try_upgrade_into(timeout limit, diagnostics* diag, CompletionToken&& token) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, bool)>(
            [](auto handler, std::shared_ptr<core::hold> hold, timeout until, diagnostics* details) {
                const auto executor = executor_of(hold);
                detail::result_adapter<bool, decltype(handler)> convert{std::move(handler)};
                start_upgrade(std::move(hold), until, details,
                              detail::erase_completion<detail::no_result>(std::move(convert), executor));
            },
            token, shared_hold(), limit, diag);
    }

    static void start_upgrade(std::shared_ptr<core::hold> hold, timeout limit, diagnostics* diag,
                              std::unique_ptr<detail::completion<detail::no_result>> done);
};

}  // namespace v0
}  // namespace holdfast

#endif
