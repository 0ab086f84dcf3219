// Holdfast: a counted number of tickets.
#ifndef HOLDFAST_SEMAPHORE_HPP
#define HOLDFAST_SEMAPHORE_HPP

#include <holdfast/detail/primitive.hpp>
#include <holdfast/lock_handle.hpp>

#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

namespace holdfast {
inline namespace v0 {

class lock_request;

/** @brief A number of tickets, each held by at most one holder, among all processes that use its name on its backend.

    Made by @ref provider::make_semaphore; cheap to copy. All participants must agree on the number. Within a process
    waiters are served first come, first served, and a try never overtakes one of them.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class semaphore {
public:
    /// @cond internal
    explicit semaphore(detail::primitive_ref target) noexcept : target_(std::move(target)) {}
    /// @endcond

    /// The name as given to the provider.
    std::string_view name() const noexcept { return target_.name(); }
    /// What the name is on the backend: a path, a key.
    std::string_view mapped_name() const noexcept { return target_.mapped_name(); }
    /// The number of tickets, as given to the provider.
    int max_count() const noexcept { return target_.max_count(); }

    /** @brief How many tickets are free now, as far as the backend can tell; old news when it arrives.

        @par Errors
        `errc::unsupported` where @ref capabilities says so; `errc::unavailable`.
    */
    int current_count() const {
        error_code code;
        diagnostics diag;
        const int count = target_.current_count(code, &diag);
        throw_if(code, diag);
        return count;
    }
    /// @copydoc current_count
    int current_count(error_code& code, diagnostics* diag = nullptr) const { return target_.current_count(code, diag); }

    /** @brief @ref current_count without blocking.

        @par Handler signature
        `void(error_code, int)`, with the errors of @ref current_count; 0 after an error.
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        All types: ends with `errc::cancelled`.
    */
    template <class CompletionToken>
    auto async_current_count(CompletionToken&& token) const {
        return target_.async_current_count_as(nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_current_count
    template <class CompletionToken>
    auto async_current_count(diagnostics& diag, CompletionToken&& token) const {
        return target_.async_current_count_as(&diag, std::forward<CompletionToken>(token));
    }

    /** @brief Waits until a ticket is ours.

        @param limit how long to wait; ends within that time plus one round trip
        @param stop  cancels the wait; one that is stopped already cancels even where a ticket is free
        @return the held ticket
        @par Errors
        `errc::timed_out`; `errc::cancelled`; `errc::deadlock`; `errc::unavailable`, `errc::permission`,
        `errc::unsupported`, `errc::protocol` as the backend gives cause; `errc::in_doubt` where its answer is missing;
        `errc::invalid_state` after a fork. After any error nothing is held: what the backend may have granted was
        given back first, or, in doubt, ends with its connection or lease.
        @par Cancellation
        By @p stop.
    */
    lock_handle acquire(timeout limit = timeout::infinite(), std::stop_token stop = {}) const {
        return target_.acquire_or_throw<lock_handle>(mode, limit, std::move(stop));
    }
    /// @copydoc acquire
    lock_handle acquire(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr) const {
        return target_.acquire(mode, limit, std::move(stop), code, diag);
    }

    /** @brief As @ref acquire, but empty where all tickets are taken until the end of @p limit.

        Empty means that and nothing else: every other reason is an error, as in @ref acquire.
    */
    std::optional<lock_handle> try_acquire(timeout limit = timeout::zero(), std::stop_token stop = {}) const {
        return target_.try_acquire_or_throw<lock_handle>(mode, limit, std::move(stop));
    }
    /// @copydoc try_acquire
    std::optional<lock_handle> try_acquire(timeout limit, std::stop_token stop, error_code& code,
                                           diagnostics* diag = nullptr) const {
        return target_.try_acquire<lock_handle>(mode, limit, std::move(stop), code, diag);
    }

    /** @brief Acquires without blocking; no thread waits meanwhile.

        @par Handler signature
        `void(error_code, lock_handle)`, with the errors of @ref acquire. The context of the handler's executor must
        outlive the operation; a handler that it destroys without having called it gives the ticket back.
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        All types: ends with `errc::cancelled`, holding nothing.
    */
    template <class CompletionToken>
    auto async_acquire(timeout limit, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(mode, limit, nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_acquire
    template <class CompletionToken>
    auto async_acquire(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(mode, limit, &diag, std::forward<CompletionToken>(token));
    }

    /** @brief As @ref async_acquire, but without an error, and empty, where all tickets are taken until the end.

        @par Handler signature
        `void(error_code, std::optional<lock_handle>)`
        @par Cancellation
        As @ref async_acquire.
    */
    template <class CompletionToken>
    auto async_try_acquire(timeout limit, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(mode, limit, nullptr, std::forward<CompletionToken>(token));
    }
    /// @copydoc async_try_acquire
    template <class CompletionToken>
    auto async_try_acquire(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(mode, limit, &diag, std::forward<CompletionToken>(token));
    }

private:
    friend class lock_request;

    static constexpr detail::access mode = detail::access::ticket;

    detail::primitive_ref target_;
};

}  // namespace v0
}  // namespace holdfast

#endif
