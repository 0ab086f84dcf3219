// Votes among servers: when a majority is there, and when it cannot come any more.
#include <backends/redis/quorum_vote.hpp>
#include <backends/redis/roll.hpp>

#include <gtest/gtest.h>

namespace holdfast::redis {
namespace {

using answer = tally::answer;

TEST(redis_tally, needs_more_than_half_and_is_vetoed_by_the_rest) {
    const struct {
        std::size_t servers;
        std::size_t majority;
        std::size_t veto;
    } rows[] = {{1, 1, 1}, {2, 2, 1}, {3, 2, 2}, {4, 3, 2}, {5, 3, 3}, {6, 4, 3}, {7, 4, 4}};
    for (const auto& row : rows) {
        const tally votes(row.servers);
        EXPECT_EQ(votes.majority(), row.majority);
        EXPECT_EQ(votes.veto(), row.veto);
        EXPECT_EQ(votes.majority() + votes.veto(), row.servers + 1) << "one more than all: never both";
    }
}

/// Every sequence of answers: what is said once stays true, and two clients cannot both win.
void try_all(tally votes, std::size_t left) {
    EXPECT_FALSE(votes.won() && votes.cannot_win());
    EXPECT_TRUE(!votes.denied() || votes.cannot_win());
    EXPECT_TRUE(!votes.faulty() || votes.cannot_win());
    if (left == 0) {
        EXPECT_TRUE(votes.complete());
        EXPECT_TRUE(votes.won() || votes.cannot_win()) << "all have answered, so it is decided";
        return;
    }
    for (const answer next : {answer::yes, answer::no, answer::fault}) {
        tally then = votes;
        then.add(next);
        EXPECT_TRUE(!votes.won() || then.won());
        EXPECT_TRUE(!votes.cannot_win() || then.cannot_win());
        try_all(then, left - 1);
    }
}

TEST(redis_tally, is_decided_once_and_for_all) {
    for (std::size_t servers = 1; servers <= 7; ++servers) try_all(tally(servers), servers);
}

TEST(redis_roll, knows_a_server_by_one_address_until_its_votes_there_are_over) {
    constexpr std::chrono::seconds memory{30};
    const boottime::time_point start = boottime::now();
    roll all(memory);
    EXPECT_EQ(all.enter(0, "one", start), std::nullopt);
    EXPECT_EQ(all.enter(0, "one", start), std::nullopt);
    EXPECT_EQ(all.enter(1, "one", start + 2 * memory), 0U) << "as long as there is a connection";
    all.end(0, "one", start);
    EXPECT_EQ(all.enter(1, "one", start + 2 * memory), 0U);
    const auto end = start + 3 * memory;
    all.end(0, "one", end);
    EXPECT_EQ(all.enter(1, "one", end + memory - std::chrono::nanoseconds(1)), 0U) << "it may count still";
    EXPECT_EQ(all.enter(1, "one", end + memory), std::nullopt);
    EXPECT_EQ(all.enter(0, "one", end + memory), 1U);
}

TEST(redis_roll, lets_servers_exchange_their_addresses) {
    constexpr std::chrono::seconds memory{30};
    const boottime::time_point start = boottime::now();
    roll all(memory);
    EXPECT_EQ(all.enter(0, "one", start), std::nullopt);
    EXPECT_EQ(all.enter(1, "other", start), std::nullopt);
    all.end(0, "one", start);
    // What stands leads where it led.
    EXPECT_EQ(all.enter(0, "other", start), 1U);
    EXPECT_EQ(all.enter(0, "third", start), std::nullopt);
    EXPECT_EQ(all.enter(1, "one", start), 0U) << "not forgotten for a third one";
    all.end(1, "other", start);
    EXPECT_EQ(all.enter(0, "other", start + memory), std::nullopt);
    EXPECT_EQ(all.enter(1, "one", start + memory), std::nullopt);
}

}  // namespace
}  // namespace holdfast::redis
