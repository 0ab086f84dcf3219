#include <core/key_state.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace holdfast {
namespace {

using core::access;
using core::key_state;
using admission = core::key_state::admission;

/// One who asks: a ticket, and what it was told.
struct asker final : core::notifier {
    explicit asker(access mode, bool only_try = false) {
        place.mode = mode;
        place.only_try = only_try;
    }
    void notify(unsigned bits) noexcept override { told |= bits; }
    bool has_turn() const noexcept { return (told & core::signal_turn) != 0; }
    bool was_refused() const noexcept { return (told & core::signal_turn_refused) != 0; }

    core::ticket place;
    unsigned told = 0;
};

class key_state_test : public testing::Test {
protected:
    asker& enter(access mode, bool only_try = false) {
        askers_.push_back(std::make_unique<asker>(mode, only_try));
        last_ = queue_.enter(askers_.back()->place, *askers_.back());
        return *askers_.back();
    }
    ~key_state_test() override {
        for (auto& each : askers_) queue_.leave(each->place);
    }

    key_state queue_{"name"};
    std::deque<std::unique_ptr<asker>> askers_;
    admission last_ = admission::queued;
};

TEST_F(key_state_test, the_first_has_the_turn_and_the_second_gets_it_when_the_first_leaves) {
    asker& first = enter(access::exclusive);
    EXPECT_EQ(last_, admission::turn);
    asker& second = enter(access::exclusive);
    EXPECT_EQ(last_, admission::queued);
    EXPECT_FALSE(second.has_turn());
    queue_.leave(first.place);
    EXPECT_TRUE(second.has_turn());
}

TEST_F(key_state_test, adjacent_readers_ask_together_and_none_overtakes_a_writer) {
    asker& first = enter(access::shared);
    asker& second = enter(access::shared);
    EXPECT_EQ(last_, admission::turn);
    asker& writer = enter(access::exclusive);
    asker& third = enter(access::shared);
    asker& fourth = enter(access::shared);
    EXPECT_FALSE(writer.has_turn() || third.has_turn());
    queue_.leave(first.place);
    EXPECT_FALSE(writer.has_turn());
    queue_.leave(second.place);
    EXPECT_TRUE(writer.has_turn());
    EXPECT_FALSE(third.has_turn());
    queue_.leave(writer.place);
    EXPECT_TRUE(third.has_turn() && fourth.has_turn());
}

TEST_F(key_state_test, readers_behind_a_writer_that_gives_up_join_the_readers_before_it) {
    enter(access::shared);
    asker& writer = enter(access::exclusive);
    asker& reader = enter(access::shared);
    EXPECT_FALSE(reader.has_turn());
    queue_.leave(writer.place);
    EXPECT_TRUE(reader.has_turn());
}

TEST_F(key_state_test, a_try_waits_for_an_answer_but_not_behind_somebody_who_waits) {
    asker& first = enter(access::exclusive);
    asker& early_try = enter(access::exclusive, true);
    EXPECT_EQ(last_, admission::queued);
    queue_.stand(first.place);
    EXPECT_TRUE(early_try.was_refused());
    enter(access::exclusive, true);
    EXPECT_EQ(last_, admission::refused);
    queue_.leave(first.place);
    enter(access::exclusive, true);
    EXPECT_EQ(last_, admission::turn);
}

TEST_F(key_state_test, leaving_twice_or_without_having_entered_changes_nothing) {
    asker stranger(access::exclusive);
    queue_.leave(stranger.place);
    asker& first = enter(access::exclusive);
    asker& second = enter(access::exclusive);
    queue_.leave(first.place);
    queue_.leave(first.place);
    EXPECT_TRUE(second.has_turn());
}

TEST_F(key_state_test, who_enters_alone_finds_nobody_there_and_has_the_turn) {
    core::ticket first;
    core::ticket second;
    ASSERT_TRUE(queue_.enter_alone(first, false));
    EXPECT_TRUE(first.has_turn);
    EXPECT_FALSE(queue_.enter_alone(second, true));
    EXPECT_FALSE(second.queued);
    const asker& next = enter(access::exclusive);
    EXPECT_EQ(last_, admission::queued);
    queue_.leave(first);
    EXPECT_TRUE(next.has_turn());
    EXPECT_FALSE(queue_.enter_alone(second, true)) << "somebody has the turn";
}

TEST_F(key_state_test, a_try_is_refused_behind_one_that_entered_alone_only_where_that_one_stands) {
    for (const bool stands : {false, true}) {
        core::ticket alone;
        ASSERT_TRUE(queue_.enter_alone(alone, stands));
        asker& early_try = enter(access::ticket, true);
        EXPECT_EQ(last_, stands ? admission::refused : admission::queued);
        queue_.stand(alone);
        EXPECT_NE(early_try.was_refused(), stands) << "told once, in one way";
        enter(access::ticket, true);
        EXPECT_EQ(last_, admission::refused);
        queue_.leave(alone);
    }
}

TEST_F(key_state_test, readers_join_one_that_entered_alone_until_it_stands) {
    core::ticket alone;
    alone.mode = access::shared;
    ASSERT_TRUE(queue_.enter_alone(alone, false));
    asker& beside = enter(access::shared, true);
    EXPECT_EQ(last_, admission::turn);
    queue_.leave(beside.place);
    queue_.stand(alone);
    enter(access::shared);
    EXPECT_EQ(last_, admission::queued);
    queue_.leave(alone);
}

TEST_F(key_state_test, an_heir_has_the_place_and_nobody_has_two) {
    for (const bool stands : {false, true}) {
        core::ticket first;
        ASSERT_TRUE(queue_.enter_alone(first, stands));
        const asker& second = enter(access::exclusive);
        asker heir(access::shared);
        queue_.bequeath(first, heir.place, heir);
        EXPECT_TRUE(heir.place.queued && heir.place.has_turn);
        EXPECT_EQ(heir.place.mode, access::exclusive);
        EXPECT_EQ(heir.place.waiting, stands);
        EXPECT_EQ(heir.told, 0U) << "it knows that it has the turn";
        EXPECT_FALSE(first.queued);
        queue_.leave(first);
        EXPECT_FALSE(second.has_turn()) << "who has bequeathed a place has none to give up";
        enter(access::exclusive, true);
        EXPECT_EQ(last_, stands ? admission::refused : admission::queued);
        queue_.leave(heir.place);
        EXPECT_TRUE(second.has_turn());
        for (auto& each : askers_) queue_.leave(each->place);
    }
}

TEST_F(key_state_test, an_heir_stands_between_the_same_two_neighbours) {
    // Of three readers that ask together each may be the one.
    for (std::size_t which = 0; which < 3; ++which) {
        askers_.clear();
        for (int count = 0; count < 3; ++count) enter(access::shared);
        const asker& writer = enter(access::exclusive);
        asker heir(access::exclusive);
        queue_.bequeath(askers_[which]->place, heir.place, heir);
        for (std::size_t other = 0; other < 3; ++other) queue_.leave(askers_[other]->place);
        EXPECT_FALSE(writer.has_turn()) << "the heir of reader " << which << " still has its turn";
        queue_.leave(heir.place);
        EXPECT_TRUE(writer.has_turn());
        queue_.leave(askers_[3]->place);
        core::ticket alone;
        EXPECT_TRUE(queue_.enter_alone(alone, true)) << "nobody is left";
        queue_.leave(alone);
    }
}

/// The queue as its documentation tells it, without haste.
class model {
public:
    struct entry {
        int id;
        access mode;
        bool only_try;
        bool turn = false;
        bool waiting = false;
    };

