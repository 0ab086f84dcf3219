// A network that swallows what goes to some of several servers.
#include <support/attempt.hpp>
#include <support/network_namespace.hpp>
#include <support/redis_server.hpp>
#include <support/second_process.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::attempt;
using fakes::style;

/// The client is a child in a network of its own; the servers are here.
class redis_network : public testing::TestWithParam<style> {
protected:
    void SetUp() override {
        if (const std::string why = test::network_namespace::missing(); !why.empty()) {
            std::cout << "skipped: " << why << '\n';
            GTEST_SKIP() << why;
        }
        network_.emplace();
        for (int count = 0; count < 5; ++count) {
            servers_.push_back(std::make_unique<test::redis_server>(
                std::vector<std::string>{"--bind", "127.0.0.1", network_->address_here()}));
        }
    }

    redis::options options() const {
        redis::options made;
        made.servers.clear();
        for (const auto& each : servers_)
            made.servers.push_back({.host = network_->address_here(), .port = each->port()});
        made.expiry = 3s;
        made.min_validity = 1500ms;
        made.extension_cadence = 200ms;
        return made;
    }
    /// Drops what goes to the first @p count servers, and what comes from them.
    void cut(std::size_t count) const {
        std::vector<std::uint16_t> ports;
        for (std::size_t i = 0; i < count; ++i) ports.push_back(servers_[i]->port());
        network_->cut_from(ports);
    }
    int count_keys() const {
        int found = 0;
        for (const auto& each : servers_) found += static_cast<int>((*each)({"DBSIZE"}).integer);
        return found;
    }

    std::optional<test::network_namespace> network_;
    std::vector<std::unique_ptr<test::redis_server>> servers_;
};

INSTANTIATE_TEST_SUITE_P(styles, redis_network, testing::Values(style::sync, style::async),
                         [](const auto& which) { return fakes::name_of(which.param); });

TEST_P(redis_network, works_cut_off_from_two_of_five_and_not_from_three) {
    struct {
        test::signal_pipe ready;
        test::signal_pipe done;
    } const two, three, none;
    test::forked_child client(
        [&] {
            network_->enter();
            fakes::handler_thread handlers;
            // What an acquire leaves behind would be there for longer than the test waits.
            redis::options lasting = options();
            lasting.expiry = 120s;
            lasting.min_validity = lasting.expiry - 1500ms;
            const provider all = redis::make_provider(lasting);
            const provider short_ones = redis::make_provider(options());
            const auto acquire = [&](const char* name, timeout limit) {
                return fakes::acquire(handlers, GetParam(), all.make_lock(name), limit);
            };
            attempt held = fakes::acquire(handlers, GetParam(), short_ones.make_lock("held"), 5s);
            test::require(!held.code, "nothing is cut yet: " + held.diag.message);

            two.ready.notify();
            two.done.await();
            for (int round = 0; round < 10; ++round) {
                attempt how = acquire("name", 10s);
                test::require(!how.code, "cut off from two: " + how.diag.message);
                const attempt end = fakes::release(GetParam(), std::move(how.handle));
                test::require(!end.code, "a majority can confirm a release: " + end.diag.message);
            }
            const auto before = held.handle.valid_until();
            test::require(fakes::eventually([&] { return held.handle.valid_until() > before + 1s; }), "not renewed");
            test::require(held.handle.state() == held_state::held, "three of five are enough to keep it");

            const std::stop_token lost = held.handle.lost_token();
            three.ready.notify();
            three.done.await();
            const attempt how = acquire("name", 1s);
            test::require(how.code == errc::unavailable, "cut off from three: " + how.code.message());
            test::require(how.took < 8s, "the error took " + std::to_string(how.took.count()) + " ns");
            test::require(fakes::eventually([&] { return lost.stop_requested(); }), "nobody tells of the loss");
            test::require(held.handle.state() == held_state::lost, "it cannot have been kept");
            error_code ignored;
            held.handle.release(ignored);

            none.ready.notify();
            none.done.await();
            test::require(fakes::eventually([&] {
                              attempt again = acquire("name", 5s);
                              return !again.code && !fakes::release(GetParam(), std::move(again.handle)).code;
                          }),
                          "it does not work again");
        },
        120s);
    two.ready.await();
    cut(2);
    two.done.notify();
    three.ready.await(60s);
    network_->mend();
    cut(3);
    three.done.notify();
    none.ready.await(60s);
    network_->mend();
    none.done.notify();
    EXPECT_EQ(client.result(), "");
    EXPECT_TRUE(fakes::eventually([&] { return count_keys() == 0; })) << "something was left behind";
}

}  // namespace
}  // namespace holdfast
