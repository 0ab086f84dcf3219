// Everything that `holdfast bench` can measure for one URL.
#ifndef HOLDFAST_BENCH_ROWS_HPP
#define HOLDFAST_BENCH_ROWS_HPP

#include "measure.hpp"

#include <holdfast/url.hpp>

#include <functional>
#include <string>

namespace holdfast::bench {

using reporter = std::function<void(const row&)>;

/** Measures the backend that @p address names, and hands each row to @p report as soon as it is there.

    @param text    the URL, to open providers with
    @param command the path of holdfast, to be started and timed
    @return false where this program has no rows for the scheme
*/
bool measure_rows(const url& address, const std::string& text, const std::string& command, const reporter& report);

}  // namespace holdfast::bench

#endif
