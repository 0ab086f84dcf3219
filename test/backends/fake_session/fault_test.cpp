// What becomes of sessions' locks when the server, the connection or the caller fails.
#include <support/attempt.hpp>
#include <support/fake_session.hpp>

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
// Timeout, and the two graces of the fake's options; the rest is for a busy machine.
constexpr std::chrono::milliseconds bound = limit + 200ms + 100ms + 700ms;

class session_fault_test : public testing::TestWithParam<style> {
protected:
    ~session_fault_test() override {
        handle_ = {};
        EXPECT_TRUE(fakes::eventually([this] { return server_->holds() == 0; })) << "a lock was left behind";
        EXPECT_TRUE(fakes::eventually([this] { return server_->waiters() == 0; })) << "a waiter was left behind";
        EXPECT_EQ(server_->broken_rules(), 0);
    }

    attempt acquire(timeout how_long = limit) { return fakes::acquire(handlers_, GetParam(), lock_, how_long); }
    void hold() {
        attempt made = acquire();
        ASSERT_FALSE(made.code) << made.code.message();
        handle_ = std::move(made.handle);
    }

    fakes::handler_thread handlers_;
    const std::shared_ptr<fakes::session_server> server_ = std::make_shared<fakes::session_server>();
    provider provider_ = fakes::make_session_provider(server_, {.release_timeout = 150ms});
    lock lock_ = provider_.make_lock("name");
    const std::string mapped_{lock_.mapped_name()};
    lock_handle handle_;
};

INSTANTIATE_TEST_SUITE_P(, session_fault_test, testing::Values(style::sync, style::async),
                         [](const auto& each) { return fakes::name_of(each.param); });

struct acquire_row {
    const char* name;
    verb what;
    fault which;
    int times;
    bool contended;
    /// Unset: the acquire succeeds.
    std::optional<errc> expected;
    /// Where no answer came, nobody can tell.
    held_state state = held_state::released;
};

const acquire_row acquire_rows[] = {
    {"an error", verb::try_acquire, {fault_kind::fails, 0ms, errc::protocol}, 1, false, errc::protocol},
    {"doubt, granted", verb::try_acquire, {fault_kind::doubt_after}, 1, false, {}},
    {"doubt, not granted",
     verb::try_acquire,
     {fault_kind::doubt_before, 0ms, errc::protocol},
     1,
     false,
     errc::protocol},
    {"a dead link", verb::try_acquire, {fault_kind::link_lost_before}, 1, false, {}},
    {"a lost reply", verb::try_acquire, {fault_kind::link_lost_after}, 1, false, {}},
    {"two lost replies", verb::try_acquire, {fault_kind::link_lost_after}, 2, false, errc::unavailable},
    {"a late reply", verb::try_acquire, {fault_kind::late, 40ms}, 1, false, {}},
    {"no reply", verb::try_acquire, {fault_kind::hangs}, 1, false, errc::in_doubt, held_state::unknown},
    {"no reply, granted", verb::try_acquire, {fault_kind::hangs_after}, 1, false, errc::in_doubt, held_state::unknown},
    {"an error while waiting", verb::wait, {fault_kind::fails, 0ms, errc::deadlock}, 1, true, errc::deadlock},
    {"the server's own limit", verb::wait, {fault_kind::doubt_before, 0ms, errc::timed_out}, 1, true, errc::timed_out},
    {"a link lost while waiting", verb::wait, {fault_kind::link_lost_before}, 1, true, errc::unavailable},
    {"a hung wait", verb::wait, {fault_kind::hangs}, 1, true, errc::in_doubt, held_state::unknown},
    {"nothing but contention", verb::count, {}, 1, true, errc::timed_out},
};

TEST_P(session_fault_test, each_fault_of_an_acquire_ends_as_it_should_and_in_time) {
    for (const acquire_row& row : acquire_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        server_->script(row.what, row.which, row.times);
        if (row.contended) {
            ASSERT_TRUE(server_->take_elsewhere(mapped_));
        }
        attempt made = acquire();
        if (row.contended) server_->free_elsewhere(mapped_);
        EXPECT_EQ(made.code, row.expected ? make_error_code(*row.expected) : error_code());
        if (row.expected) {
            EXPECT_EQ(made.diag.state, row.state);
        }
        EXPECT_LT(made.took, bound);
        made.handle = {};
        EXPECT_EQ(server_->holds(), 0);
        EXPECT_EQ(server_->waiters(), 0);
    }
    server_->clear_script();
    EXPECT_FALSE(acquire().code);
}

