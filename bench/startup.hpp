// How long whole programs take.
#ifndef HOLDFAST_BENCH_STARTUP_HPP
#define HOLDFAST_BENCH_STARTUP_HPP

#include <string>
#include <vector>

namespace holdfast::bench {

/// Runs @p arguments to its end, with no output. Throws where it cannot be started or does not succeed.
void run_program(const std::vector<std::string>& arguments);

}  // namespace holdfast::bench

#endif
