// Holdfast: readers together, one of whom may become the writer.
#ifndef HOLDFAST_UPGRADEABLE_READER_WRITER_LOCK_HPP
#define HOLDFAST_UPGRADEABLE_READER_WRITER_LOCK_HPP

#include <holdfast/detail/primitive.hpp>
#include <holdfast/lock_handle.hpp>

#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

namespace holdfast {
inline namespace v0 {

class lock_request;

/** @brief A reader-writer lock with a third way in: a read lock that can later become the write lock.

    At most one upgradeable read lock is held at a time, beside any number of plain readers; so two holders can never
    wait for each other's upgrade.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class upgradeable_reader_writer_lock {
public:
    /// @cond internal
    explicit upgradeable_reader_writer_lock(detail::primitive_ref target) noexcept : target_(std::move(target)) {}
    /// @endcond

    /// The name as given to the provider.
    std::string_view name() const noexcept { return target_.name(); }
    /// What the name is on the backend: a path, a key.
    std::string_view mapped_name() const noexcept { return target_.mapped_name(); }

    /** @brief Waits until we hold a read lock, beside other readers.

        @param limit how long to wait; ends within that time plus one round trip
        @param stop  cancels the wait; one that is stopped already cancels even where the lock is free
        @par Errors
        As @ref lock::acquire. After any error nothing is held.
        @par Cancellation
        By @p stop.
    */
    lock_handle acquire_read(timeout limit = timeout::infinite(), std::stop_token stop = {}) const {
        return target_.acquire_or_throw<lock_handle>(detail::access::shared, limit, std::move(stop));
    }
    /// @copydoc acquire_read
    lock_handle acquire_read(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr) const {
        return lock_handle(target_.acquire(detail::access::shared, limit, std::move(stop), code, diag));
    }

    /// @brief As @ref acquire_read, but empty where others prevent it until the end of @p limit, and only then.
    std::optional<lock_handle> try_acquire_read(timeout limit = timeout::zero(), std::stop_token stop = {}) const {
        return target_.try_acquire_or_throw<lock_handle>(detail::access::shared, limit, std::move(stop));
    }
    /// @copydoc try_acquire_read
    std::optional<lock_handle> try_acquire_read(timeout limit, std::stop_token stop, error_code& code,
                                                diagnostics* diag = nullptr) const {
        return target_.try_acquire<lock_handle>(detail::access::shared, limit, std::move(stop), code, diag);
    }

    /** @brief @ref acquire_read without blocking; no thread waits meanwhile.

        @par Handler signature
        `void(error_code, lock_handle)`
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        All types: ends with `errc::cancelled`, holding nothing.
    */
    template <class CompletionToken>
    auto async_acquire_read(timeout limit, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(detail::access::shared, limit, nullptr,
                                                     std::forward<CompletionToken>(token));
    }
    /// @copydoc async_acquire_read
    template <class CompletionToken>
    auto async_acquire_read(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(detail::access::shared, limit, &diag,
                                                     std::forward<CompletionToken>(token));
    }

    /** @brief @ref try_acquire_read without blocking.

        @par Handler signature
        `void(error_code, std::optional<lock_handle>)`
        @par Cancellation
        As @ref async_acquire_read.
    */
    template <class CompletionToken>
    auto async_try_acquire_read(timeout limit, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(detail::access::shared, limit, nullptr,
                                                         std::forward<CompletionToken>(token));
    }
    /// @copydoc async_try_acquire_read
    template <class CompletionToken>
    auto async_try_acquire_read(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(detail::access::shared, limit, &diag,
                                                         std::forward<CompletionToken>(token));
    }

    /** @brief Waits until we hold the upgradeable read lock, beside plain readers.

        @param limit how long to wait; ends within that time plus one round trip
        @param stop  cancels the wait; one that is stopped already cancels even where the lock is free
        @par Errors
        As @ref lock::acquire. After any error nothing is held.
        @par Cancellation
        By @p stop.
    */
    upgradeable_lock_handle acquire_upgradeable_read(timeout limit = timeout::infinite(),
                                                     std::stop_token stop = {}) const {
        return target_.acquire_or_throw<upgradeable_lock_handle>(detail::access::upgradeable, limit, std::move(stop));
    }
    /// @copydoc acquire_upgradeable_read
    upgradeable_lock_handle acquire_upgradeable_read(timeout limit, std::stop_token stop, error_code& code,
                                                     diagnostics* diag = nullptr) const {
        return upgradeable_lock_handle(
            target_.acquire(detail::access::upgradeable, limit, std::move(stop), code, diag));
    }

    /// @brief As @ref acquire_upgradeable_read, but empty where others prevent it until the end of @p limit, and only
    /// then.
    std::optional<upgradeable_lock_handle> try_acquire_upgradeable_read(timeout limit = timeout::zero(),
                                                                        std::stop_token stop = {}) const {
        return target_.try_acquire_or_throw<upgradeable_lock_handle>(detail::access::upgradeable, limit,
                                                                     std::move(stop));
    }
    /// @copydoc try_acquire_upgradeable_read
    std::optional<upgradeable_lock_handle> try_acquire_upgradeable_read(timeout limit, std::stop_token stop,
                                                                        error_code& code,
                                                                        diagnostics* diag = nullptr) const {
        return target_.try_acquire<upgradeable_lock_handle>(detail::access::upgradeable, limit, std::move(stop), code,
                                                            diag);
    }

    /** @brief @ref acquire_upgradeable_read without blocking; no thread waits meanwhile.

        @par Handler signature
        `void(error_code, upgradeable_lock_handle)`
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        All types: ends with `errc::cancelled`, holding nothing.
    */
    template <class CompletionToken>
    auto async_acquire_upgradeable_read(timeout limit, CompletionToken&& token) const {
        return target_.async_acquire_as<upgradeable_lock_handle>(detail::access::upgradeable, limit, nullptr,
                                                                 std::forward<CompletionToken>(token));
    }
    /// @copydoc async_acquire_upgradeable_read
    template <class CompletionToken>
    auto async_acquire_upgradeable_read(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_acquire_as<upgradeable_lock_handle>(detail::access::upgradeable, limit, &diag,
                                                                 std::forward<CompletionToken>(token));
    }

    /** @brief @ref try_acquire_upgradeable_read without blocking.

        @par Handler signature
        `void(error_code, std::optional<upgradeable_lock_handle>)`
        @par Cancellation
        As @ref async_acquire_upgradeable_read.
    */
    template <class CompletionToken>
    auto async_try_acquire_upgradeable_read(timeout limit, CompletionToken&& token) const {
        return target_.async_try_acquire_as<upgradeable_lock_handle>(detail::access::upgradeable, limit, nullptr,
                                                                     std::forward<CompletionToken>(token));
    }
    /// @copydoc async_try_acquire_upgradeable_read
    template <class CompletionToken>
    auto async_try_acquire_upgradeable_read(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_try_acquire_as<upgradeable_lock_handle>(detail::access::upgradeable, limit, &diag,
                                                                     std::forward<CompletionToken>(token));
    }

    /** @brief Waits until we are the only holder.

        @param limit how long to wait; ends within that time plus one round trip
        @param stop  cancels the wait; one that is stopped already cancels even where the lock is free
        @par Errors
        As @ref lock::acquire. After any error nothing is held.
        @par Cancellation
        By @p stop.
    */
    lock_handle acquire_write(timeout limit = timeout::infinite(), std::stop_token stop = {}) const {
        return target_.acquire_or_throw<lock_handle>(detail::access::exclusive, limit, std::move(stop));
    }
    /// @copydoc acquire_write
    lock_handle acquire_write(timeout limit, std::stop_token stop, error_code& code,
                              diagnostics* diag = nullptr) const {
        return lock_handle(target_.acquire(detail::access::exclusive, limit, std::move(stop), code, diag));
    }

    /// @brief As @ref acquire_write, but empty where others prevent it until the end of @p limit, and only then.
    std::optional<lock_handle> try_acquire_write(timeout limit = timeout::zero(), std::stop_token stop = {}) const {
        return target_.try_acquire_or_throw<lock_handle>(detail::access::exclusive, limit, std::move(stop));
    }
    /// @copydoc try_acquire_write
    std::optional<lock_handle> try_acquire_write(timeout limit, std::stop_token stop, error_code& code,
                                                 diagnostics* diag = nullptr) const {
        return target_.try_acquire<lock_handle>(detail::access::exclusive, limit, std::move(stop), code, diag);
    }

    /** @brief @ref acquire_write without blocking; no thread waits meanwhile.

        @par Handler signature
        `void(error_code, lock_handle)`
        @par Thread safety
        The handler runs on its associated executor, never from within this call.
        @par Cancellation
        All types: ends with `errc::cancelled`, holding nothing.
    */
    template <class CompletionToken>
    auto async_acquire_write(timeout limit, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(detail::access::exclusive, limit, nullptr,
                                                     std::forward<CompletionToken>(token));
    }
    /// @copydoc async_acquire_write
    template <class CompletionToken>
    auto async_acquire_write(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_acquire_as<lock_handle>(detail::access::exclusive, limit, &diag,
                                                     std::forward<CompletionToken>(token));
    }

    /** @brief @ref try_acquire_write without blocking.

        @par Handler signature
        `void(error_code, std::optional<lock_handle>)`
        @par Cancellation
        As @ref async_acquire_write.
    */
    template <class CompletionToken>
    auto async_try_acquire_write(timeout limit, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(detail::access::exclusive, limit, nullptr,
                                                         std::forward<CompletionToken>(token));
    }
    /// @copydoc async_try_acquire_write
    template <class CompletionToken>
    auto async_try_acquire_write(timeout limit, diagnostics& diag, CompletionToken&& token) const {
        return target_.async_try_acquire_as<lock_handle>(detail::access::exclusive, limit, &diag,
                                                         std::forward<CompletionToken>(token));
    }

private:
    friend class lock_request;

    detail::primitive_ref target_;
};

}  // namespace v0
}  // namespace holdfast

#endif
