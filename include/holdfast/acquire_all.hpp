// Holdfast: several locks, or none.
#ifndef HOLDFAST_ACQUIRE_ALL_HPP
#define HOLDFAST_ACQUIRE_ALL_HPP

#include <holdfast/lock.hpp>

#include <optional>
#include <stop_token>
#include <vector>

namespace holdfast {
inline namespace v0 {

/** @brief Several held locks; releases them all, the last acquired first.

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
    /// Stopped as soon as any member is lost.
    std::stop_token lost_token() const;

    /** @brief Releases every member, the last acquired first, whatever happens to the others.
        @par Errors
        The first error met, after all were tried.
    */
    void release();
    /// @copydoc release
    void release(error_code& code, diagnostics* diag = nullptr);

    /// @cond internal
    explicit composite_handle(std::vector<lock_handle> members);
    /// @endcond

private:
    struct loss;

    std::vector<lock_handle> members_;
    std::shared_ptr<loss> loss_;
};

/** @brief Acquires all of @p locks in the order given, or none.

    Each gets the time that is left. Give every program the same order: then they cannot wait for each other in a
    circle. On failure what was acquired is released, the last first.

    @param locks at least one; no name of one provider may stand there twice, since locks are not reentrant
    @param limit for all of them together
    @par Errors
    `errc::invalid_argument` for an empty list or a duplicate; else as @ref lock::acquire, naming the lock that failed.
    @par Cancellation
    By @p stop.
*/
HOLDFAST_API composite_handle acquire_all(const std::vector<lock>& locks, timeout limit = timeout::infinite(),
                                          std::stop_token stop = {});

/// @copydoc acquire_all
HOLDFAST_API composite_handle acquire_all(const std::vector<lock>& locks, timeout limit, std::stop_token stop,
                                          error_code& code, diagnostics* diag = nullptr);

/// @brief As @ref acquire_all, but empty where one of the locks is held elsewhere until the end of @p limit.
HOLDFAST_API std::optional<composite_handle> try_acquire_all(const std::vector<lock>& locks,
                                                             timeout limit = timeout::zero(),
                                                             std::stop_token stop = {});

}  // namespace v0
}  // namespace holdfast

#endif
