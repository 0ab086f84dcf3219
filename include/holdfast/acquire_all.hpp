// Holdfast: several locks, or none.
#ifndef HOLDFAST_ACQUIRE_ALL_HPP
#define HOLDFAST_ACQUIRE_ALL_HPP

#include <holdfast/detail/completion.hpp>
#include <holdfast/detail/result_adapter.hpp>
#include <holdfast/lock_handle.hpp>
#include <holdfast/lock_request.hpp>

#include <boost/asio/async_result.hpp>

#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {

/** @brief Several held locks, read locks, write locks or tickets; releases them all, the last acquired first.

    @par Thread safety
    As @ref lock_handle.
*/
class HOLDFAST_API composite_handle {
public:
    composite_handle() noexcept;
    composite_handle(composite_handle&&) noexcept;
    composite_handle& operator=(composite_handle&&) noexcept;
    ~composite_handle();

    /// The members, in the order of their acquisition.
    const std::vector<lock_handle>& members() const noexcept { return members_; }
    explicit operator bool() const noexcept { return !members_.empty(); }

    /// `held` while every member is; otherwise the worst of theirs.
    held_state state() const noexcept;
    /// Stopped as soon as any member is lost. Otherwise as @ref lock_handle::lost_token.
    std::stop_token lost_token() const;

    /** @brief Completes when any member is lost.

        @par Handler signature
        `void(error_code)`: no error once one is lost; `errc::cancelled` when they were released, or the wait cancelled,
        first; `errc::invalid_state` for an empty handle; `errc::unavailable` for want of memory.
        @par Thread safety
        The handler runs on its associated executor, by default that of the first member's provider.
        @par Cancellation
        All types; ends the wait only, the locks stay held.
    */
    template <class CompletionToken>
    auto async_wait_lost(CompletionToken&& token) const {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [](auto handler, holds held) {
                const auto executor = executor_of(held);
                start_wait_lost(std::move(held),
                                detail::erase_completion<detail::no_result>(std::move(handler), executor));
            },
            token, held_ones());
    }

    /** @brief Releases every member, the last acquired first, whatever happens to the others.
        @par Errors
        The first error met, after all were tried.
    */
    void release();
    /// @copydoc release
    void release(error_code& code, diagnostics* diag = nullptr);

    /** @brief @ref release without blocking.

        The handle is empty as soon as this returns. A token that starts later (`deferred`) releases then, or when its
        operation is destroyed without having been started.

        @par Handler signature
        `void(error_code)`: the first error met, after all were tried.
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        None: each member's release is bounded by its provider's `release_timeout`.
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
    explicit composite_handle(std::vector<lock_handle> members);
    /// @endcond

private:
    struct loss;
    using holds = std::vector<std::shared_ptr<core::hold>>;

    template <class CompletionToken>
    auto release_into(diagnostics* diag, CompletionToken&& token) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [](auto handler, composite_handle held, diagnostics* details) {
                const auto executor = executor_of(held.members_);
                start_release(std::move(held.members_), details,
                              detail::erase_completion<detail::no_result>(std::move(handler), executor));
            },
            // As a handle: a deferred operation may be dropped before it was ever started.
            token, std::move(*this), diag);
    }

    void end_loss() noexcept;
    holds held_ones() const;
    static boost::asio::any_io_executor executor_of(const std::vector<lock_handle>& members);
    static boost::asio::any_io_executor executor_of(const holds& members);
    static void start_wait_lost(holds members, std::unique_ptr<detail::completion<detail::no_result>> done);
    static void start_release(std::vector<lock_handle> members, diagnostics* diag,
                              std::unique_ptr<detail::completion<detail::no_result>> done);

    std::vector<lock_handle> members_;
    std::shared_ptr<loss> loss_;
};

namespace detail {

HOLDFAST_API boost::asio::any_io_executor executor_of(const lock_requests& wanted);
HOLDFAST_API void start_acquire_all(lock_requests wanted, timeout limit, diagnostics* diag,
                                    std::unique_ptr<completion<composite_handle>> done);

template <class Result, class CompletionToken>
auto acquire_all_into(lock_requests locks, timeout limit, diagnostics* diag, CompletionToken&& token) {
    return boost::asio::async_initiate<CompletionToken, void(error_code, Result)>(
        [](auto handler, lock_requests wanted, timeout until, diagnostics* details) {
            const auto executor = executor_of(wanted);
            result_adapter<Result, decltype(handler)> convert{std::move(handler)};
            start_acquire_all(std::move(wanted), until, details,
                              erase_completion<composite_handle>(std::move(convert), executor));
        },
        token, std::move(locks), limit, diag);
}

}  // namespace detail

/** @brief Acquires all of @p locks in the order given, or none.

    Each gets the time that is left. Give every program the same order: then they cannot wait for each other in a
    circle. On failure what was acquired is released, the last first, before the call ends. While later ones are waited
    for, earlier ones are held, and renewed where they are leases; one can be lost all the same, which the result's
    `state()` tells.

    @code
    auto both = acquire_all({orders, invoices}, 5s);
    auto mixed = acquire_all({for_reading(prices), for_writing(stock), printers}, 5s);   // printers: one ticket
    auto tables = acquire_all(for_reading({prices, customers}), 5s);
    @endcode

    @param locks at least one, of any kinds and providers; no name of one provider may stand there twice, in whatever
        way, since locks are not reentrant and two tickets of one semaphore could wait for each other
    @param limit for all of them together: zero (each is tried once), up to 2^31-1 ms, or infinite
    @param stop  cancels the wait; one that is stopped already cancels even where all are free
    @par Errors
    `errc::invalid_argument` for an empty list or a duplicate; else as @ref lock::acquire, naming the lock that failed.
    After any error nothing is held; where an earlier one could not surely be given back, the diagnostics' state is
    `unknown`, and it ends with its lease or session.
    @par Thread safety
    From any thread.
    @par Cancellation
    By @p stop. What was acquired is still released, each within its provider's `release_timeout`.
*/
HOLDFAST_API composite_handle acquire_all(const lock_requests& locks, timeout limit = timeout::infinite(),
                                          std::stop_token stop = {});

