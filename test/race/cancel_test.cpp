// A cancel that meets the grant, over and over: whoever wins, nothing may be left behind.
#include <support/attempt.hpp>
#include <support/fake_lease.hpp>
#include <support/fake_session.hpp>

#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

using fakes::attempt;
using fakes::style;

constexpr int rounds = 10000;

/// Spins for up to a few microseconds, so that the two meet at another point each time.
void dawdle(std::minstd_rand& random) {
    for (auto left = random() % 2000; left > 0; --left) std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// Frees a lock that is held elsewhere and cancels its waiter at the same time. @return how often the grant won
template <class Server>
int race(Server& server, const provider& locks, style how) {
    fakes::handler_thread handlers;
    std::minstd_rand random(7);
    const auto lock = locks.make_lock("name");
    const std::string mapped(lock.mapped_name());
    int granted = 0;
    for (int round = 0; round < rounds; ++round) {
        server.take_elsewhere(mapped);
        fakes::pending_acquire waiting(handlers, how, lock, timeout::infinite());
        // Mostly when it stands waiting already, sometimes before.
        if (round % 8 != 0) {
            EXPECT_TRUE(fakes::eventually([&] { return server.waiting(); }));
        }
        std::jthread releasing([&server, &mapped, seed = random()] {
            std::minstd_rand mine(seed);
            dawdle(mine);
            server.free_elsewhere(mapped);
        });
        dawdle(random);
        waiting.cancel();
        const attempt made = waiting.get();
        releasing.join();
        EXPECT_TRUE(!made.code || made.code == errc::cancelled) << made.code.message();
        granted += made.code ? 0 : 1;
        if (testing::Test::HasFailure()) break;
    }
    return granted;
}

/// The two fakes with one face.
struct sessions {
    std::shared_ptr<fakes::session_server> server = std::make_shared<fakes::session_server>();
    void take_elsewhere(const std::string& mapped) { EXPECT_TRUE(server->take_elsewhere(mapped)); }
    void free_elsewhere(const std::string& mapped) { server->free_elsewhere(mapped); }
    bool waiting() const { return server->waiters() == 1; }
};

struct leases {
    std::shared_ptr<fakes::lease_server> server = std::make_shared<fakes::lease_server>();
    void take_elsewhere(const std::string& mapped) { server->take_elsewhere(mapped, std::chrono::seconds(60)); }
    void free_elsewhere(const std::string& mapped) { server->free_elsewhere(mapped); }
    bool waiting() const { return server->watches() == 1; }
};

class cancel_race_test : public testing::TestWithParam<style> {};

INSTANTIATE_TEST_SUITE_P(, cancel_race_test, testing::Values(style::sync, style::async),
                         [](const auto& each) { return fakes::name_of(each.param); });

TEST_P(cancel_race_test, a_session_s_lock_is_never_left_behind) {
    sessions server;
    const auto locks = fakes::make_session_provider(
        server.server, {}, {.reply_grace = std::chrono::seconds(5), .cancel_grace = std::chrono::seconds(1)});
    const int granted = race(server, locks, GetParam());
    EXPECT_EQ(server.server->holds(), 0);
    EXPECT_EQ(server.server->waiters(), 0);
    EXPECT_EQ(server.server->broken_rules(), 0);
    RecordProperty("granted", granted);
}

TEST_P(cancel_race_test, a_lease_is_never_left_behind) {
    leases server;
    const auto locks = fakes::make_lease_provider(server.server, {},
                                                  {.lifetime = std::chrono::seconds(60),
                                                   .reply_grace = std::chrono::seconds(5),
                                                   .cancel_grace = std::chrono::seconds(1)});
    const int granted = race(server, locks, GetParam());
    EXPECT_EQ(server.server->holds(), 0);
    EXPECT_EQ(server.server->watches(), 0);
    EXPECT_EQ(server.server->broken_rules(), 0);
    RecordProperty("granted", granted);
}

}  // namespace
}  // namespace holdfast
