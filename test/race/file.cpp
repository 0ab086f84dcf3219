// Lock files with many waiters in one process: who reads the events for all, who stands in flock, and who gives up.
#include "race.hpp"

#include <core/parker.hpp>
#include <kernel/inotify_hub.hpp>

#include <holdfast/backends/file.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using race::dice;
using race::pending;
using race::pool;
using race::span;
using race::together;

/// A directory of the test's own.
class file_race : public testing::Test {
protected:
    file_race() {
        std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-race-XXXXXX").string();
        if (::mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
    }
    ~file_race() override {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
    provider make_provider(bool keep_files, const provider_settings& settings = {}) const {
        return file::make_provider({.directory = directory_, .keep_files = keep_files}, settings);
    }

    std::string directory_;
};

/// A descriptor, closed in the end.
class descriptor {
public:
    explicit descriptor(int number) : number_(number) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() { ::close(number_); }
    int number() const { return number_; }

private:
    int number_;
};

/// Sixteen threads on four names, and asynchronous waiters beside them. The threads wait in every way there is: with a
/// token at the hub, without one in flock, and for times that are over before the lock is there.
void contend(const provider& from) {
    constexpr std::size_t names = 4;
    constexpr int thread_count = 16;
    std::vector<lock> locks;
    for (std::size_t i = 0; i < names; ++i) locks.push_back(from.make_lock("name " + std::to_string(i)));
    // Not atomic: what one holder has written the next one sees.
    std::array<int, names> counted{};
    std::array<std::atomic<int>, names> expected{};
    pending handlers;
    const span test(2500ms);
    together(thread_count, [&](int number) {
        dice rolled(number);
        const std::stop_source never_stopped;
        const auto which = static_cast<std::size_t>(number) % names;
        while (test.lasts()) {
            if (number < 4 && handlers.left() < 16) {
                handlers.add();
                const timeout limit = rolled.roll(2) == 0 ? timeout::infinite() : timeout(5ms);
                locks[which].async_try_acquire(limit, [&, which](error_code code, std::optional<lock_handle> held) {
                    EXPECT_FALSE(code) << code;
                    if (held) {
                        ++counted[which];
                        expected[which].fetch_add(1, std::memory_order_relaxed);
                    }
                    held.reset();
                    handlers.done();
                });
            }
            std::optional<lock_handle> held;
            switch (rolled.roll(4)) {
                case 0: held = locks[which].try_acquire(3ms); break;
                case 1: held = locks[which].try_acquire(40ms); break;
                case 2: held = locks[which].acquire(); break;
                default: held = locks[which].acquire(timeout::infinite(), never_stopped.get_token()); break;
            }
            if (!held) continue;
            ++counted[which];
            expected[which].fetch_add(1, std::memory_order_relaxed);
            if (rolled.roll(8) == 0) (void)held->lost_token();
            if (rolled.roll(2) == 0) held->release();
        }
    });
    EXPECT_TRUE(handlers.wait());
    for (std::size_t i = 0; i < names; ++i) {
        EXPECT_EQ(counted[i], expected[i].load());
        EXPECT_GT(counted[i], 0);
        EXPECT_TRUE(locks[i].try_acquire());
    }
}

TEST_F(file_race, threads_and_handlers_hand_over_files_that_are_deleted) {
    pool threads(2);
    contend(make_provider(false, {.executor = threads.executor()}));
}

TEST_F(file_race, threads_and_handlers_hand_over_files_that_are_kept) {
    pool threads(2);
    contend(make_provider(true, {.executor = threads.executor()}));
}

TEST_F(file_race, what_a_holder_has_written_the_next_one_sees_whatever_provider_it_has) {
    // Only tries, since every other way leads through a mutex that both take.
    for (const bool keep_files : {true, false}) {
        const provider shared = make_provider(keep_files);
        int counted = 0;
        std::atomic<int> expected{0};
        const span test;
        together(6, [&](int number) {
            const lock mine = (number % 2 == 0 ? shared : make_provider(keep_files)).make_lock("name");
            while (test.lasts()) {
                const auto held = mine.try_acquire();
                if (!held) continue;
                ++counted;
                expected.fetch_add(1, std::memory_order_relaxed);
            }
        });
        EXPECT_EQ(counted, expected.load());
        EXPECT_GT(counted, 0);
    }
}

TEST_F(file_race, providers_meet_as_programs_do) {
    int counted = 0;
    std::atomic<int> expected{0};
    const span test;
    together(8, [&](int number) {
        dice rolled(number);
        const lock mine = make_provider(false).make_lock("name");
        const std::stop_source never_stopped;
        while (test.lasts()) {
            const auto held = rolled.roll(2) == 0 ? mine.try_acquire(40ms)
                                                  : mine.acquire(timeout::infinite(), never_stopped.get_token());
            if (!held) continue;
            ++counted;
            expected.fetch_add(1, std::memory_order_relaxed);
        }
    });
    EXPECT_EQ(counted, expected.load());
    EXPECT_TRUE(make_provider(false).make_lock("name").try_acquire());
}

TEST_F(file_race, a_wait_that_gives_up_leaves_no_lock_behind) {
    // Somebody who locks by another descriptor and unlocks without closing it: only a thread that stands in flock sees
    // that, and it must be called back in whatever it does at that moment.
    const provider from = make_provider(true);
    const lock target = from.make_lock("name");
    from.make_lock("name").acquire().release();
    const descriptor foreign(::open(std::string(target.mapped_name()).c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_GE(foreign.number(), 0);
    std::atomic<int> waiting{6};
    std::atomic<int> holders{0};
    const span test(2500ms);
    together(7, [&](int number) {
        dice rolled(number);
        if (number == 6) {
            while (waiting.load() > 0) {
                if (::flock(foreign.number(), LOCK_EX | LOCK_NB) != 0) {
                    ::poll(nullptr, 0, 1);
                    continue;
                }
                EXPECT_EQ(holders.fetch_add(1), 0);
                // Until just before, or just after, somebody's time is over.
                const span held(std::chrono::milliseconds(26 + rolled.roll(10)));
                while (held.lasts()) ::poll(nullptr, 0, 1);
                holders.fetch_sub(1);
                ::flock(foreign.number(), LOCK_UN);
            }
            return;
        }
        // A provider each: within one provider only the first in line stands in flock.
        const lock mine = make_provider(true).make_lock("name");
        while (test.lasts()) {
            const auto held = mine.try_acquire(std::chrono::milliseconds(26 + rolled.roll(15)));
            if (!held) continue;
            EXPECT_EQ(holders.fetch_add(1), 0);
            holders.fetch_sub(1);
        }
        waiting.fetch_sub(1);
    });
    EXPECT_EQ(::flock(foreign.number(), LOCK_EX | LOCK_NB), 0) << "somebody who gave up has the lock";
}

TEST_F(file_race, a_cancelled_wait_leaves_no_lock_behind) {
    const provider from = make_provider(true);
    const lock target = from.make_lock("name");
    target.acquire().release();
    const descriptor foreign(::open(std::string(target.mapped_name()).c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_GE(foreign.number(), 0);
    for (const span test; test.lasts();) {
        ASSERT_EQ(::flock(foreign.number(), LOCK_EX | LOCK_NB), 0) << "somebody who was cancelled has the lock";
        std::stop_source stop;
        together(2, [&](int number) {
            if (number == 0) {
                error_code code;
                const lock_handle held = target.acquire(timeout::infinite(), stop.get_token(), code);
                EXPECT_TRUE(!code || code == errc::cancelled) << code;
                return;
            }
            // Long enough for the helper to stand in flock.
            ::poll(nullptr, 0, 27);
            ::flock(foreign.number(), LOCK_UN);
            stop.request_stop();
        });
    }
}

/// Somebody who waits at the hub until told to go, as an operation does it.
class waiter final : private core::inotify_hub::listener {
public:
    explicit waiter(std::shared_ptr<core::inotify_hub> hub) : hub_(std::move(hub)) {}

    /// @return false when it was never roused
    bool wait(int file) {
        const auto end = boottime::now() + 10s;
        EXPECT_EQ(hub_->add(file, IN_ATTRIB, *this), 0);
        is_waiting_.store(true);
        while (!is_over_.load() && boottime::now() < end) hub_->wait(parker_, end);
        hub_->remove(*this);
        // Whoever rouses a thread keeps it from ending meanwhile.
        while (!was_told_.load() && boottime::now() < end) std::this_thread::yield();
        return boottime::now() < end;
    }
    bool is_waiting() const { return is_waiting_.load(); }
    /// From now on an event is a reason to go.
    void go_on_event() {
        goes_on_event_.store(true);
        was_told_.store(true);
    }
    void go() {
        is_over_.store(true);
        parker_.rouse();
        was_told_.store(true);
    }

private:
    void on_file_event(std::uint32_t) noexcept override {
        if (goes_on_event_.load()) is_over_.store(true);
        parker_.rouse();
    }

    const std::shared_ptr<core::inotify_hub> hub_;
    core::parker parker_;
    std::atomic<bool> is_waiting_{false};
    std::atomic<bool> is_over_{false};
    std::atomic<bool> goes_on_event_{false};
    std::atomic<bool> was_told_{false};
};

TEST_F(file_race, whoever_leaves_the_hub_is_followed_by_somebody_who_still_waits) {
    const auto hub = core::inotify_hub::shared();
    const descriptor file(::open((directory_ + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_GE(file.number(), 0);
    constexpr std::size_t leaving = 3;
    for (const span test; test.lasts();) {
        std::deque<waiter> waiters;
        for (std::size_t i = 0; i <= leaving; ++i) waiters.emplace_back(hub);
        std::array<bool, leaving + 1> in_time{};
        std::atomic<std::size_t> gone{0};
        together(static_cast<int>(leaving) + 2, [&](int number) {
            const auto mine = static_cast<std::size_t>(number);
            if (mine <= leaving) {
                in_time[mine] = waiters[mine].wait(file.number());
                gone.fetch_add(1);
                return;
            }
            // Whichever of them leads by now, those that leave are told together, and together with an event.
            for (const waiter& each : waiters) {
                while (!each.is_waiting()) std::this_thread::yield();
            }
            ::fchmod(file.number(), 0600);
            for (std::size_t i = 0; i < leaving; ++i) waiters[i].go();
            while (gone.load() < leaving) std::this_thread::yield();
            waiters[leaving].go_on_event();
            ::fchmod(file.number(), 0600);
        });
        for (const bool each : in_time) ASSERT_TRUE(each);
    }
}

}  // namespace
}  // namespace holdfast
