// Several locks at once. What a composite shares with a lock is tested with those.
#include <contract/fixture.hpp>

#include <mutex>

namespace holdfast::contract {
namespace {

/// Writes down what happens to which lock.
class scribe final : public observer {
public:
    void acquired(std::string_view name, std::chrono::nanoseconds) noexcept override { note("+", name); }
    void released(std::string_view name, error_code) noexcept override { note("-", name); }

    std::vector<std::string> read() const {
        const std::lock_guard guard(mutex_);
        return lines_;
    }

private:
    void note(const char* sign, std::string_view name) {
        const std::lock_guard guard(mutex_);
        lines_.push_back(sign + std::string(name));
    }

    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

class composite : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        for (std::string& each : names_) each = place().unique_name();
        watched_.emplace(place().make_provider({.observer = scribe_}));
    }

    const std::string& name(std::size_t which) const { return names_[which]; }
    std::vector<lock> all() const {
        return {watched_->make_lock(names_[0]), watched_->make_lock(names_[1]), watched_->make_lock(names_[2])};
    }
    std::vector<std::string> history() const { return scribe_->read(); }

private:
    std::array<std::string, 3> names_;
    std::shared_ptr<scribe> scribe_ = std::make_shared<scribe>();
    std::optional<provider> watched_;
};

HOLDFAST_CONTRACT_SUITE(composite, {.needs = &capabilities::lock, .what = "lock"});

template <class Call>
void expect_invalid_argument(Call call) {
    try {
        call();
        ADD_FAILURE() << "it was accepted";
    } catch (const error& thrown) {
        EXPECT_EQ(thrown.boost_code(), errc::invalid_argument) << thrown.what();
    }
}

HOLDFAST_CONTRACT(composite, of_nothing_is_refused, covers(62)) {
    expect_invalid_argument([] { acquire_all({}); });
    expect_invalid_argument([] { try_acquire_all({}); });
}

HOLDFAST_CONTRACT(composite, of_the_same_name_twice_is_refused, covers(62)) {
    const lock one = locks().make_lock(name(0));
    const lock same = locks().make_lock(name(0));
    expect_invalid_argument([&] { acquire_all({one, same}, milliseconds(10)); });
    expect_invalid_argument([&] { try_acquire_all({one, locks().make_lock(name(1)), one}); });
    EXPECT_TRUE(is_free(lock_target(locks(), name(0))));
}

HOLDFAST_CONTRACT(composite, acquires_in_the_order_of_its_list_and_releases_in_the_other, covers(63, 65)) {
    composite_handle taken = acquire_all(all(), seconds(10));
    ASSERT_EQ(taken.members().size(), 3U);
    for (std::size_t which = 0; which < 3; ++which) EXPECT_EQ(taken.members()[which].name(), name(which));
    taken.release();
    EXPECT_FALSE(taken);
    taken.release();
    EXPECT_EQ(history(),
              (std::vector{"+" + name(0), "+" + name(1), "+" + name(2), "-" + name(2), "-" + name(1), "-" + name(0)}));
}

HOLDFAST_CONTRACT(composite, releases_every_member_once_when_it_is_dropped, covers(65)) {
    {
        composite_handle first = acquire_all(all(), seconds(10));
        composite_handle second = std::move(first);
        EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is what is asked
        EXPECT_TRUE(second);
    }
    EXPECT_EQ(history().size(), 6U);
    for (std::size_t which = 0; which < 3; ++which) EXPECT_TRUE(is_free(lock_target(locks(), name(which))));
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_a_later_member_is_taken, covers(64, 66)) {
    const held in_the_way = take(lock_target(place().make_provider(), name(1)));
    EXPECT_FALSE(try_acquire_all(all()));
    EXPECT_EQ(history(), (std::vector{"+" + name(0), "-" + name(0)}));
    try {
        acquire_all(all(), milliseconds(5));
        ADD_FAILURE() << "it was acquired";
    } catch (const error& thrown) {
        EXPECT_EQ(thrown.boost_code(), errc::timed_out);
        EXPECT_EQ(thrown.diag().lock_name, name(1));
    }
    EXPECT_TRUE(is_free(lock_target(locks(), name(0))));
    EXPECT_TRUE(is_free(lock_target(locks(), name(2))));
    EXPECT_EQ(in_the_way.state(), held_state::held);
}

HOLDFAST_CONTRACT(composite, holds_nothing_if_it_is_cancelled_at_a_later_member, covers(14, 64)) {
    const held in_the_way = take(lock_target(place().make_provider(), name(1)));
    const target both{all(), access::exclusive};
    pending waiter = start_acquire(both);
    ASSERT_TRUE(eventually([&] { return !history().empty(); }));
    waiter.cancel();
    EXPECT_TRUE(failed_with(waiter.get(), errc::cancelled));
    EXPECT_TRUE(is_free(lock_target(locks(), name(0))));
}

HOLDFAST_CONTRACT(composite, gives_later_members_the_time_that_is_left, covers(67)) {
    constexpr milliseconds limit(600);
    boottime::duration took{};
    // The bound lies between the right time and that of a member which was given all of it again; it needs a machine
    // that is not too busy, so there is more than one attempt.
    for (int attempt = 0; attempt < 3; ++attempt) {
        held first = take(lock_target(place().make_provider(), name(0)));
        const held second = take(lock_target(place().make_provider(), name(1)));
        std::thread release_late([&] {
            std::this_thread::sleep_for(limit - milliseconds(100));
            first.drop();
        });
        took = time_of([&] { EXPECT_FALSE(try_acquire_all(all(), limit)); });
        release_late.join();
        EXPECT_GE(took, limit);
        if (took < limit + milliseconds(350)) return;
    }
    ADD_FAILURE() << "took " << took / milliseconds(1) << " ms";
}

HOLDFAST_CONTRACT(composite, is_lost_when_any_member_is, covers(68)) {
    for (std::size_t which = 0; which < 3; ++which) {
        composite_handle taken = acquire_all(all(), seconds(10));
        const std::stop_token token = taken.lost_token();
        EXPECT_FALSE(token.stop_requested());
        const std::string mapped(all()[which].mapped_name());
        HOLDFAST_NEEDS(place().lose_holds(name(which), mapped), "an environment that can destroy holds");
        EXPECT_TRUE(eventually([&] { return token.stop_requested(); }, limits().loss_noticed));
        EXPECT_EQ(taken.state(), held_state::lost);
        error_code code;
        taken.release(code);
        EXPECT_EQ(code, errc::lost);
        for (const std::string& each : {name(0), name(1), name(2)}) EXPECT_TRUE(is_free(lock_target(locks(), each)));
    }
}

}  // namespace
}  // namespace holdfast::contract