TEST_P(session_fault_test, whatever_a_connect_throws_ends_the_acquire) {
    server_->refuse_connections(1);
    EXPECT_EQ(acquire().code, errc::unavailable);
    server_->refuse_connections(1, [] { throw std::runtime_error("a driver's own"); });
    const attempt made = acquire();
    EXPECT_EQ(made.code, errc::unavailable);
    EXPECT_EQ(made.diag.message, "a driver's own");
    EXPECT_FALSE(acquire().code);
}

TEST_P(session_fault_test, a_dead_idle_link_is_no_reason_to_fail) {
    EXPECT_FALSE(acquire().code);
    EXPECT_EQ(server_->kill_idle(), 1);
    EXPECT_FALSE(acquire().code);
}

struct cancel_row {
    const char* name;
    fault which;
    bool freed_by_cancel;
};

const cancel_row cancel_rows[] = {
    {"a cancel in time", {}, false},
    {"a cancel that crosses the grant", {}, true},
    {"a grant that is answered with an error", {fault_kind::doubt_after}, true},
    {"a cancel that has no effect", {fault_kind::ignores_cancel}, false},
    {"a hung server", {fault_kind::hangs}, false},
};

TEST_P(session_fault_test, a_cancelled_wait_holds_nothing) {
    for (const cancel_row& row : cancel_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        server_->script(verb::wait, row.which);
        const int before = server_->requests();
        ASSERT_TRUE(server_->take_elsewhere(mapped_));
        if (row.freed_by_cancel) server_->before_cancel([this] { server_->free_elsewhere(mapped_); });
        fakes::pending_acquire waiting(handlers_, GetParam(), lock_, timeout::infinite());
        ASSERT_TRUE(fakes::eventually([&] { return server_->requests() == before + 2; }));
        const auto began = boottime::now();
        waiting.cancel();
        const attempt made = waiting.get();
        EXPECT_EQ(made.code, errc::cancelled);
        EXPECT_LT(boottime::now() - began, 100ms + 200ms + 700ms);
        server_->before_cancel({});
        server_->free_elsewhere(mapped_);
        EXPECT_EQ(server_->holds(), 0);
        EXPECT_EQ(server_->waiters(), 0);
    }
}

struct release_row {
    const char* name;
    fault which;
    std::optional<errc> expected;
};

const release_row release_rows[] = {
    {"an error", {fault_kind::fails, 0ms, errc::protocol}, errc::protocol},
    {"doubt, released", {fault_kind::doubt_after}, errc::in_doubt},
    {"doubt, not released", {fault_kind::doubt_before}, errc::in_doubt},
    {"a lost link", {fault_kind::link_lost_before}, errc::lost},
    {"no reply", {fault_kind::hangs}, errc::in_doubt},
    {"a late reply", {fault_kind::late, 30ms}, {}},
};

TEST_P(session_fault_test, each_fault_of_a_release_is_reported_and_leaves_nothing_held) {
    for (const release_row& row : release_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        hold();
        server_->script(verb::release, row.which);
        const attempt made = fakes::release(GetParam(), std::move(handle_));
        EXPECT_EQ(made.code, row.expected ? make_error_code(*row.expected) : error_code());
        EXPECT_LT(made.took, 150ms + 700ms);
        EXPECT_EQ(server_->holds(), 0);
        EXPECT_FALSE(acquire().code);
    }
}

TEST_P(session_fault_test, a_destructor_is_bounded_when_the_server_hangs) {
    hold();
    server_->script(verb::release, {fault_kind::hangs});
    const auto began = boottime::now();
    handle_ = {};
    EXPECT_LT(boottime::now() - began, 150ms + 700ms);
    EXPECT_EQ(server_->holds(), 0);
}

