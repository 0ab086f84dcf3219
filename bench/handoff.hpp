// How long it takes until a released lock is somebody else's.
#ifndef HOLDFAST_BENCH_HANDOFF_HPP
#define HOLDFAST_BENCH_HANDOFF_HPP

#include "measure.hpp"

#include <functional>

namespace holdfast::bench {

/// One side of a hand-off: made in the process that uses it, since locks do not survive a fork.
struct contender {
    std::function<void()> acquire;
    std::function<void()> release;
};

/** Two processes pass a lock to and fro; each sample is the time from just before a release to the other's acquire.

    The releaser waits before each release until the other has surely begun to wait.
    @param make     called once in each of the two processes
    @param pinned   both on processor 0; else one on 0 and one on 1
*/
samples measure_handoff(const std::function<contender()>& make, bool pinned, int count);

/** The same for a holder that is killed: the time from just before its SIGKILL to the waiter's acquire. */
samples measure_crash(const std::function<contender()>& make, bool pinned, int count);

}  // namespace holdfast::bench

#endif
