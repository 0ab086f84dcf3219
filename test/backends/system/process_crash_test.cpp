// Holders, waiters and makers that are killed, users that are strangers, and many processes at once.
#include "children.hpp"
#include "published.hpp"

#include <support/notices.hpp>
#include <support/second_process.hpp>

#include <gtest/gtest.h>

#include <sched.h>
#include <signal.h>
#include <sys/file.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class Killed : public testing::TestWithParam<kind> {
protected:
    static lock_handle acquire(const provider& at, timeout limit = timeout::infinite()) {
        error_code code;
        return GetParam().acquire(at, limit, code);
    }
    bool is_free(const provider& at) const {
        error_code code;
        return static_cast<bool>(GetParam().acquire(at, timeout::zero(), code));
    }
    void await_waiters(int count) const {
        ASSERT_TRUE(eventually([&] { return place_.waiters(GetParam().mapped) == count; }));
    }

    const published_sets place_;
};

TEST_P(Killed, HolderLetsEveryKindOfWaiterIn) {
    for (const char* how : {"plain", "timed", "stoppable", "async"}) {
        const std::string style(how);
        signal_pipe holds;
        child holder([&] {
            const provider locks = place_.open();
            auto held = acquire(locks);
            holds.notify();
            stay();
        });
        holds.await();
        std::atomic<bool> granted{false};
        const provider locks = place_.open();
        std::jthread waiter([&](const std::stop_token& stop) {
            lock_handle held;
            if (style == "plain") held = acquire(locks);
            if (style == "timed") held = acquire(locks, 30s);
            if (style == "stoppable") held = GetParam().acquire_until_stopped(locks, stop);
            if (style == "async") {
                std::promise<lock_handle> done;
                GetParam().acquire_async(locks, [&](error_code, lock_handle got) { done.set_value(std::move(got)); });
                held = done.get_future().get();
            }
            granted = static_cast<bool>(held);
        });
        await_waiters(1);
        EXPECT_FALSE(granted);
        holder.kill();
        waiter.join();
        EXPECT_TRUE(granted) << how;
    }
}

TEST_P(Killed, WaiterIsNoLongerInTheLine) {
    const provider locks = place_.open();
    for (const bool stoppable : {false, true}) {
        auto held = acquire(locks);
        child waiter([&] {
            const provider there = place_.open();
            std::stop_source stop;
            auto got = stoppable ? GetParam().acquire_until_stopped(there, stop.get_token()) : acquire(there);
            stay();
        });
        await_waiters(1);
        child next([&] { acquire(place_.open()); });
        await_waiters(2);
        waiter.kill();
        await_waiters(1);
        held.release();
        EXPECT_EQ(next.wait(), 0);
        EXPECT_TRUE(is_free(locks));
    }
}