    bool enter(int id, access mode, bool only_try) {
        if (only_try && std::any_of(line_.begin(), line_.end(), [](const entry& each) { return each.waiting; })) {
            return false;
        }
        line_.push_back({id, mode, only_try});
        grant();
        return true;
    }
    void stand(int id) {
        entry& found = *find(id);
        if (found.waiting) return;
        found.waiting = true;
        std::erase_if(line_, [](const entry& each) { return each.only_try && !each.turn; });
    }
    void leave(int id) {
        std::erase_if(line_, [id](const entry& each) { return each.id == id; });
        grant();
    }
    bool present(int id) { return find(id) != line_.end(); }
    bool has_turn(int id) { return find(id)->turn; }
    const std::deque<entry>& line() const { return line_; }

private:
    std::deque<entry>::iterator find(int id) {
        return std::find_if(line_.begin(), line_.end(), [id](const entry& each) { return each.id == id; });
    }
    /// Whoever has everybody before it in agreement: nobody, or readers that have their turn and do not stand.
    void grant() {
        for (std::size_t at = 0; at < line_.size(); ++at) {
            const bool together = std::all_of(
                line_.begin(), line_.begin() + static_cast<std::ptrdiff_t>(at),
                [](const entry& each) { return each.turn && each.mode == access::shared && !each.waiting; });
            if (at == 0 || (together && line_[at].mode == access::shared)) line_[at].turn = true;
        }
    }

