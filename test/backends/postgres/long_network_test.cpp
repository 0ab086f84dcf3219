// Networks that swallow packets, and hosts that are none.
#include "postgres_fixture.hpp"

#include <support/network_namespace.hpp>

#include <future>
#include <iostream>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto lost_after = 2s;
/// TCP counts in whole seconds, and the machine may be busy.
constexpr auto bound = lost_after + 2s;

/// Clients are children in a network of their own; the server is here.
class postgres_network : public postgres_test {
protected:
    void SetUp() override {
        if (const std::string why = test::network_namespace::missing(); !why.empty()) {
            std::cout << "skipped: " << why << '\n';
            GTEST_SKIP() << why;
        }
        network_.emplace();
        server_.emplace(std::vector<std::string>{"listen_addresses=127.0.0.1," + network_->address_here()});
        server_->write("data/pg_hba.conf", "host all all all trust\n");
        server_->query("SELECT pg_reload_conf()");
        opts_.connection = "connect_timeout=5 host=" + network_->address_here();
        opts_.lost_after = lost_after;
        postgres_test::SetUp();
    }
    const test::postgres_server& server() const override {
        return server_ ? *server_ : test::postgres_server::shared();
    }

    const test::network_namespace& network() const { return *network_; }

    /// A child is ready for the network to be cut; it has been.
    struct cut {
        test::signal_pipe ready;
        test::signal_pipe done;
    };

    postgres::options opts_;

private:
    std::optional<test::network_namespace> network_;
    std::optional<test::postgres_server> server_;
};

TEST_F(postgres_network, a_holder_whose_packets_vanish_is_told_within_the_bound_and_the_lock_becomes_free) {
    const cut signals;
    test::forked_child holder([&] {
        network().enter();
        const auto from = make(opts_);
        const auto held = from.locks.make_lock("cut off").acquire(10s);
        std::promise<void> lost;
        const std::stop_callback callback(held.lost_token(), [&] { lost.set_value(); });
        signals.ready.notify();
        signals.done.await();
        const auto from_then = clock::now();
        test::require(lost.get_future().wait_for(30s) == std::future_status::ready, "the holder is never told");
        const auto took = clock::now() - from_then;
        std::cout << "told after " << std::chrono::duration<double>(took).count() << " s" << std::endl;
        test::require(took < bound, "the holder was told after " +
                                        std::to_string(std::chrono::duration<double>(took).count()) + " s");
        test::require(held.state() == held_state::lost, "it is told, but its state is not lost");
    });
    signals.ready.await();
    network().cut();
    signals.done.notify();
    const auto from_then = clock::now();
    const auto there = make().locks.make_lock("cut off").acquire(30s);
    EXPECT_LT(clock::now() - from_then, bound + 1s);
    EXPECT_EQ(holder.result(), "");
}

TEST_F(postgres_network, a_release_into_a_silent_network_ends_within_the_bound) {
    const cut signals;
    test::forked_child holder([&] {
        network().enter();
        const auto from = make(opts_);
        auto held = from.locks.make_lock("released into it").acquire(10s);
        signals.ready.notify();
        signals.done.await();
        const auto from_then = clock::now();
        error_code code;
        held.release(code);
        test::require(code == errc::lost || code == errc::in_doubt, "the release says " + code.message());
        test::require(clock::now() - from_then < bound + 1s, "the release took too long");
        // Nor does the next acquire hang.
        auto none = from.locks.make_lock("another").acquire(1s, {}, code);
        test::require(code == errc::unavailable, "an acquire says " + code.message());
    });
    signals.ready.await();
    network().cut();
    signals.done.notify();
    EXPECT_EQ(holder.result(), "");
}

TEST_F(postgres_network, a_waiter_whose_packets_vanish_is_told_and_leaves_the_line) {
    auto held = make().locks.make_lock("waited for").acquire();
    const cut signals;
    test::forked_child waiter([&] {
        network().enter();
        const auto from = make(opts_);
        error_code code;
        auto none = from.locks.make_lock("waited for").acquire(timeout::infinite(), {}, code);
        test::require(code == errc::unavailable, "the waiter is told " + code.message());
    });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));
    network().cut();
    const auto from_then = clock::now();
    EXPECT_EQ(waiter.result(), "");
    EXPECT_LT(clock::now() - from_then, bound);
    EXPECT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 0; }));
    EXPECT_LT(clock::now() - from_then, bound + 1s);
}

TEST_F(postgres_network, a_short_silence_loses_nothing) {
    const cut signals;
    const test::signal_pipe mended;
    test::forked_child holder([&] {
        network().enter();
        postgres::options opts = opts_;
        opts.lost_after = 20s;
        opts.keepalive = 50ms;
        const auto from = make(opts);
        auto held = from.locks.make_lock("silence").acquire(10s);
        signals.ready.notify();
        signals.done.await();
        mended.await();
        test::require(held.state() == held_state::held, "it was lost");
        held.release();
    });
    signals.ready.await();
    network().cut();
    signals.done.notify();
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(in_server(" AND granted"), 1);
    network().mend();
    mended.notify();
    EXPECT_EQ(holder.result(), "");
}

}  // namespace
}  // namespace holdfast