INSTANTIATE_TEST_SUITE_P(system, Killed, testing::ValuesIn(kinds),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(KilledWriter, ThatWaitedLetsReadersInAgain) {
    const published_sets place;
    const provider locks = place.open();
    const reader_writer_lock table = locks.make_reader_writer_lock("x");
    auto reader = table.acquire_read();
    child writer([&] { place.open().make_reader_writer_lock("x").acquire_write(); });
    ASSERT_TRUE(eventually([&] { return !place.open().make_reader_writer_lock("x").try_acquire_read(); }));
    writer.kill();
    EXPECT_TRUE(place.open().make_reader_writer_lock("x").try_acquire_read());
}

TEST(KilledReaders, LetAWriterIn) {
    const published_sets place;
    const provider locks = place.open();
    std::vector<std::unique_ptr<child>> readers;
    signal_pipe holds;
    for (int count = 0; count < 3; ++count) {
        readers.push_back(std::make_unique<child>([&] {
            const provider there = place.open();
            auto held = there.make_reader_writer_lock("x").acquire_read();
            holds.notify();
            stay();
        }));
        holds.await();
    }
    EXPECT_FALSE(locks.make_reader_writer_lock("x").try_acquire_write());
    for (const auto& each : readers) each->kill();
    EXPECT_TRUE(locks.make_reader_writer_lock("x").try_acquire_write());
}

TEST(KilledHolder, OfSomeTicketsGivesEachBack) {
    const published_sets place;
    const provider locks = place.open();
    const semaphore tickets = locks.make_semaphore("x", 5);
    auto mine = tickets.acquire();
    signal_pipe holds;
    child holder([&] {
        const provider there = place.open();
        const semaphore same = there.make_semaphore("x", 5);
        const auto a = same.acquire();
        const auto b = same.acquire();
        const auto c = same.acquire();
        holds.notify();
        stay();
    });
    holds.await();
    EXPECT_EQ(tickets.current_count(), 1);
    holder.kill();
    EXPECT_EQ(tickets.current_count(), 4);
}

/// At whatever point a process dies that makes sets, the next one can go on, and leaves nothing behind.
TEST(KilledMaker, LeavesNothingThatHinders) {
    const published_sets place;
    const auto rounds = [&] {
        // A set that was killed between its making and its marking is recognised by its age only: not to be left on the
        // machine, if we have the right to make a namespace for it.
        if (::geteuid() == 0) require(::unshare(CLONE_NEWIPC) == 0, "no namespace");
        std::minstd_rand random(11);
        for (int round = 0; round < 150; ++round) {
            child maker([&] {
                for (;;) {
                    const provider there = place.open();
                    auto held = there.make_lock("x").acquire();
                    auto other = there.make_reader_writer_lock("x").acquire_write();
                }
            });
            std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 2000));
            maker.kill();
            const provider locks = place.open();
            auto held = locks.make_lock("x").try_acquire();
            require(held.has_value(), "the lock is not free after a kill");
            require(locks.make_reader_writer_lock("x").try_acquire_write().has_value(),
                    "the writer's lock is not free");
            require(!place.open().make_lock("x").try_acquire(), "the lock does not exclude after a kill");
        }
        require(place.leftovers() == 0, "sets were left behind");
    };
    EXPECT_EQ(in_child(rounds, 60s), "");
}

/// What the one still uses as the other looks whether it is used, the one has to remove.
TEST(Leavers, OfTheSameMomentLeaveNothingBehind) {
    constexpr int rounds = 500;
    constexpr int leavers = 2;
    const published_sets place;
    const shared<std::atomic<int>> came;
    // Goes on when all have come for the given time, they and we.
    const auto meet = [&came](int time) {
        ++*came;
        const auto end = boottime::now() + 10s;
        while (*came < time * (leavers + 1)) {
            if (boottime::now() >= end) return false;
            std::this_thread::yield();
        }
        return true;
    };
    std::vector<std::unique_ptr<child>> all;
    for (int who = 0; who < leavers; ++who) {
        all.push_back(std::make_unique<child>([&] {
            for (int round = 0; round < rounds; ++round) {
                std::optional<provider> there(place.open());
                there->make_lock("x").acquire().release();
                require(meet(3 * round + 1), "alone");
                there.reset();
                require(meet(3 * round + 2) && meet(3 * round + 3), "alone");
            }
        }));
    }
    for (int round = 0; round < rounds; ++round) {
        ASSERT_TRUE(meet(3 * round + 1) && meet(3 * round + 2));
        ASSERT_FALSE(std::filesystem::exists(place.file())) << "after round " << round;
        ASSERT_TRUE(meet(3 * round + 3));
    }
    for (const auto& each : all) EXPECT_EQ(each->wait(), 0);
}

TEST(Fork, LeavesTheChildWithoutTheLock) {
    const published_sets place;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    auto ticket = locks.make_semaphore("x", 2).acquire();
    EXPECT_EQ(in_child([&] {
                  error_code code;
                  held.release(code);
                  require(code == errc::invalid_state, "the child could release");
                  // Its own provider excludes it as it does any other process.
                  require(!place.open().make_lock("x").try_acquire(), "the child has the lock");
              }),
              "");
    // Neither its end nor its destructors gave anything back.
    EXPECT_FALSE(place.open().make_lock("x").try_acquire());
    EXPECT_EQ(locks.make_semaphore("x", 2).current_count(), 1);
    EXPECT_EQ(held.state(), held_state::held);
    held.release();
    EXPECT_TRUE(place.open().make_lock("x").try_acquire());
}

