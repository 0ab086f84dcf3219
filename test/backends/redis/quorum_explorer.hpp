// Two clients that want one lock of several servers, in simulated time, through every order of what can happen.
#ifndef HOLDFAST_TEST_BACKENDS_REDIS_QUORUM_EXPLORER_HPP
#define HOLDFAST_TEST_BACKENDS_REDIS_QUORUM_EXPLORER_HPP

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace holdfast::explorer {

/// When the choices begin; until then all goes as one would expect.
enum class phase { start, splitting, waiting, renewing, releasing };

/** What runs are about.

    The first client asks, holds the lock until it has been renewed once, and releases it. The second one asks, waits,
    holds it for a moment, and releases it.
*/
struct contest {
    std::string name;
    std::size_t servers = 3;
    /// Whose links: the calling threads', or the executor's.
    bool on_caller = true;
    phase opens = phase::start;
    /// The first one renews every 9 s.
    std::chrono::milliseconds first_holds{10000};
    /// When the second one asks.
    std::chrono::milliseconds second_asks{0};
    /// For how long. Unset: without end.
    std::optional<std::chrono::milliseconds> limit = {};
    /// The last server's connections take time.
    bool slow_to_connect = false;
    /// The first one does not get through to the last server at first, so that the second one is granted its vote.
    bool splits = false;
    /// How many choices a run has,
    std::size_t depth = 8;
    /// and how many of them may be more than one delivery before another: time that passes while something is on its
    /// way, a cancellation, an early release, a lost connection or one that is not made, a client that is
    /// cut off, stops or dies.
    std::size_t disturbances = 2;
    /// How many runs, chosen at random. Zero: every one.
    std::size_t samples = 0;
};

struct contest_result {
    std::size_t runs = 0;
    /// Runs that met what another one had seen.
    std::size_t cut_short = 0;
    /// What was seen at all, so that it is known that it was tried.
    std::size_t acquired_by_both = 0;
    std::size_t cancelled = 0;
    std::size_t timed_out = 0;
    std::size_t left_in_doubt = 0;
    /// The first violation with its trace; empty when there was none.
    std::string violation;
};

contest_result explore(const contest& what);

}  // namespace holdfast::explorer

#endif
