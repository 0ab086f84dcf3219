// What the server's and libpq's errors are to us.
#ifndef HOLDFAST_BACKENDS_POSTGRES_ERRORS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_ERRORS_HPP

#include <holdfast/error.hpp>

#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// Which of the error codes an SQLSTATE is.
errc code_of(std::string_view sqlstate) noexcept;
/// The same for a connection that was not made. @param text as `without_details` gives it
errc code_of_refusal(std::string_view sqlstate, std::string_view text) noexcept;
/// libpq's verbose message without places in the source. A connection that was not made has no SQLSTATE of its own, but
/// there it is, and goes from the text to @p sqlstate.
std::string without_details(std::string_view message, std::string& sqlstate);
/// Without the line ends and blanks that libpq's messages end with.
std::string_view trimmed(std::string_view text);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
