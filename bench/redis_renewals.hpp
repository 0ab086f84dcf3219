// What it costs to keep many leases alive.
#ifndef HOLDFAST_BENCH_REDIS_RENEWALS_HPP
#define HOLDFAST_BENCH_REDIS_RENEWALS_HPP

#include <holdfast/provider.hpp>

#include <boost/asio/io_context.hpp>

namespace holdfast::bench {

struct renewal_cost {
    /// Of this process, in microseconds.
    double per_renewal_us = 0;
    /// Of its heap, handle and lock object included.
    double bytes_a_lock = 0;
    /// Whether all were held to the end.
    bool held = false;
};

/** Holds @p count locks through one @p cadence and takes the processor time of it.

    @param locks whose executor is @p io, and whose cadence it is
*/
renewal_cost measure_renewals(const provider& locks, boost::asio::io_context& io, int count,
                              std::chrono::milliseconds cadence);

}  // namespace holdfast::bench

#endif
