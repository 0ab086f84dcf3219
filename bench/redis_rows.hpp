// The rows of the Redis backend.
#ifndef HOLDFAST_BENCH_REDIS_ROWS_HPP
#define HOLDFAST_BENCH_REDIS_ROWS_HPP

#include "measure.hpp"

#include <functional>
#include <string>

namespace holdfast::bench {

/// Measures on the server that @p text, a `redis://` URL without user, password and database, names; or on several, and
/// then only what they cost beside one.
void redis_rows(const std::string& text, const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
