// How soon a wait is over that nobody grants.
#ifndef HOLDFAST_BENCH_WAIT_ENDS_HPP
#define HOLDFAST_BENCH_WAIT_ENDS_HPP

#include "measure.hpp"

#include <holdfast/lock.hpp>
#include <holdfast/provider.hpp>

#include <chrono>
#include <functional>
#include <string>

namespace holdfast::bench {

/// How much later than after @p limit waits for @p taken end, which somebody else holds.
samples late_ends(const lock& taken, std::chrono::milliseconds limit, int count);

/** Rows of how late waits for a lock that is held end, by their time and when they are cancelled, in both styles.

    @param open what opens a provider for the same locks, each time another one
*/
void wait_end_rows(const std::string& backend, const std::string& kind,
                   const std::function<provider(const provider_settings&)>& open,
                   const std::function<void(const row&)>& report);

}  // namespace holdfast::bench

#endif
