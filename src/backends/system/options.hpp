// Options of the system backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_SYSTEM_OPTIONS_HPP
#define HOLDFAST_BACKENDS_SYSTEM_OPTIONS_HPP

#include <holdfast/backends/system.hpp>

namespace holdfast {
inline namespace v0 {
namespace system {

/// Throws `errc::invalid_options`.
void check(const options& opts);
options options_from(const url& address);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