/// @copydoc acquire_all
HOLDFAST_API composite_handle acquire_all(const lock_requests& locks, timeout limit, std::stop_token stop,
                                          error_code& code, diagnostics* diag = nullptr);

/** @brief As @ref acquire_all, but empty where one of the locks is held elsewhere until the end of @p limit.

    Empty means that and nothing else: every other reason is an error, as in @ref acquire_all.
*/
HOLDFAST_API std::optional<composite_handle> try_acquire_all(const lock_requests& locks,
                                                             timeout limit = timeout::zero(),
                                                             std::stop_token stop = {});
/// @copydoc try_acquire_all
HOLDFAST_API std::optional<composite_handle> try_acquire_all(const lock_requests& locks, timeout limit,
                                                             std::stop_token stop, error_code& code,
                                                             diagnostics* diag = nullptr);

/** @brief @ref acquire_all without blocking; no thread waits meanwhile.

    @par Handler signature
    `void(error_code, composite_handle)`, with the errors of @ref acquire_all; also for an empty list or a duplicate.
    The context of the handler's executor must outlive the operation; a handler that it destroys without having called
    it gives the locks back.
    @par Thread safety
    From any thread. The handler runs on its associated executor, by default that of the first lock's provider, never
    from within this call.
    @par Cancellation
    All types: ends with `errc::cancelled`, holding nothing. What was acquired is released first, each within its
    provider's `release_timeout`.
*/
template <class CompletionToken>
auto async_acquire_all(lock_requests locks, timeout limit, CompletionToken&& token) {
    return detail::acquire_all_into<composite_handle>(std::move(locks), limit, nullptr,
                                                      std::forward<CompletionToken>(token));
}
/// @copydoc async_acquire_all
template <class CompletionToken>
auto async_acquire_all(lock_requests locks, timeout limit, diagnostics& diag, CompletionToken&& token) {
    return detail::acquire_all_into<composite_handle>(std::move(locks), limit, &diag,
                                                      std::forward<CompletionToken>(token));
}

/** @brief As @ref async_acquire_all, but without an error, and empty, where one of the locks is held elsewhere until
    the end of @p limit.

    @par Handler signature
    `void(error_code, std::optional<composite_handle>)`
    @par Thread safety
    As @ref async_acquire_all.
    @par Cancellation
    As @ref async_acquire_all.
*/
template <class CompletionToken>
auto async_try_acquire_all(lock_requests locks, timeout limit, CompletionToken&& token) {
    return detail::acquire_all_into<std::optional<composite_handle>>(std::move(locks), limit, nullptr,
                                                                     std::forward<CompletionToken>(token));
}
/// @copydoc async_try_acquire_all
template <class CompletionToken>
auto async_try_acquire_all(lock_requests locks, timeout limit, diagnostics& diag, CompletionToken&& token) {
    return detail::acquire_all_into<std::optional<composite_handle>>(std::move(locks), limit, &diag,
                                                                     std::forward<CompletionToken>(token));
}

}  // namespace v0
}  // namespace holdfast

#endif
