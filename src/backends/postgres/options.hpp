// Options of the postgres backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_POSTGRES_OPTIONS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_OPTIONS_HPP

#include <holdfast/backends/postgres.hpp>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// Throws `errc::invalid_options`.
void check(const options& opts);
bool multiplexes(const options& opts);
options options_from(const url& address);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
