// Locks of servers, which answer late: handles that end on the library's own thread, losses and renewals at any moment.
#include "race.hpp"

#include <support/fake_lease.hpp>
#include <support/fake_session.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::span;
using race::together;

constexpr int thread_count = 4;
constexpr int most_pending = 32;

/// The two fakes with one face.
struct sessions {
    std::shared_ptr<fakes::session_server> server = std::make_shared<fakes::session_server>();
    provider make_provider() const { return fakes::make_session_provider(server); }
    void take_away(const std::string& mapped) const { server->kill_holders(mapped); }
    int holds() const { return server->holds(); }
};

struct leases {
    std::shared_ptr<fakes::lease_server> server = std::make_shared<fakes::lease_server>();
    /// Renewed every few milliseconds.
    provider make_provider() const { return fakes::make_lease_provider(server, {}, {.lifetime = 400ms}); }
    void take_away(const std::string& mapped) const { server->expire(mapped); }
    int holds() const { return server->holds(); }
};

template <class Server>
class server_race : public testing::Test {
protected:
    Server server_;
};

using servers = testing::Types<sessions, leases>;

struct server_names {
    template <class Server>
    static std::string GetName(int) {  // NOLINT(readability-identifier-naming): the name GoogleTest looks for
        return std::is_same_v<Server, sessions> ? "sessions" : "leases";
    }
};

TYPED_TEST_SUITE(server_race, servers, server_names);

TYPED_TEST(server_race, handles_end_in_every_place_and_style) {
    const provider from = this->server_.make_provider();
    const lock target = from.make_lock("name");
    pending handlers;
    int counted = 0;
    std::atomic<int> expected{0};
    const span test(2s);
    together(thread_count, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            if (rolled.roll(2) == 0 && handlers.left() < most_pending) {
                handlers.add();
                const int style = rolled.roll(2);
                target.async_try_acquire(20ms, [&, style](error_code code, std::optional<lock_handle> held) {
                    EXPECT_FALSE(code) << code;
                    if (held) {
                        ++counted;
                        expected.fetch_add(1, std::memory_order_relaxed);
                    }
                    if (held && style == 0) {
                        held->async_release([&handlers](error_code result) {
                            EXPECT_FALSE(result) << result;
                            handlers.done();
                        });
                        return;
                    }
                    // On the library's thread, which must not wait for the server: the release goes on by itself.
                    held.reset();
                    handlers.done();
                });
            } else if (auto held = target.try_acquire(20ms)) {
                ++counted;
                expected.fetch_add(1, std::memory_order_relaxed);
                if (rolled.roll(2) == 0) held->release();
            }
        }
    });
    EXPECT_TRUE(handlers.wait());
    EXPECT_EQ(counted, expected.load());
    EXPECT_GT(counted, 0);
    EXPECT_TRUE(target.try_acquire(5s));
    EXPECT_EQ(this->server_.holds(), 0);
}

TYPED_TEST(server_race, losses_come_at_any_moment) {
    const provider from = this->server_.make_provider();
    const lock target = from.make_lock("name");
    const std::string mapped(target.mapped_name());
    pending handlers;
    std::atomic<int> running{thread_count};
    const span test(2s);
    together(thread_count + 1, [&](int number) {
        if (number == thread_count) {
            while (running.load() > 0) {
                this->server_.take_away(mapped);
                std::this_thread::yield();
            }
            return;
        }
        dice rolled(number);
        while (test.lasts()) {
            error_code code;
            auto held = target.try_acquire(20ms, {}, code);
            if (!held) continue;
            if (rolled.roll(2) == 0) {
                const std::stop_token token = held->lost_token();
                if (held->state() == held_state::lost && rolled.roll(8) == 0) {
                    pending stops;
                    stops.add();
                    const std::stop_callback stopped(token, [&stops] { stops.done(); });
                    EXPECT_TRUE(stops.wait());
                }
            }
            if (rolled.roll(2) == 0) {
                handlers.add();
                held->async_wait_lost([&handlers](error_code result) {
                    EXPECT_TRUE(!result || result == errc::cancelled) << result;
                    handlers.done();
                });
            }
            if (rolled.roll(2) == 0) {
                held->release(code);
                EXPECT_TRUE(!code || code == errc::lost) << code;
            }
        }
        running.fetch_sub(1);
    });
    EXPECT_TRUE(handlers.wait());
    EXPECT_TRUE(target.try_acquire(5s));
}

TYPED_TEST(server_race, operations_outlive_their_provider) {
    const span test;
    together(thread_count, [&](int seed) {
        dice rolled(seed);
        while (test.lasts()) {
            pending handlers;
            {
                std::optional<provider> from(this->server_.make_provider());
                auto held = from->make_lock("name " + std::to_string(seed)).try_acquire(5s);
                for (int i = 0; i < 3; ++i) {
                    handlers.add();
                    from->make_lock("name " + std::to_string(seed))
                        .async_acquire(timeout(std::chrono::milliseconds(rolled.roll(4))),
                                       [&handlers](error_code, lock_handle) { handlers.done(); });
                }
                from.reset();
                if (held && rolled.roll(2) == 0) {
                    handlers.add();
                    held->async_release([&handlers](error_code) { handlers.done(); });
                }
            }
            ASSERT_TRUE(handlers.wait()) << handlers.left() << " handlers were never called";
        }
    });
}

}  // namespace
}  // namespace holdfast
