// Options of the file backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_FILE_OPTIONS_HPP
#define HOLDFAST_BACKENDS_FILE_OPTIONS_HPP

#include <holdfast/backends/file.hpp>

namespace holdfast {
inline namespace v0 {
namespace file {

/// Throws `errc::invalid_options`.
void check(const options& opts);
options options_from(const url& address);

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
