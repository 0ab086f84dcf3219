// A counted number of tickets. With one ticket, or all but one taken, it is a mutex and tested with those.
#include <contract/fixture.hpp>

#include <atomic>
#include <climits>
#include <set>
#include <thread>

namespace holdfast::contract {
namespace {

class tickets : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        name_ = place().unique_name();
        second_name_ = place().unique_name();
    }

    target of(int count) { return of(locks(), count); }
    /// One of @p count tickets, or one of each of two semaphores with so many.
    target of(const provider& from, int count) const {
        if (GetParam().shape != shape::composite_tickets) return ticket_target(from, name_, count);
        return {std::vector<lock_request>{from.make_semaphore(name_, count), from.make_semaphore(second_name_, count)},
                access::ticket};
    }
    const std::string& name() const { return name_; }

    /** Lets many tasks take a ticket each, and stay until @p most of them are inside at once.
        @return the numbers of tasks that were inside at once
    */
    std::set<int> levels_reached(int tasks, int most) {
        std::atomic<int> inside{0};
        std::atomic<int> highest{0};
        std::mutex mutex;
        std::set<int> levels;
        std::vector<std::thread> threads;
        for (int count = 0; count < tasks; ++count) {
            threads.emplace_back([&, same = of(most)] {
                outcome how = acquire(same, seconds(30));
                EXPECT_TRUE(how.granted()) << how.code.message();
                const int level = ++inside;
                {
                    const std::lock_guard guard(mutex);
                    levels.insert(level);
                }
                if (level >= most) highest = level;
                eventually([&] { return highest >= most; }, limits().patience);
                --inside;
                EXPECT_FALSE(release(how.handle).code);
            });
        }
        for (std::thread& each : threads) each.join();
        return levels;
    }

private:
    std::string name_;
    std::string second_name_;
};

HOLDFAST_CONTRACT_SUITE(tickets, {.styles = every_style,
                                  .shapes = {shape::none, shape::composite_tickets},
                                  .needs = &capabilities::semaphore,
                                  .what = "semaphore"});

HOLDFAST_CONTRACT(tickets, their_number_is_reported_back, covers(52)) {
    for (const int count : {1, 2, 4711, INT_MAX}) {
        EXPECT_EQ(locks().make_semaphore(name(), count).max_count(), count);
    }
    for (const int count : {0, -1, INT_MIN}) {
        try {
            locks().make_semaphore(name(), count);
            ADD_FAILURE() << count << " tickets were accepted";
        } catch (const error& thrown) {
            EXPECT_EQ(thrown.boost_code(), errc::invalid_argument);
        }
    }
}

HOLDFAST_CONTRACT(tickets, three_of_them_let_one_two_and_three_in, covers(53, 69)) {
    EXPECT_EQ(levels_reached(10, 3), (std::set{1, 2, 3}));
    EXPECT_TRUE(is_free(of(3)));
}

HOLDFAST_CONTRACT(tickets, all_taken_keep_others_out_until_one_is_free, covers(54, 69)) {
    const provider elsewhere = place().make_provider();
    std::vector<held> taken;
    for (int count = 0; count < 3; ++count) taken.push_back(take(of(3)));
    EXPECT_TRUE(try_acquire(of(3)).nothing());
    EXPECT_TRUE(try_acquire(of(elsewhere, 3)).nothing());
    give(taken.back());
    const held last = take(of(elsewhere, 3));
    EXPECT_TRUE(try_acquire(of(3)).nothing());
}

/// A try that meets another one of its process, which is just being granted a ticket, has one of its own to get.
HOLDFAST_CONTRACT(tickets, as_many_tries_as_there_are_are_never_refused, covers(1)) {
    constexpr int all = 4;
    expect_no_try_refused(all, [&] { return of(all); });
}

HOLDFAST_CONTRACT(tickets, a_great_many_under_a_long_name_are_no_trouble, covers(55, 36)) {
    HOLDFAST_NEEDS(place().takes_any_name(), "free names");
    const target many = ticket_target(locks(), name() + std::string(1000, 'x'), INT_MAX);
    std::vector<held> taken;
    for (int count = 0; count < limits().concurrent_tickets; ++count) {
        outcome how = try_acquire(many);
        ASSERT_TRUE(how.granted()) << how.code.message();
        taken.push_back(std::move(how.handle));
    }
    for (held& each : taken) give(each);
}

HOLDFAST_CONTRACT(tickets, a_hundred_tasks_share_ten, covers(56, 69)) {
    const auto began = boottime::now();
    const std::set<int> levels = levels_reached(limits().concurrent_tickets, 10);
    EXPECT_LT(boottime::now() - began, seconds(30));
    EXPECT_EQ(*levels.rbegin(), 10);
    std::vector<held> all;
    for (int count = 0; count < 10; ++count) all.push_back(take(of(10)));
    EXPECT_TRUE(is_taken(of(10)));
}

/// What is asked of one semaphore.
class ticket_count : public tickets {
protected:
    outcome count(const target& of) { return calls().run({verb::count, &of}); }
    /// The count, which must be there.
    int free_of(int most) {
        const outcome how = count(of(most));
        EXPECT_FALSE(how.code) << how.code.message() << ": " << how.diag.message;
        return how.count;
    }
};

HOLDFAST_CONTRACT_SUITE(ticket_count, {.styles = every_style, .needs = &capabilities::semaphore, .what = "semaphore"});

HOLDFAST_CONTRACT(ticket_count, is_that_of_free_ones, covers(61)) {
    if (!can().current_count) {
        const outcome how = count(of(3));
        EXPECT_EQ(how.code, errc::unsupported);
        EXPECT_EQ(how.count, 0);
        EXPECT_EQ(how.diag.lock_name, name());
        return;
    }
    EXPECT_EQ(free_of(3), 3);
    std::vector<held> taken;
    for (const int left : {2, 1, 0}) {
        taken.push_back(take(of(3)));
        EXPECT_EQ(free_of(3), left);
    }
    for (const int left : {1, 2, 3}) {
        give(taken.back());
        taken.pop_back();
        EXPECT_EQ(free_of(3), left);
    }
    // Whoever believes in fewer tickets than there are holders must not see less than none.
    for (int count = 0; count < 3; ++count) taken.push_back(take(of(3)));
    EXPECT_EQ(free_of(1), 0);
}

}  // namespace
}  // namespace holdfast::contract
