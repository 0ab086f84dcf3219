#include "names/safe_name.hpp"

#include "names/encoding.hpp"
#include "names/hash.hpp"
#include "names/text.hpp"

namespace holdfast {
inline namespace v0 {
namespace names {

std::string base64_sha512(std::string_view name) {
    return base64(sha512(name));
}

std::string to_safe_name(std::string_view name, std::string_view converted, std::size_t max_units,
                         std::string (*hash)(std::string_view)) {
    // No text has more units than bytes.
    if (converted == name && (name.size() <= max_units || utf16_length(name) <= max_units)) return std::string(name);
    const std::string digest = hash(name);
    std::string result;
    append_units(result, converted, max_units - digest.size());
    result += digest;
    return result;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
