// How long it takes on Windows until a released lock is another process's.
#ifndef HOLDFAST_BENCH_WINDOWS_HANDOFF_HPP
#define HOLDFAST_BENCH_WINDOWS_HANDOFF_HPP

#include "../handoff.hpp"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::bench {

/// One way to hand a lock over. There is no fork here: the second process is this program once more, and makes the same
/// list of cases.
struct handoff_case {
    std::string backend;
    std::string kind;
    std::string style;
    std::function<contender()> ours;
    std::function<contender()> raw;
    std::string floor;
};

/// @param text the URL
/// @param tag  the same in both processes, and nobody else's
using case_maker = std::function<std::vector<handoff_case>(const std::string& text, const std::string& tag)>;

/** Two processes pass a lock to and fro, in each way and on one and two processors, as `measure_handoff` says. */
void handoff_rows(const std::string& text, const case_maker& make, const std::function<void(const row&)>& report);

/// If this is the second process: plays its side. @return whether it is
bool play_second_side(const case_maker& make);

}  // namespace holdfast::bench

#endif
