// Our UTF-8 and the UTF-16 of Windows.
#ifndef HOLDFAST_CORE_WINDOWS_WIDE_HPP
#define HOLDFAST_CORE_WINDOWS_WIDE_HPP

#include <holdfast/error.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Throws @p code for what is no UTF-8.
HOLDFAST_API std::wstring to_wide(std::string_view text, errc code = errc::invalid_name);
/// Nothing for what is no UTF-16: names of files may hold halves of pairs.
HOLDFAST_API std::optional<std::string> to_utf8(std::wstring_view text);

/// What Windows says of an error number of its own, without the full stop.
HOLDFAST_API std::string system_message(unsigned long number);

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
