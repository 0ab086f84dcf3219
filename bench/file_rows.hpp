// The rows of the file backend.
#ifndef HOLDFAST_BENCH_FILE_ROWS_HPP
#define HOLDFAST_BENCH_FILE_ROWS_HPP

#include "measure.hpp"

#include <functional>
#include <string>

namespace holdfast::bench {

/// Measures in @p directory, and hands each row to @p report as soon as it is there.
void file_rows(const std::string& directory, const std::function<void(const row&)>& report);

/// `holdfast run` against flock(1). @param command the path of holdfast
void startup_rows(const std::string& directory, const std::string& command,
                  const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
