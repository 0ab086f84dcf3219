// Options of the system backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_SYSTEM_OPTIONS_HPP
#define HOLDFAST_BACKENDS_SYSTEM_OPTIONS_HPP

#include <core/backend.hpp>

#include <holdfast/backends/system.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace system {

/// Throws `errc::invalid_options`.
void check(const options& opts);
/// The part of it that is this system's.
void check_here(const options& opts);
options options_from(const url& address);

/// This system's.
std::shared_ptr<core::backend> make_backend(const options& opts);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
