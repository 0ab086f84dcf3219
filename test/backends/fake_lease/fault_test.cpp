// What becomes of leases when the server, the connection, the clock or the caller fails.
#include <support/attempt.hpp>
#include <support/fake_lease.hpp>
#include <support/shortage.hpp>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using core::verb;
using fakes::attempt;
using fakes::fault;
using fakes::fault_kind;
using fakes::style;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds limit = 120ms;
// Timeout, the two graces of the fake's options, and another reply's for giving back; the rest is for a busy machine.
constexpr std::chrono::milliseconds bound = limit + 100ms + 50ms + 100ms + 700ms;
constexpr fakes::lease_options options{.lifetime = 900ms, .margin = 200ms, .reply_grace = 100ms, .cancel_grace = 50ms};

class lease_fault_test : public testing::TestWithParam<style> {
protected:
    ~lease_fault_test() override {
        handle_ = {};
        EXPECT_TRUE(fakes::eventually([this] { return server_->watches() == 0; })) << "a watch was left behind";
        EXPECT_EQ(server_->holds(), 0);
        EXPECT_EQ(server_->marks(), 0);
        EXPECT_EQ(server_->broken_rules(), 0);
    }

    attempt acquire(timeout how_long = limit) { return fakes::acquire(handlers_, GetParam(), lock_, how_long); }
    void hold() {
        attempt made = acquire();
        ASSERT_FALSE(made.code) << made.code.message();
        handle_ = std::move(made.handle);
    }
    bool lost_token_fires() {
        std::promise<void> lost;
        const std::stop_callback on_loss(handle_.lost_token(), [&] { lost.set_value(); });
        return lost.get_future().wait_for(10s) == std::future_status::ready;
    }

    fakes::handler_thread handlers_;
    const std::shared_ptr<fakes::lease_server> server_ = std::make_shared<fakes::lease_server>();
    provider provider_ = fakes::make_lease_provider(server_, {.release_timeout = 150ms}, options);
    lock lock_ = provider_.make_lock("name");
    const std::string mapped_{lock_.mapped_name()};
    lock_handle handle_;
};

INSTANTIATE_TEST_SUITE_P(, lease_fault_test, testing::Values(style::sync, style::async),
                         [](const auto& each) { return fakes::name_of(each.param); });

struct acquire_row {
    const char* name;
    fault which;
    int times;
    /// Unset: the acquire succeeds.
    std::optional<errc> expected;
};

const acquire_row acquire_rows[] = {
    {"an error", {fault_kind::fails, 0ms, errc::protocol}, 1, errc::protocol},
    {"doubt, granted", {fault_kind::doubt_after}, 1, {}},
    {"doubt, not granted", {fault_kind::doubt_before, 0ms, errc::protocol}, 1, errc::protocol},
    {"a dead link", {fault_kind::link_lost_before}, 1, {}},
    {"a lost reply", {fault_kind::link_lost_after}, 1, {}},
    {"two dead links", {fault_kind::link_lost_before}, 2, errc::unavailable},
    {"two lost replies", {fault_kind::link_lost_after}, 2, errc::unavailable},
    {"a late reply", {fault_kind::late, 40ms}, 1, {}},
    {"no reply", {fault_kind::hangs}, 1, errc::unavailable},
    {"no reply, granted", {fault_kind::hangs_after}, 1, errc::unavailable},
};

TEST_P(lease_fault_test, each_fault_of_an_acquire_ends_as_it_should_and_in_time) {
    for (const acquire_row& row : acquire_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        server_->script(verb::try_acquire, row.which, row.times);
        attempt made = acquire();
        EXPECT_EQ(made.code, row.expected ? make_error_code(*row.expected) : error_code());
        EXPECT_LT(made.took, bound);
        made.handle = {};
        EXPECT_EQ(server_->holds(), 0);
    }
    EXPECT_FALSE(acquire().code);
}

