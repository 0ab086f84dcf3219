// How much is sent: what many ask for at once, and what one release sets going.
#include <support/attempt.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fakes::style;
using test::redis_server;

/// Whatever INFO calls that.
long long number_of(const redis_server& server, const std::string& section, const std::string& what) {
    const std::string said = server({"INFO", section}).text;
    const auto at = said.find(what);
    return at == std::string::npos ? 0 : std::stoll(said.substr(at + what.size()));
}

redis::options options_for(const redis_server& server) {
    redis::options made;
    made.servers.front().port = server.port();
    made.expiry = 120s;
    // Nobody asks again by the clock.
    made.min_busy_wait = made.max_busy_wait = 60s;
    return made;
}

TEST(redis_traffic, of_one_turn_of_the_loop_is_written_at_once) {
    constexpr std::size_t count = 1000;
    const redis_server server;
    fakes::handler_thread handlers;
    const provider locks = redis::make_provider(options_for(server), {.executor = handlers.executor()});
    // So that the connection stands.
    (void)fakes::acquire(handlers, style::async, locks.make_lock("first"), 5s);
    // Only the executor's thread has these.
    std::vector<lock_handle> held;
    std::size_t released = 0;
    const auto come_to = [&](const std::size_t& number) {
        return fakes::eventually([&] {
            bool done = false;
            handlers.run([&] { done = number == count; });
            return done;
        });
    };
    const auto reads = [&] { return number_of(server, "stats", "total_reads_processed:"); };
    std::size_t acquired = 0;
    const long long at_first = reads();
    handlers.run([&] {
        for (std::size_t number = 0; number < count; ++number) {
            locks.make_lock("name" + std::to_string(number)).async_acquire(30s, [&](error_code code, lock_handle got) {
                EXPECT_FALSE(code) << code.message();
                held.push_back(std::move(got));
                ++acquired;
            });
        }
    });
    ASSERT_TRUE(come_to(acquired));
    const long long between = reads();
    handlers.run([&] {
        for (lock_handle& each : held) {
            each.async_release([&](error_code code) {
                EXPECT_FALSE(code) << code.message();
                ++released;
            });
        }
    });
    ASSERT_TRUE(come_to(released));
    // The server reads at most 16 KiB at once: a hundred requests or so.
    EXPECT_LT(between - at_first, 100);
    EXPECT_LT(reads() - between, 100);
}

class redis_wake_up : public testing::Test {
protected:
    static constexpr std::size_t processes = 2;
    static constexpr std::size_t waiters_each = 20;
    static constexpr std::size_t waiters = processes * waiters_each;

    redis_wake_up() {
        for (std::size_t each = 0; each < processes; ++each) {
            others_.push_back(redis::make_provider(options_for(server_)));
        }
    }
    /// Lets all others have it, one after the other or together: they refer to this.
    ~redis_wake_up() override {
        std::vector<lock_handle> held;
        {
            const std::lock_guard guard(mutex_);
            passes_on_ = true;
            held.swap(held_);
        }
        held.clear();
        EXPECT_TRUE(fakes::eventually([&] { return granted() == waiters; }));
    }
    /// Waiters of each of the other processes, which are providers here, as far as the server can see.
    /// @param begin called with the provider and with what is to be told of the lock
    template <class Begin>
    void have_them_wait(const std::string& channel, Begin begin) {
        for (const provider& process : others_) {
            for (std::size_t each = 0; each < waiters_each; ++each) {
                begin(process, [this](error_code code, lock_handle got) {
                    EXPECT_FALSE(code) << code.message();
                    const std::lock_guard guard(mutex_);
                    ++granted_;
                    if (passes_on_) {
                        got.async_release([](error_code) {});
                    } else {
                        held_.push_back(std::move(got));
                    }
                });
            }
        }
        ASSERT_TRUE(fakes::eventually([&] {
            return server_({"PUBSUB", "NUMSUB", channel}).elements[1].integer == processes;
        }));
        await_rest();
    }
    std::size_t granted() {
        const std::lock_guard guard(mutex_);
        return granted_;
    }
    /// How often the server has been asked for, or told of, a lock.
    long long asked() const {
        return number_of(server_, "commandstats", "cmdstat_set:calls=") +
               number_of(server_, "commandstats", "cmdstat_evalsha:calls=");
    }
    /// Until nobody asks any more: what happens once too often happens soon.
    long long await_rest() const {
        long long last = -1;
        EXPECT_TRUE(fakes::eventually([&] {
            std::this_thread::sleep_for(100ms);
            return last == std::exchange(last, asked());
        }));
        return last;
    }

    const redis_server server_;
    const provider holder_ = redis::make_provider(options_for(server_));
    std::vector<provider> others_;
    std::mutex mutex_;
    std::vector<lock_handle> held_;
    std::size_t granted_ = 0;
    bool passes_on_ = false;
};

TEST_F(redis_wake_up, is_one_question_of_each_process) {
    lock_handle first = holder_.make_lock("name").acquire(5s);
    have_them_wait("holdfast:1:0:name",
                   [](const provider& process, auto told) { process.make_lock("name").async_acquire(60s, told); });
    const long long before = asked();
    first.release();
    EXPECT_TRUE(fakes::eventually([&] { return granted() == 1; }));
    // The release, a question and a command in it of each process, and two of who is the next in the winner's line.
    EXPECT_LE(await_rest() - before, 8);
    EXPECT_EQ(granted(), 1);
}

TEST_F(redis_wake_up, lets_all_readers_in_with_one_question_each) {
    lock_handle writer = holder_.make_reader_writer_lock("name").acquire_write(5s);
    have_them_wait("holdfast:1:0:name.writer", [](const provider& process, auto told) {
        process.make_reader_writer_lock("name").async_acquire_read(60s, told);
    });
    const long long before = asked();
    writer.release();
    EXPECT_TRUE(fakes::eventually([&] { return granted() == waiters; }));
    EXPECT_LE(await_rest() - before, 1 + 2 * static_cast<long long>(waiters));
}

}  // namespace
}  // namespace holdfast
