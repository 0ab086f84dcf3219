// Holdfast: error codes and the one exception class.
#ifndef HOLDFAST_ERROR_HPP
#define HOLDFAST_ERROR_HPP

#include <holdfast/config.hpp>
#include <holdfast/diagnostics.hpp>

#include <boost/system/error_code.hpp>

#include <string>
#include <system_error>

namespace holdfast {
inline namespace v0 {

/** @brief The type of every error code in this library.

    It is Boost's and not the standard library's, because Boost.Asio's completion tokens (`use_awaitable` and its kin)
    recognise only this type as an error. It converts implicitly to `std::error_code`.
*/
using error_code = boost::system::error_code;

/** @brief What went wrong, independent of the backend.

    The native cause (an errno, an SQLSTATE, a server's text) travels beside it in @ref diagnostics.
*/
enum class errc : int {
    /// The timeout ended before the lock could be had. Nothing is held.
    timed_out = 1,
    /// The caller cancelled. Nothing is held.
    cancelled,
    /// The lock was held, and was lost before this call.
    lost,
    /// The outcome is unknown: a reply was lost. The lock may or may not have changed hands.
    in_doubt,
    /// The server chose this wait as the victim of a deadlock. Nothing is held.
    deadlock,
    /// A release or renewal of something that is not held.
    not_held,
    /// The lock's name cannot be used with this backend.
    invalid_name,
    /// The provider's options or URL are not usable.
    invalid_options,
    /// An argument is out of range (a negative timeout, a semaphore of zero tickets).
    invalid_argument,
    /// The object cannot do this now: an empty handle, a second upgrade, or a process that has been forked since.
    invalid_state,
    /// The backend cannot be reached, or cannot serve now.
    unavailable,
    /// The other side broke its protocol.
    protocol,
    /// The backend refused access.
    permission,
    /// This backend, or this file system, cannot do that.
    unsupported,
};

/// @brief The category of @ref errc; its name is "holdfast".
HOLDFAST_API const boost::system::error_category& holdfast_category() noexcept;

inline error_code make_error_code(errc code) noexcept {
    return error_code(static_cast<int>(code), holdfast_category());
}

/** @brief The one exception class of this library.

    `code()` compares equal to a value of @ref errc. `what()` names the operation, the backend and the lock, says what
    was wrong and, where known, what would be right; it never holds a secret.

    @par Thread safety
    Distinct objects: safe. Shared objects: const members are safe.
*/
class HOLDFAST_API error : public std::system_error {
public:
    /// @param code what happened
    /// @param diag where, and the native cause
    explicit error(error_code code, diagnostics diag = {});
    /// @param code what happened
    /// @param message what was wrong and what would be right
    error(errc code, std::string message);

    /// The code as Boost's type (`code()` gives the standard library's).
    const error_code& boost_code() const noexcept { return code_; }
    /// Backend, lock name, native code and text.
    const diagnostics& diag() const noexcept { return diag_; }
    /// The lock's state as far as this error tells: `unknown` after a lost reply.
    held_state lock_state() const noexcept { return diag_.state; }
    /// True where trying again later, with nothing changed, can succeed.
    bool is_transient() const noexcept;

private:
    error_code code_;
    diagnostics diag_;
};

/// @brief Throws @ref error when @p code is set, and does nothing otherwise.
HOLDFAST_API void throw_if(const error_code& code, const diagnostics& diag);

}  // namespace v0
}  // namespace holdfast

template <>
struct boost::system::is_error_code_enum<holdfast::errc> : std::true_type {};

/// So that `caught.code() == holdfast::errc::lost` compiles, where `code()` is the standard library's.
template <>
struct std::is_error_code_enum<holdfast::errc> : std::true_type {};

#endif