TEST_P(lease_fault_test, what_cannot_be_given_back_is_reported_as_unknown) {
    server_->script(verb::try_acquire, {fault_kind::link_lost_after});
    server_->script(verb::release, {fault_kind::link_lost_before});
    const attempt made = acquire();
    EXPECT_EQ(made.code, errc::in_doubt);
    EXPECT_EQ(made.diag.state, held_state::unknown);
    EXPECT_EQ(server_->holds(), 1);
    EXPECT_TRUE(fakes::eventually([this] { return server_->holds() == 0; }));
}

TEST_P(lease_fault_test, a_grant_that_arrives_when_its_lease_is_over_is_given_back) {
    // 700 ms are what the margin leaves of the lease.
    server_->script(verb::try_acquire, {fault_kind::late, 750ms});
    const attempt made = acquire(5s);
    EXPECT_EQ(made.code, errc::unavailable);
    EXPECT_EQ(server_->requests(verb::release), 1);
    EXPECT_EQ(server_->holds(), 0);
}

TEST_P(lease_fault_test, whatever_a_connect_throws_ends_the_acquire) {
    server_->refuse_connections(1);
    EXPECT_EQ(acquire().code, errc::unavailable);
    server_->refuse_connections(1, [] { throw std::runtime_error("a driver's own"); });
    EXPECT_EQ(acquire().code, errc::unavailable);
    EXPECT_FALSE(acquire().code);
}

TEST_P(lease_fault_test, a_dead_idle_link_is_no_reason_to_fail) {
    EXPECT_FALSE(acquire().code);
    EXPECT_GE(server_->kill_idle(), 1);
    EXPECT_FALSE(acquire().code);
}

TEST_P(lease_fault_test, a_release_elsewhere_wakes_who_waits) {
    server_->take_elsewhere(mapped_, 60s);
    fakes::pending_acquire waiting(handlers_, GetParam(), lock_, timeout::infinite());
    ASSERT_TRUE(fakes::eventually([this] { return server_->watches() == 1; }));
    server_->free_elsewhere(mapped_);
    EXPECT_FALSE(waiting.get().code);
}

TEST_P(lease_fault_test, a_lost_wake_up_costs_no_more_than_the_holder_s_lease) {
    server_->take_elsewhere(mapped_, 250ms);
    server_->lose_wakes(1);
    fakes::pending_acquire waiting(handlers_, GetParam(), lock_, 10s);
    ASSERT_TRUE(fakes::eventually([this] { return server_->watches() == 1; }));
    server_->free_elsewhere(mapped_);
    const attempt made = waiting.get();
    EXPECT_FALSE(made.code);
    EXPECT_LT(made.took, 250ms + 700ms);
}

TEST_P(lease_fault_test, wake_ups_without_a_reason_do_not_end_a_wait) {
    server_->take_elsewhere(mapped_, 60s);
    fakes::pending_acquire waiting(handlers_, GetParam(), lock_, 200ms);
    const auto end = boottime::now() + 150ms;
    while (boottime::now() < end) {
        server_->wake_all();
        std::this_thread::yield();
    }
    const attempt made = waiting.get();
    server_->free_elsewhere(mapped_);
    EXPECT_EQ(made.code, errc::timed_out);
    EXPECT_GE(made.took, 200ms);
    EXPECT_LT(made.took, bound);
}

struct withdraw_row {
    const char* name;
    fault which;
    bool cancelled;
};

const withdraw_row withdraw_rows[] = {
    {"timed out", {}, false},
    {"cancelled", {}, true},
    {"an error, timed out", {fault_kind::fails}, false},
    {"no reply, cancelled", {fault_kind::hangs}, true},
    {"a lost link, timed out", {fault_kind::link_lost_after}, false},
};