/// The set's own thread tells of its loss in the moment of the fork: what it has locked stays locked in the child.
TEST(Fork, WhileALossIsToldDoesNotHinderTheChild) {
    const published_sets place;
    system::set_directory directory(place.opts());
    std::shared_ptr<system::slot> found;
    system::failure why;
    ASSERT_EQ(directory.find(system::set_kind::tickets, "lock:x", 1, found, why),
              system::set_directory::resolution::found);
    std::promise<void> tells;
    std::promise<void> enough;
    auto slow = found->set->on_removal([&, until = enough.get_future().share()] {
        tells.set_value();
        until.wait();
    });
    auto other = found->set->on_removal([] {});
    place.remove();
    tells.get_future().wait();
    EXPECT_EQ(in_child([&] { other.reset(); }, 5s), "");
    enough.set_value();
}

/// With a watch for its loss.
TEST(Fork, LeavesTheParentsWatchForItsLossAlone) {
    const published_sets place;
    const provider locks = place.open();
    auto held = std::make_unique<lock_handle>(locks.make_lock("x").acquire());
    const std::stop_token lost = held->lost_token();
    EXPECT_EQ(in_child([&] { held.reset(); }), "");
    EXPECT_FALSE(lost.stop_requested());
    EXPECT_FALSE(place.open().make_lock("x").try_acquire());
    place.remove();
    EXPECT_TRUE(eventually([&] { return lost.stop_requested(); }));
}

TEST(TwoUsers, ShareWhatIsTheMachines) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to become somebody else";
    constexpr uid_t stranger = 65534;
    const published_sets place(system::scope::machine);
    ASSERT_EQ(::chmod(std::filesystem::path(place.directory()).parent_path().c_str(), 01777), 0);
    const auto as_stranger = [&](const std::function<void()>& body) {
        return [&place, body] {
            (void)place;
            require(::setresgid(stranger, stranger, stranger) == 0 && ::setresuid(stranger, stranger, stranger) == 0,
                    "cannot become somebody else");
            body();
        };
    };
    // Whoever comes first makes the sets; either may.
    for (const bool stranger_first : {false, true}) {
        signal_pipe holds;
        std::optional<provider> locks;
        std::optional<lock_handle> held;
        const auto first = [&] {
            locks.emplace(place.open());
            held.emplace(locks->make_lock("x").acquire());
        };
        std::optional<child> other;
        if (stranger_first) {
            other.emplace(as_stranger([&] {
                first();
                holds.notify();
                stay();
            }));
            holds.await();
            const provider mine = place.open();
            EXPECT_FALSE(mine.make_lock("x").try_acquire());
            EXPECT_FALSE(mine.make_semaphore("x", 2).try_acquire() == std::nullopt);
            other->kill();
            EXPECT_TRUE(mine.make_lock("x").try_acquire());
        } else {
            first();
            EXPECT_EQ(in_child(as_stranger([&] {
                          const provider theirs = place.open();
                          require(!theirs.make_lock("x").try_acquire(), "a stranger has the lock too");
                          require(theirs.make_semaphore("x", 2).try_acquire().has_value(), "no ticket for a stranger");
                      })),
                      "");
            held.reset();
            EXPECT_EQ(in_child(as_stranger([&] {
                          require(place.open().make_lock("x").try_acquire().has_value(), "not free for a stranger");
                      })),
                      "");
            locks.reset();
        }
    }
    place.leftovers();
}

TEST(TwoUsers, DoNotShareWhatIsOneUsersOwn) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to become somebody else";
    const published_sets place;
    ASSERT_EQ(::chmod(std::filesystem::path(place.directory()).parent_path().c_str(), 0755), 0);
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    EXPECT_EQ(in_child([&] {
                  require(::setresuid(65534, 65534, 65534) == 0, "cannot become somebody else");
                  try {
                      place.open().make_lock("x").try_acquire();
                  } catch (const error& failed) {
                      require(failed.boost_code() == errc::permission, failed.what());
                      return;
                  }
                  require(false, "a stranger was let in");
              }),
              "");
}

