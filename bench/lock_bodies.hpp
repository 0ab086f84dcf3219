// What is measured of ours, whatever the backend.
#ifndef HOLDFAST_BENCH_LOCK_BODIES_HPP
#define HOLDFAST_BENCH_LOCK_BODIES_HPP

#include "handoff.hpp"
#include "measure.hpp"

#include <holdfast/lock.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <vector>

namespace holdfast::bench {

/// One round of pairs made by a coroutine that stays on the I/O thread, each timed by itself.
samples coroutine_pairs(const lock& target, boost::asio::io_context& io, int count);

/** @p count pairs of each of @p targets, all targets at once; one sample, the share of a pair.

    Ends with the last pair, not with `io.run()`: a provider's timer stays on the executor for another 20 ms.
*/
samples concurrent_pairs(const std::vector<lock>& targets, boost::asio::io_context& io, int count);

using acquire_function = std::function<lock_handle(const lock&)>;

/// One side of a hand-off of @p target.
contender contender_of(const lock& target, acquire_function acquire);

/// Ways to wait for up to a minute. The asynchronous one is for processes that were forked, too.
lock_handle acquire_blocking(const lock& target);
lock_handle acquire_async(const lock& target);

}  // namespace holdfast::bench

#endif
