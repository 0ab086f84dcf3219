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

TEST(redis_roll, forgets_a_server_with_its_last_connection) {
    roll all(2);
    EXPECT_EQ(all.enter(0, "one"), std::nullopt);
    EXPECT_EQ(all.enter(0, "one"), std::nullopt);
    EXPECT_EQ(all.enter(1, "one"), 0U);
    // A new connection cannot be made, but the others go on.
    all.leave(0);
    EXPECT_EQ(all.enter(1, "one"), 0U);
    all.end(0);
    EXPECT_EQ(all.enter(1, "one"), 0U);
    all.end(0);
    EXPECT_EQ(all.enter(1, "one"), std::nullopt);
    // A pause between two connections is no reason.
    all.end(1);
    EXPECT_EQ(all.enter(0, "one"), 1U);
    all.leave(1);
    EXPECT_EQ(all.enter(0, "one"), std::nullopt);
}

}  // namespace
}  // namespace holdfast::redis