TEST(Namespace, ThatNobodyUsesAnyMoreLeavesItsSetsToOthers) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to make a namespace";
    const published_sets place;
    // Ends with the lock held, so that it leaves its set behind.
    EXPECT_EQ(in_child([&] {
                  require(::unshare(CLONE_NEWIPC) == 0, "no namespace");
                  const provider there = place.open();
                  auto held = there.make_lock("x").acquire();
                  ::_exit(0);
              }),
              "");
    auto held = place.open().make_lock("x").try_acquire();
    EXPECT_TRUE(held);
}

TEST(Namespace, WithoutRoomForASetIsAClearError) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to make a namespace";
    const published_sets place;
    EXPECT_EQ(in_child([&] {
                  require(::unshare(CLONE_NEWIPC) == 0, "no namespace");
                  std::ofstream("/proc/sys/kernel/sem") << "32000 100 500 32000";
                  try {
                      place.open().make_lock("x").try_acquire();
                  } catch (const error& failed) {
                      const std::string text = failed.what();
                      require(failed.boost_code() == errc::unavailable, text);
                      require(text.find("kernel.sem") != std::string::npos, text);
                      return;
                  }
                  require(false, "there was room");
              }),
              "");
}

TEST(Namespace, InUseKeepsOthersOutOfTheDirectory) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs the right to make a namespace";
    const published_sets place;
    signal_pipe holds;
    child holder([&] {
        require(::unshare(CLONE_NEWIPC) == 0, "no namespace");
        const provider there = place.open();
        auto held = there.make_lock("x").acquire();
        holds.notify();
        stay();
    });
    holds.await();
    try {
        place.open().make_lock("x").try_acquire();
        ADD_FAILURE() << "got what cannot exclude the holder";
    } catch (const error& failed) {
        EXPECT_EQ(failed.boost_code(), errc::unsupported);
        EXPECT_NE(std::string(failed.what()).find("IPC namespace"), std::string::npos) << failed.what();
    }
    holder.kill();
    EXPECT_TRUE(place.open().make_lock("x").try_acquire());
}

