// Holdfast: the lock that one holder has at a time.
#ifndef HOLDFAST_LOCK_HPP
#define HOLDFAST_LOCK_HPP

#include <holdfast/detail/primitive.hpp>
#include <holdfast/lock_handle.hpp>

#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

namespace holdfast {
inline namespace v0 {

class lock_request;

/** @brief A lock that at most one holder has at a time, among all processes that use its name on its backend.

    Made by @ref provider::make_lock; cheap to copy. Not reentrant: a second acquire in the same process waits like any
    other. Within a process waiters are served first come, first served, and a try never overtakes one of them.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class lock {
public:
    /// @cond internal
    explicit lock(detail::primitive_ref target) noexcept : target_(std::move(target)) {}
    /// @endcond

    /// The name as given to the provider.
    std::string_view name() const noexcept { return target_.name(); }
    /// What the name is on the backend: a path, a key.
    std::string_view mapped_name() const noexcept { return target_.mapped_name(); }

    /// @brief True where both are the same lock of the same provider, whatever their names look like.
    bool same_lock(const lock& other) const noexcept { return target_.same_lock(other.target_); }

    /** @brief Waits until the lock is ours.

        @param limit how long to wait; ends within that time plus one round trip
        @param stop  cancels the wait; one that is stopped already cancels even where the lock is free
        @return the held lock
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

    /** @brief As @ref acquire, but empty where somebody else has the lock until the end of @p limit.

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
        outlive the operation; a handler that it destroys without having called it gives the lock back.
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

    /** @brief As @ref async_acquire, but without an error, and empty, where the lock is held elsewhere until the end.

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

    static constexpr detail::access mode = detail::access::exclusive;

    detail::primitive_ref target_;
};

}  // namespace v0
}  // namespace holdfast

#endif
