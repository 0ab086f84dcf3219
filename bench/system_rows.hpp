// Locks kept by the kernel's semaphores, against semop(2) itself.
#ifndef HOLDFAST_BENCH_SYSTEM_ROWS_HPP
#define HOLDFAST_BENCH_SYSTEM_ROWS_HPP

#include "measure.hpp"

#include <functional>
#include <string>

namespace holdfast::bench {

/// @param directory where the sets are published; empty of anything else
void system_rows(const std::string& directory, const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
