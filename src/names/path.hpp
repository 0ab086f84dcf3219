// Paths as .NET's Path.GetFullPath makes them, on the system we are on.
#ifndef HOLDFAST_SRC_NAMES_PATH_HPP
#define HOLDFAST_SRC_NAMES_PATH_HPP

#include <holdfast/error.hpp>

#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {

/// What stands between names, in what `full_path` returns.
extern const char path_separator;

/** Absolute, without `.`, `..` and doubled separators, and with a separator at the end if there was one. `..` takes the
    previous name away, symbolic link or not.

    @param path not empty, and without NUL
    @param code thrown where there is no such path
*/
std::string full_path(std::string_view path, errc code);

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