TEST(Directory, ThatIsKeptLockedIsAClearError) {
    const published_sets place;
    ASSERT_TRUE(place.open().make_lock("x").try_acquire());
    signal_pipe has_it;
    child jams([&] {
        const int directory = ::open(place.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        require(::flock(directory, LOCK_EX) == 0, "cannot lock");
        has_it.notify();
        stay();
    });
    has_it.await();
    try {
        place.open().make_lock("x").acquire();
        ADD_FAILURE() << "the directory was not locked";
    } catch (const error& failed) {
        EXPECT_EQ(failed.boost_code(), errc::unavailable);
        EXPECT_NE(std::string(failed.what()).find(place.directory()), std::string::npos) << failed.what();
    }
    jams.kill();
    EXPECT_TRUE(place.open().make_lock("x").try_acquire());
}

TEST(Directory, ThatIsKeptLockedEndsACallWithItsTime) {
    const published_sets place;
    ASSERT_TRUE(place.open().make_lock("x").try_acquire());
    const int directory = ::open(place.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::flock(directory, LOCK_EX), 0);
    // Others are done with it in no time, so that a second is patient even for who does not want to wait.
    for (const auto& [limit, expected] : {std::pair{0ms, 1000ms}, {100ms, 1000ms}, {1500ms, 1500ms}}) {
        const lock mine = place.open().make_lock("x");
        error_code code;
        diagnostics diag;
        const auto began = boottime::now();
        EXPECT_FALSE(mine.acquire(limit, {}, code, &diag));
        const auto took = boottime::now() - began;
        EXPECT_EQ(code, errc::unavailable);
        EXPECT_NE(diag.message.find(place.directory()), std::string::npos) << diag.message;
        EXPECT_LT(took, expected + 1500ms) << "of a limit of " << limit.count() << " ms";
    }
    ::close(directory);
}

/// Whoever has to look for the set anew has the time for that, however long ago it looked for the first one.
TEST(Directory, ThatIsLockedWhenASetIsGoneIsWaitedForAsynchronously) {
    const published_sets place;
    const provider locks = place.open();
    const auto seen = std::make_shared<notices>();
    provider_settings settings;
    settings.observer = seen;
    const lock waiting = place.open(settings).make_lock("x");
    const lock coming = place.open().make_lock("x");
    const auto held = locks.make_lock("x").acquire();
    EXPECT_FALSE(waiting.try_acquire());
    EXPECT_FALSE(coming.try_acquire());
    // The time that a try has to find its set.
    std::this_thread::sleep_until(std::chrono::steady_clock::now() + 1100ms);
    std::promise<error_code> ends[2];
    waiting.async_acquire(timeout::infinite(), [&](error_code code, lock_handle) { ends[0].set_value(code); });
    ASSERT_TRUE(seen->await_waiting(1));
    ASSERT_TRUE(eventually([&] { return place.waiters("lock:x") == 1; }));
    const int directory = ::open(place.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::flock(directory, LOCK_EX), 0);
    place.remove();
    coming.async_acquire(timeout::infinite(), [&](error_code code, lock_handle) { ends[1].set_value(code); });
    std::future<error_code> ended[] = {ends[0].get_future(), ends[1].get_future()};
    for (auto& each : ended) EXPECT_EQ(each.wait_for(100ms), std::future_status::timeout);
    ::close(directory);
    for (auto& each : ended) EXPECT_FALSE(each.get());
}

int wanted_from(const char* variable, int otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

TEST(Directory, ThatWasDeletedIsLostToThoseWhoUseIt) {
    const published_sets place;
    const shared<std::atomic<int>> steps;
    const child holder([&] {
        const provider locks = place.open();
        const lock_handle held = locks.make_lock("x").acquire();
        const std::stop_token lost = held.lost_token();
        *steps = 1;
        while (!lost.stop_requested()) std::this_thread::sleep_for(1ms);
        if (held.state() == held_state::lost) *steps = 2;
        stay();
    });
    ASSERT_TRUE(eventually([&] { return *steps == 1; }));
    const int old = place.id();
    std::filesystem::remove_all(place.directory());
    const provider locks = place.open();
    const lock_handle held = locks.make_lock("x").acquire(30s);
    EXPECT_TRUE(eventually([&] { return *steps == 2; }));
    EXPECT_EQ(::semctl(old, 0, GETVAL), -1);
}

TEST(ManyProcesses, AreNeverMoreThanThereAreTickets) {
    constexpr int processes = 64;
    constexpr int tickets = 4;
    const int wanted = wanted_from("HOLDFAST_OVERLAP_TOTAL", 30'000);
    struct section {
        std::atomic<int> ready{0};
        std::atomic<int> inside{0};
        std::atomic<int> highest{0};
        std::atomic<int> overlaps{0};
        std::atomic<int> total{0};
    };
    const shared<section> here;
    const published_sets place;
    const provider locks = place.open();
    const semaphore counted = locks.make_semaphore("x", tickets);
    auto keeps = counted.acquire();
    std::vector<std::unique_ptr<child>> all;
    for (int who = 0; who < processes; ++who) {
        all.push_back(std::make_unique<child>([&, who] {
            const provider there = place.open();
            const semaphore same = there.make_semaphore("x", tickets);
            ++here->ready;
            while (here->ready < processes) std::this_thread::yield();
            std::stop_source stop;
            while (here->total < wanted) {
                auto held = who % 4 == 0   ? same.acquire(timeout::infinite(), stop.get_token())
                            : who % 4 == 1 ? same.acquire(1h)
                                           : same.acquire();
                const int level = ++here->inside;
                if (level > tickets) ++here->overlaps;
                int highest = here->highest;
                while (level > highest && !here->highest.compare_exchange_weak(highest, level)) {
                }
                // The first ones stay until there are as many as may be.
                while (here->highest < tickets) std::this_thread::yield();
                if (++here->total % 64 == 0) std::this_thread::yield();
                --here->inside;
            }
        }));
    }
    keeps.release();
    for (const auto& each : all) EXPECT_EQ(each->wait(), 0);
    EXPECT_EQ(here->overlaps, 0);
    EXPECT_EQ(here->highest, tickets);
    EXPECT_GE(here->total, wanted);
    EXPECT_EQ(counted.current_count(), tickets);
}

}  // namespace
}  // namespace holdfast::test