    std::deque<entry> line_;
};

class random_run {
public:
    explicit random_run(unsigned seed) : random_(seed) {}
    ~random_run() {
        for (auto& each : askers_) queue_.leave(each->place);
    }

    void step() {
        const auto& line = expected_.line();
        const auto kind = static_cast<unsigned>(random_() % 9);
        if (line.empty() || kind < 4) return enter();
        const auto& one = line[random_() % line.size()];
        const int id = one.id;
        if (kind == 8) {
            // Of which the others see nothing.
            if (one.turn) bequeath(askers_[static_cast<std::size_t>(id)]);
        } else if (kind < 5 && one.turn && !one.only_try) {
            expected_.stand(id);
            queue_.stand(askers_[static_cast<std::size_t>(id)]->place);
        } else {
            expected_.leave(id);
            queue_.leave(askers_[static_cast<std::size_t>(id)]->place);
        }
    }
    void compare() {
        for (std::size_t id = 0; id < askers_.size(); ++id) {
            const int number = static_cast<int>(id);
            if (expected_.present(number)) {
                ASSERT_TRUE(askers_[id]->place.queued) << id;
                ASSERT_EQ(askers_[id]->has_turn(), expected_.has_turn(number)) << id;
            } else {
                ASSERT_FALSE(askers_[id]->place.queued) << id;
            }
        }
    }

private:
    void bequeath(std::unique_ptr<asker>& from) {
        auto heir = std::make_unique<asker>(access::exclusive);
        heir->told = from->told;
        queue_.bequeath(from->place, heir->place, *heir);
        from = std::move(heir);
    }
    void enter() {
        static constexpr access modes[] = {access::exclusive, access::shared, access::shared, access::upgradeable,
                                           access::ticket};
        const access mode = modes[random_() % std::size(modes)];
        const bool only_try = random_() % 3 == 0;
        const int id = static_cast<int>(askers_.size());
        askers_.push_back(std::make_unique<asker>(mode, only_try));
        const bool admitted = expected_.enter(id, mode, only_try);
        const auto how = queue_.enter(askers_.back()->place, *askers_.back());
        ASSERT_EQ(how != admission::refused, admitted);
        // The answer says it already.
        ASSERT_EQ(askers_.back()->told, 0U);
        if (how == admission::turn) askers_.back()->told = core::signal_turn;
        if (admitted) {
            ASSERT_EQ(how == admission::turn, expected_.has_turn(id));
        }
    }

    std::minstd_rand random_;
    key_state queue_{"name"};
    model expected_;
    std::vector<std::unique_ptr<asker>> askers_;
};

TEST(key_state_model_test, random_orders_of_entering_standing_and_leaving_agree_with_the_model) {
    for (unsigned seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE(seed);
        random_run one(seed);
        for (int step = 0; step < 120; ++step) {
            one.step();
            one.compare();
            if (testing::Test::HasFatalFailure()) return;
        }
    }
}

}  // namespace
}  // namespace holdfast
