// The rows that need no backend but the one built in.
#ifndef HOLDFAST_BENCH_MEMORY_ROWS_HPP
#define HOLDFAST_BENCH_MEMORY_ROWS_HPP

#include "measure.hpp"

#include <functional>

namespace holdfast::bench {

/// Hands each row to @p report as soon as it is there.
void memory_rows(const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