TEST_P(lease_fault_test, a_writer_that_stops_waiting_takes_its_mark_away) {
    const auto table = provider_.make_reader_writer_lock("table");
    const std::string mapped(table.mapped_name());
    for (const withdraw_row& row : withdraw_rows) {
        SCOPED_TRACE(row.name);
        server_->take_elsewhere(mapped, 60s, core::access::shared);
        server_->script(verb::withdraw, row.which);
        const int before = server_->requests(verb::withdraw);
        std::promise<error_code> done;
        boost::asio::cancellation_signal signal;
        handlers_.run([&] {
            table.async_acquire_write(
                row.cancelled ? timeout::infinite() : timeout(limit),
                boost::asio::bind_cancellation_slot(
                    signal.slot(),
                    boost::asio::bind_executor(handlers_.executor(),
                                               [&](error_code code, const lock_handle&) { done.set_value(code); })));
        });
        ASSERT_TRUE(fakes::eventually([&] { return server_->marks() == 1; }));
        if (row.cancelled) handlers_.run([&] { signal.emit(boost::asio::cancellation_type::all); });
        EXPECT_EQ(done.get_future().get(), row.cancelled ? errc::cancelled : errc::timed_out);
        EXPECT_EQ(server_->requests(verb::withdraw), before + 1);
        // What could not be taken away ends with its time.
        EXPECT_TRUE(fakes::eventually([&] { return server_->marks() == 0; }));
        server_->free_elsewhere(mapped);
    }
}

struct cancel_row {
    const char* name;
    fault which;
};

const cancel_row cancel_rows[] = {
    {"while the reply is late", {fault_kind::late, fakes::until_let_go}},
    {"while there is no reply", {fault_kind::hangs}},
    {"while there is no reply, though granted", {fault_kind::hangs_after}},
    {"while the request is late", {fault_kind::arrives_late, fakes::until_let_go}},
};

TEST_P(lease_fault_test, a_cancelled_acquire_holds_nothing) {
    for (const cancel_row& row : cancel_rows) {
        SCOPED_TRACE(row.name);
        const int before = server_->requests(verb::try_acquire);
        server_->script(verb::try_acquire, row.which);
        fakes::pending_acquire asking(handlers_, GetParam(), lock_, timeout::infinite());
        ASSERT_TRUE(fakes::eventually([&] { return server_->requests(verb::try_acquire) == before + 1; }));
        const int given_up = server_->cancels();
        asking.cancel();
        ASSERT_TRUE(fakes::eventually([&] { return server_->cancels() == given_up + 1; }));
        server_->let_go();
        const attempt made = asking.get();
        EXPECT_EQ(made.code, errc::cancelled);
        EXPECT_LT(made.took, bound);
        EXPECT_EQ(server_->holds(), 0);
    }
}

struct release_row {
    const char* name;
    fault which;
    std::optional<errc> expected;
};

const release_row release_rows[] = {
    {"an error", {fault_kind::fails, 0ms, errc::protocol}, errc::protocol},
    {"doubt", {fault_kind::doubt_before}, errc::in_doubt},
    {"a dead link", {fault_kind::link_lost_before}, {}},
    {"a lost reply", {fault_kind::link_lost_after}, {}},
    {"no reply", {fault_kind::hangs}, errc::in_doubt},
};

TEST_P(lease_fault_test, each_fault_of_a_release_is_reported_and_what_is_left_ends_with_its_lease) {
    for (const release_row& row : release_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        hold();
        server_->script(verb::release, row.which);
        const attempt made = fakes::release(GetParam(), std::move(handle_));
        EXPECT_EQ(made.code, row.expected ? make_error_code(*row.expected) : error_code());
        EXPECT_LT(made.took, 150ms + 700ms);
        EXPECT_TRUE(fakes::eventually([this] { return server_->holds() == 0; }));
    }
}

TEST_P(lease_fault_test, a_destructor_is_bounded_when_the_server_hangs) {
    hold();
    server_->script(verb::release, {fault_kind::hangs});
    const auto began = boottime::now();
    handle_ = {};
    EXPECT_LT(boottime::now() - began, 150ms + 700ms);
    EXPECT_TRUE(fakes::eventually([this] { return server_->holds() == 0; }));
}

TEST_P(lease_fault_test, renewals_keep_a_lease_beyond_its_first_lifetime) {
    hold();
    const auto first = handle_.valid_until();
    ASSERT_TRUE(fakes::eventually([this] { return server_->requests(verb::renew) >= 4; }));
    EXPECT_GT(handle_.valid_until(), first);
    EXPECT_EQ(handle_.state(), held_state::held);
    EXPECT_FALSE(fakes::release(GetParam(), std::move(handle_)).code);
}

