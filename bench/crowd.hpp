// Many processes that want the same at once.
#ifndef HOLDFAST_BENCH_CROWD_HPP
#define HOLDFAST_BENCH_CROWD_HPP

#include "handoff.hpp"

namespace holdfast::bench {

struct crowd_result {
    /// Time that passes for each acquisition of anybody's, in microseconds.
    double per_acquisition_us = 0;
    double longest_wait_us = 0;
    /// How often a process went to sleep, for each acquisition.
    double sleeps_per_acquisition = 0;
};

/** @p processes acquire and release for @p seconds, as often as they can.

    @param make called once in each process
*/
crowd_result measure_crowd(const std::function<contender()>& make, int processes, double seconds);

}  // namespace holdfast::bench

#endif
