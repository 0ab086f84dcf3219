// Ends of waits that cross their grants, many times.
#ifndef HOLDFAST_TEST_BACKENDS_POSTGRES_RACES_HPP
#define HOLDFAST_TEST_BACKENDS_POSTGRES_RACES_HPP

#include "postgres_fixture.hpp"

namespace holdfast {

/// How the waits of a race ended.
struct race_result {
    int granted = 0;
    int not_granted = 0;
    /// Neither the lock nor the end that was meant.
    int wrong = 0;
};

/// A race of @p rounds in which nothing went wrong, and which was one: each end came now and then.
void check(const race_result& how, int rounds);
/// A holder releases at about the time at which a waiter's time is over.
race_result race_timeouts(const counted_provider& holders, const counted_provider& waiters, int rounds);
/// A holder releases at about the time at which a waiter is cancelled.
race_result race_cancels(const counted_provider& holders, const counted_provider& waiters, int rounds);

}  // namespace holdfast

#endif
