// When leases are renewed and given up, on a clock that the test moves.
#include <lease/renewal.hpp>

#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

using core::renewal;
using namespace std::chrono_literals;

constexpr boottime::time_point start{1000s};
constexpr boottime::duration cadence = 3s;

class renewal_test : public testing::Test {
protected:
    // A lease of 10 s less 1 s of margin, renewed every 3 s.
    renewal plan_{cadence, start, start + 9s};
};

TEST_F(renewal_test, renews_once_each_cadence) {
    EXPECT_EQ(plan_.look(start + 2999ms), renewal::step::wait);
    EXPECT_EQ(plan_.next_look(), start + 3s);
    EXPECT_EQ(plan_.look(start + 3s), renewal::step::renew);
    EXPECT_EQ(plan_.look(start + 3s), renewal::step::wait) << "a renewal is on its way";
    plan_.ended(renewal::result::renewed, cadence, start + 3s, start + 4s, start + 12s);
    EXPECT_EQ(plan_.valid_until(), start + 12s);
    EXPECT_EQ(plan_.next_look(), start + 6s) << "counted from when it was sent";
}

TEST_F(renewal_test, comes_a_little_early_with_others_and_an_end_does_not) {
    EXPECT_EQ(plan_.look(start + 2989ms, 10ms), renewal::step::wait);
    EXPECT_TRUE(plan_.is_due(start + 2990ms, 10ms));
    EXPECT_EQ(plan_.look(start + 2990ms, 10ms), renewal::step::renew);
    EXPECT_FALSE(plan_.is_due(start + 8999ms, 10ms));
    EXPECT_EQ(plan_.look(start + 8999ms, 10ms), renewal::step::wait);
    EXPECT_TRUE(plan_.is_due(start + 9s, 10ms));
    EXPECT_EQ(plan_.look(start + 9s, 10ms), renewal::step::lost);
}

TEST_F(renewal_test, is_asked_for_when_less_than_the_tick_is_left) {
    renewal plan(95ms, start, start + 97ms);
    EXPECT_EQ(plan.look(start + 88ms, 10ms), renewal::step::renew);
}

TEST_F(renewal_test, a_failed_renewal_is_tried_again_soon_and_is_no_loss) {
    ASSERT_EQ(plan_.look(start + 3s), renewal::step::renew);
    plan_.ended(renewal::result::failed, cadence, start + 3s, start + 4s, {});
    EXPECT_EQ(plan_.look(start + 4s), renewal::step::wait);
    EXPECT_EQ(plan_.next_look(), start + 4750ms);
    EXPECT_EQ(plan_.look(start + 4750ms), renewal::step::renew);
}

TEST_F(renewal_test, one_that_failed_with_others_is_tried_again_at_once_and_alone_for_a_while) {
    ASSERT_EQ(plan_.look(start + 3s), renewal::step::renew);
    EXPECT_FALSE(plan_.is_alone());
    plan_.ended(renewal::result::failed_together, cadence, start + 3s, start + 4s, {});
    auto now = start + 4s;
    int alone = 0;
    for (; plan_.is_alone(); ++alone) {
        ASSERT_LT(alone, 100);
        ASSERT_EQ(plan_.look(now), renewal::step::renew);
        plan_.ended(renewal::result::renewed, cadence, now, now + 1ms, now + 9s);
        now = plan_.next_look();
    }
    EXPECT_GT(alone, 1);
    ASSERT_EQ(plan_.look(now), renewal::step::renew);
    plan_.ended(renewal::result::failed, cadence, now, now + 1ms, {});
    EXPECT_FALSE(plan_.is_alone()) << "it was alone already, or the answer was its own";
}

TEST_F(renewal_test, time_that_has_run_out_is_a_loss_even_while_a_renewal_is_out) {
    ASSERT_EQ(plan_.look(start + 3s), renewal::step::renew);
    EXPECT_EQ(plan_.next_look(), start + 9s);
    EXPECT_EQ(plan_.look(start + 9s), renewal::step::lost);
    EXPECT_EQ(plan_.look(start + 9s), renewal::step::wait) << "told once";
    EXPECT_EQ(plan_.next_look(), boottime::time_point::max());
}

TEST_F(renewal_test, a_server_that_does_not_know_the_lease_ends_it_at_once) {
    ASSERT_EQ(plan_.look(start + 3s), renewal::step::renew);
    plan_.ended(renewal::result::not_held, cadence, start + 3s, start + 3100ms, {});
    EXPECT_LE(plan_.next_look(), start + 3100ms);
    // Whoever sets a timer subtracts: that must not overflow.
    EXPECT_LT(plan_.next_look() - (start + 3100ms), 0ns);
    EXPECT_EQ(plan_.look(start + 3100ms), renewal::step::lost);
}

TEST_F(renewal_test, an_answer_never_shortens_a_lease) {
    ASSERT_EQ(plan_.look(start + 3s), renewal::step::renew);
    plan_.ended(renewal::result::renewed, cadence, start + 3s, start + 4s, start + 5s);
    EXPECT_EQ(plan_.valid_until(), start + 9s);
}

TEST(renewal_model_test, no_order_of_answers_lets_a_lease_run_out_unnoticed_or_renews_twice_at_once) {
    for (unsigned seed = 1; seed <= 2000; ++seed) {
        SCOPED_TRACE(seed);
        std::minstd_rand random(seed);
        auto now = start;
        auto valid_until = start + 9s;
        renewal plan(cadence, start, valid_until);
        bool out = false;
        auto sent_at = now;
        for (int step = 0; step < 60; ++step) {
            now += std::chrono::milliseconds(random() % 2500);
            const auto told = plan.look(now);
            ASSERT_EQ(told == renewal::step::lost, now >= valid_until);
            if (told == renewal::step::lost) break;
            ASSERT_LE(plan.next_look(), valid_until);
            if (told == renewal::step::renew) {
                ASSERT_FALSE(out);
                out = true;
                sent_at = now;
            } else if (out && random() % 2 == 0) {
                out = false;
                const bool renewed = random() % 3 == 0;
                if (renewed) valid_until = std::max(valid_until, sent_at + 9s);
                plan.ended(renewed ? renewal::result::renewed : renewal::result::failed, cadence, sent_at, now,
                           sent_at + 9s);
            }
        }
    }
}

}  // namespace
}  // namespace holdfast
