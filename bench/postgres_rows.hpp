// Rows of the postgres backend.
#ifndef HOLDFAST_BENCH_POSTGRES_ROWS_HPP
#define HOLDFAST_BENCH_POSTGRES_ROWS_HPP

#include "measure.hpp"

#include <functional>
#include <string>

namespace holdfast::bench {

/// @param url the server
void postgres_rows(const std::string& url, const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