TEST_P(session_fault_test, the_end_of_a_session_fires_the_lost_token) {
    hold();
    std::promise<void> lost;
    const std::stop_callback on_loss(handle_.lost_token(), [&] { lost.set_value(); });
    EXPECT_EQ(handle_.state(), held_state::held);
    EXPECT_EQ(server_->kill_holders(mapped_), 1);
    EXPECT_EQ(lost.get_future().wait_for(10s), std::future_status::ready);
    EXPECT_EQ(handle_.state(), held_state::lost);
    EXPECT_EQ(fakes::release(GetParam(), std::move(handle_)).code, errc::lost);
}

TEST_P(session_fault_test, losses_and_releases_at_the_same_time_do_no_harm) {
    for (int round = 0; round < 300; ++round) {
        hold();
        const auto token = handle_.lost_token();
        std::jthread killer([this] { server_->kill_holders(mapped_); });
        const attempt made = fakes::release(GetParam(), std::move(handle_));
        EXPECT_TRUE(!made.code || made.code == errc::lost) << made.code.message();
    }
}

TEST_P(session_fault_test, the_handler_is_called_though_lock_and_provider_are_gone) {
    for (int round = 0; round < 200; ++round) {
        std::promise<error_code> done;
        ASSERT_TRUE(server_->take_elsewhere("lock:orphan"));
        fakes::make_session_provider(server_).make_lock("orphan").async_acquire(
            0ms, [&](error_code code, const lock_handle&) { done.set_value(code); });
        auto told = done.get_future();
        ASSERT_EQ(told.wait_for(10s), std::future_status::ready) << "round " << round;
        EXPECT_EQ(told.get(), errc::timed_out);
        server_->free_elsewhere("lock:orphan");
    }
}

TEST_P(session_fault_test, a_release_on_the_library_s_thread_does_not_wait) {
    hold();
    server_->script(verb::release, {fault_kind::late, 120ms});
    std::promise<boottime::duration> took;
    lock_.async_try_acquire(0ms, [&, held = std::move(handle_)](error_code, const std::optional<lock_handle>&) mutable {
        const auto began = boottime::now();
        held = {};
        took.set_value(boottime::now() - began);
    });
    EXPECT_LT(took.get_future().get(), 60ms);
    EXPECT_TRUE(fakes::eventually([this] { return server_->holds() == 0; }));
}

struct upgrade_row {
    const char* name;
    fault which;
    std::optional<errc> expected;
};

const upgrade_row upgrade_rows[] = {
    {"no fault", {}, {}},
    {"an error", {fault_kind::fails, 0ms, errc::protocol}, errc::protocol},
    {"doubt, upgraded", {fault_kind::doubt_after}, {}},
    {"doubt, not upgraded", {fault_kind::doubt_before, 0ms, errc::protocol}, errc::protocol},
    {"a lost link", {fault_kind::link_lost_before}, errc::lost},
    {"no reply", {fault_kind::hangs}, errc::lost},
};

TEST_P(session_fault_test, each_fault_of_an_upgrade_keeps_the_lock_or_says_that_it_is_lost) {
    const auto upgradeable = provider_.make_upgradeable_reader_writer_lock("upgrade");
    const auto reader = provider_.make_reader_writer_lock("upgrade");
    for (const upgrade_row& row : upgrade_rows) {
        SCOPED_TRACE(row.name);
        server_->clear_script();
        upgradeable_lock_handle held = upgradeable.acquire_upgradeable_read();
        server_->script(verb::convert, row.which);
        error_code code;
        if (GetParam() == style::sync) {
            held.upgrade(limit, {}, code);
        } else {
            std::promise<error_code> done;
            held.async_upgrade(limit, [&](error_code how) { done.set_value(how); });
            code = done.get_future().get();
        }
        EXPECT_EQ(code, row.expected ? make_error_code(*row.expected) : error_code());
        EXPECT_EQ(held.state(), code == errc::lost ? held_state::lost : held_state::held);
        EXPECT_EQ(reader.try_acquire_read().has_value(), static_cast<bool>(code));
        held = {};
        EXPECT_EQ(server_->holds(), 0);
    }
}

}  // namespace
}  // namespace holdfast