/// Counts renewals of locks.
class renewal_counter final : public observer {
public:
    void renewed(std::string_view) noexcept override { ++count; }
    std::atomic<int> count{0};
};

TEST_P(lease_fault_test, leases_of_one_kind_are_renewed_with_one_command) {
    const auto counter = std::make_shared<renewal_counter>();
    auto together = options;
    together.renewals_at_once = 4;
    const provider locks = fakes::make_lease_provider(server_, {.observer = counter}, together);
    std::vector<lock_handle> held;
    for (int number = 0; number < 10; ++number) {
        held.push_back(locks.make_lock("together " + std::to_string(number)).acquire());
    }
    held.push_back(locks.make_semaphore("together", 2).acquire());
    held.push_back(locks.make_reader_writer_lock("together, read").acquire_read());
    EXPECT_TRUE(fakes::eventually([&] { return counter->count >= 60; }));
    EXPECT_LT(2 * server_->requests(verb::renew), counter->count.load());
    for (const lock_handle& each : held) EXPECT_EQ(each.state(), held_state::held);
}

TEST_P(lease_fault_test, of_leases_renewed_together_each_is_lost_for_itself) {
    auto together = options;
    together.renewals_at_once = 4;
    const provider locks = fakes::make_lease_provider(server_, {}, together);
    const lock_handle kept = locks.make_lock("kept").acquire();
    const lock ended = locks.make_lock("ended");
    const lock_handle gone = ended.acquire();
    EXPECT_EQ(server_->expire(std::string(ended.mapped_name())), 1);
    EXPECT_TRUE(fakes::eventually([token = gone.lost_token()] { return token.stop_requested(); }));
    // Also where the command itself fails, which it does for all of them.
    server_->script(verb::renew, {fault_kind::fails});
    server_->script(verb::renew, {fault_kind::link_lost_before});
    const auto until = kept.valid_until();
    EXPECT_TRUE(fakes::eventually([&] { return kept.valid_until() > until; }));
    EXPECT_EQ(kept.state(), held_state::held);
}

TEST_P(lease_fault_test, one_renewal_that_fails_is_no_loss) {
    // With time for a second one, on a machine that has no processor for us for half a second.
    provider_ = fakes::make_lease_provider(
        server_, {}, {.lifetime = 2700ms, .margin = 600ms, .reply_grace = 100ms, .cancel_grace = 50ms});
    lock_ = provider_.make_lock("name");
    for (const auto kind : {fault_kind::fails, fault_kind::hangs, fault_kind::link_lost_before}) {
        hold();
        const auto token = handle_.lost_token();
        const auto first = handle_.valid_until();
        const int before = server_->requests(verb::renew);
        server_->script(verb::renew, {kind});
        ASSERT_TRUE(fakes::eventually([&] { return handle_.valid_until() > first || token.stop_requested(); }));
        EXPECT_FALSE(token.stop_requested());
        EXPECT_GE(server_->requests(verb::renew), before + 2);
        EXPECT_FALSE(fakes::release(GetParam(), std::move(handle_)).code);
    }
}

TEST_P(lease_fault_test, the_loss_is_told_before_the_server_can_give_the_lock_away) {
    for (const auto kind : {fault_kind::fails, fault_kind::hangs, fault_kind::link_lost_before}) {
        server_->script(verb::renew, {kind}, fakes::fault_script::always);
        hold();
        EXPECT_TRUE(lost_token_fires());
        EXPECT_EQ(server_->holds(), 1);
        EXPECT_GE(boottime::now(), handle_.valid_until());
        EXPECT_EQ(handle_.state(), held_state::lost);
        EXPECT_EQ(fakes::release(GetParam(), std::move(handle_)).code, errc::lost);
        server_->clear_script();
    }
}

TEST_P(lease_fault_test, a_lease_that_the_server_has_ended_is_lost) {
    hold();
    EXPECT_EQ(server_->expire(mapped_), 1);
    EXPECT_TRUE(lost_token_fires());
    EXPECT_EQ(handle_.state(), held_state::lost);
    EXPECT_EQ(fakes::release(GetParam(), std::move(handle_)).code, errc::lost);
}

