// How soon a wait is over that nobody grants.
#ifndef HOLDFAST_BENCH_WAIT_ENDS_HPP
#define HOLDFAST_BENCH_WAIT_ENDS_HPP

#include "measure.hpp"

#include <holdfast/lock.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>

namespace holdfast::bench {

/// How much later than after @p limit waits for @p taken end, which somebody else holds.
samples late_ends(const lock& taken, std::chrono::milliseconds limit, int count);
samples late_ends(const lock& taken, std::chrono::milliseconds limit, int count, boost::asio::io_context& io);

/// From the cancelling of waits that have stood for a while to their ends.
samples cancelled_ends(const lock& taken, int count);
samples cancelled_ends(const lock& taken, int count, boost::asio::io_context& io);

}  // namespace holdfast::bench

#endif
