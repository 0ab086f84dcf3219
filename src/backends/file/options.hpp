// Options of the file backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_FILE_OPTIONS_HPP
#define HOLDFAST_BACKENDS_FILE_OPTIONS_HPP

#include <core/backend.hpp>

#include <holdfast/backends/file.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace file {

/// Throws `errc::invalid_options`.
void check(const options& opts);
options options_from(const url& address);

// What is this system's:

/// What `check` has to say here.
void check_here(const options& opts);
/// The directory that a URL's path means; empty if that is.
std::string directory_in_url(std::string_view path);
std::shared_ptr<core::backend> make_backend(const options& opts);

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
