// The rule that most mappings share.
#ifndef HOLDFAST_SRC_NAMES_SAFE_NAME_HPP
#define HOLDFAST_SRC_NAMES_SAFE_NAME_HPP

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {

/// The hash .NET appends, of all backends but MySQL: 88 characters.
std::string base64_sha512(std::string_view name);

/** @p name itself when it needed no conversion and has at most @p max_units; otherwise as much of @p converted as
   leaves room for the hash of the original name, and that hash.

    @p max_units is larger than the hash, in every backend.
*/
std::string to_safe_name(std::string_view name, std::string_view converted, std::size_t max_units,
                         std::string (*hash)(std::string_view) = base64_sha512);

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