TEST_P(lease_fault_test, a_release_is_not_undone_by_a_renewal_on_its_way) {
    const fault rows[] = {{fault_kind::arrives_late, 60ms}, {fault_kind::late, 60ms}};
    const auto other = fakes::make_lease_provider(server_, {}, options).make_lock("name");
    for (const fault& row : rows) {
        hold();
        const int before = server_->requests(verb::renew);
        server_->script(verb::renew, row);
        ASSERT_TRUE(fakes::eventually([&] { return server_->requests(verb::renew) == before + 1; }));
        EXPECT_FALSE(fakes::release(GetParam(), std::move(handle_)).code);
        EXPECT_EQ(server_->holds(), 0);
        auto next = other.try_acquire();
        ASSERT_TRUE(next.has_value());
        ASSERT_TRUE(fakes::eventually([&] { return server_->requests(verb::renew) == before + 2; }));
        EXPECT_EQ(next->state(), held_state::held);
        EXPECT_EQ(server_->holds(), 1);
    }
}

TEST(lease_clock_test, the_first_look_after_the_deadline_says_lost_though_no_timer_ran) {
    const auto server = std::make_shared<fakes::lease_server>();
    // Nobody runs it.
    boost::asio::io_context stuck;
    const auto locks = fakes::make_lease_provider(server, {.executor = stuck.get_executor()}, options);
    auto held = locks.make_lock("name").acquire();
    EXPECT_EQ(held.state(), held_state::held);
    while (boottime::now() < held.valid_until()) std::this_thread::yield();
    EXPECT_EQ(held.state(), held_state::lost);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
}

TEST(lease_clock_test, a_release_after_the_deadline_is_a_loss_whatever_the_server_says) {
    const auto server = std::make_shared<fakes::lease_server>();
    boost::asio::io_context stuck;
    const auto locks = fakes::make_lease_provider(server, {.executor = stuck.get_executor()}, options);
    auto held = locks.make_lock("name").acquire();
    while (boottime::now() < held.valid_until()) std::this_thread::yield();
    // What is left there is the margin.
    ASSERT_EQ(server->holds(), 1);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(server->holds(), 0);
}

TEST(lease_clock_test, who_begins_to_watch_after_the_deadline_is_told_at_once) {
    const auto server = std::make_shared<fakes::lease_server>();
    boost::asio::io_context stuck;
    const auto locks = fakes::make_lease_provider(server, {.executor = stuck.get_executor()}, options);
    fakes::handler_thread handlers;
    const auto one = locks.make_lock("one").acquire();
    const auto two = locks.make_lock("two").acquire();
    while (boottime::now() < two.valid_until()) std::this_thread::yield();
    std::promise<void> stopped;
    const std::stop_callback on_loss(one.lost_token(), [&] { stopped.set_value(); });
    std::promise<error_code> ended;
    two.async_wait_lost(
        boost::asio::bind_executor(handlers.executor(), [&](error_code code) { ended.set_value(code); }));
    EXPECT_EQ(stopped.get_future().wait_for(10s), std::future_status::ready);
    auto end = ended.get_future();
    ASSERT_EQ(end.wait_for(10s), std::future_status::ready);
    EXPECT_EQ(end.get(), error_code());
}

TEST(lease_shortage_test, a_lease_that_cannot_be_renewed_is_given_back_and_the_acquire_fails) {
    HOLDFAST_NEEDS_NO_DESCRIPTORS();
    const auto server = std::make_shared<fakes::lease_server>();
    // Has asked for no descriptor yet.
    boost::asio::io_context executor;
    const auto locks = fakes::make_lease_provider(server, {.executor = executor.get_executor()}, options);
    const auto one = locks.make_lock("name");
    error_code code;
    diagnostics diag;
    {
        const test::no_descriptors none;
        EXPECT_FALSE(one.acquire(10s, {}, code, &diag));
        EXPECT_THROW((void)one.acquire(10s), error);
    }
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_EQ(diag.state, held_state::released);
    EXPECT_EQ(server->requests(verb::try_acquire), 2);
    EXPECT_EQ(server->holds(), 0);
    EXPECT_TRUE(one.acquire(10s));
}

}  // namespace
}  // namespace holdfast
