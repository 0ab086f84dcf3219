// Ends of waits that cross their grants leave nothing behind. The long test of the same does it more often.
#include "races.hpp"

namespace holdfast {
namespace {

#ifndef HOLDFAST_RACE_ROUNDS
#define HOLDFAST_RACE_ROUNDS 600
#endif

class postgres_race : public postgres_test {};

TEST_F(postgres_race, of_a_timeout_against_the_grant_leaves_no_lock) {
    const auto holders = make();
    const auto waiters = make();
    check(race_timeouts(holders, waiters, HOLDFAST_RACE_ROUNDS), HOLDFAST_RACE_ROUNDS);
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_race, of_a_cancel_against_the_grant_leaves_no_lock) {
    const auto holders = make();
    const auto waiters = make();
    check(race_cancels(holders, waiters, HOLDFAST_RACE_ROUNDS), HOLDFAST_RACE_ROUNDS);
    EXPECT_EQ(in_server(""), 0);
}

TEST_F(postgres_race, is_the_same_for_those_who_wait_without_a_connection) {
    postgres::options opts;
    opts.max_connections = 1;
    opts.retry_every = std::chrono::milliseconds(1);
    const auto holders = make();
    const auto waiters = make(opts);
    check(race_timeouts(holders, waiters, HOLDFAST_RACE_ROUNDS / 2), HOLDFAST_RACE_ROUNDS / 2);
    check(race_cancels(holders, waiters, HOLDFAST_RACE_ROUNDS / 2), HOLDFAST_RACE_ROUNDS / 2);
    EXPECT_EQ(in_server(""), 0);
}

}  // namespace
}  // namespace holdfast
