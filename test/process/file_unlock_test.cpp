// Holders that unlock without closing make no event: waiters have helper threads for them. Also when waits end for
// other reasons, and that none of this touches the user's signals.
#include "process/foreign_lockers.hpp"
#include "support/file_waiters.hpp"
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <kernel/stander.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

// Locks its arguments with fcntl.flock, unlocks them when told to, and keeps every descriptor.
constexpr const char* python_holder = R"(
import fcntl, os, sys, time
kept = []
for line in sys.stdin:
    if line == "lock\n":
        now = [os.open(path, os.O_RDONLY | os.O_CREAT, 0o666) for path in sys.argv[1:]]
        kept += now
        for one in now: fcntl.flock(one, fcntl.LOCK_EX)
        print("held", flush=True)
    else:
        print("unlocking", time.clock_gettime_ns(time.CLOCK_BOOTTIME), flush=True)
        for one in now: fcntl.flock(one, fcntl.LOCK_UN)
)";

std::unique_ptr<second_process> start_python(const std::vector<lock>& locks) {
    std::vector<std::string> command{"python3", "-c", python_holder};
    for (const auto& each : locks) command.emplace_back(each.mapped_name());
    return std::make_unique<second_process>(command);
}

boottime::time_point tell(second_process& python, const char* what) {
    python.send(what);
    if (what == std::string_view("lock")) {
        python.expect("held");
        return {};
    }
    return boottime::time_point(boottime::duration(std::stoll(python.expect("unlocking"))));
}

struct setting {
    temporary_directory directory;
    std::shared_ptr<notices> seen = std::make_shared<notices>();

    lock make(bool keep, const std::string& name) const {
        file::options options;
        options.directory = directory.path();
        options.keep_files = keep;
        provider_settings settings;
        settings.observer = seen;
        return file::make_provider(options, settings).make_lock(name);
    }
};

class UnlockedWithoutClosing : public testing::TestWithParam<std::tuple<bool, way>> {};

TEST_P(UnlockedWithoutClosing, IsHadAtOnce) {
    const auto [keep, how] = GetParam();
    const setting here;
    const std::vector<lock> locks{here.make(keep, "x")};
    const auto python = start_python(locks);
    distribution latency;
    for (int round = 0; round < 10; ++round) {
        tell(*python, "lock");
        const int before = here.seen->waits();
        waiter_thread waiter(how, locks[0]);
        ASSERT_TRUE(here.seen->await_waiting(before + 1));
        // In every other round while its helper is still being thought about.
        if (round % 2 == 1 && how != way::sync_infinite) {
            ASSERT_TRUE(eventually([] { return count_threads("holdfast-flock") == 1; }));
        }
        const auto unlocked = tell(*python, "unlock");
        auto got = waiter.get();
        ASSERT_FALSE(got.code) << got.diag.message;
        EXPECT_LT(got.at - unlocked, 250ms);
        latency.add(got.at - unlocked);
        got.held.release();
    }
    latency.print(std::string(keep ? "kept" : "deleted") + ", LOCK_UN alone -> " + name_of(how));
    EXPECT_TRUE(here.seen->texts().empty()) << here.seen->texts().front();
    EXPECT_EQ(count_threads("holdfast-flock"), 0);
}

INSTANTIATE_TEST_SUITE_P(Files, UnlockedWithoutClosing, testing::Combine(testing::Bool(), testing::ValuesIn(all_ways)),
                         [](const auto& one) {
                             return std::string(std::get<0>(one.param) ? "kept_" : "deleted_") +
                                    name_of(std::get<1>(one.param));
                         });

class MoreWaitersThanHelpers : public testing::TestWithParam<way> {};

TEST_P(MoreWaitersThanHelpers, ProbeAndSaySoAndAllHaveTheirLock) {
    constexpr int waiters = core::stander::most + 6;
    const setting here;
    std::vector<lock> locks;
    for (int i = 0; i < waiters; ++i) locks.push_back(here.make(true, std::to_string(i)));
    const auto python = start_python(locks);
    tell(*python, "lock");
    std::vector<std::unique_ptr<waiter_thread>> all;
    for (const auto& each : locks) all.push_back(std::make_unique<waiter_thread>(GetParam(), each));
    ASSERT_TRUE(here.seen->await_texts(waiters - core::stander::most));
    // A thread has its name a moment after its start.
    EXPECT_TRUE(eventually([] { return count_threads("holdfast-flock") == core::stander::most; }));
    const auto unlocked = tell(*python, "unlock");
    distribution latency;
    for (auto& each : all) {
        auto got = each->get();
        ASSERT_FALSE(got.code) << got.diag.message;
        latency.add(got.at - unlocked);
    }
    latency.print("14 waiters, 8 helpers -> " + name_of(GetParam()));
    EXPECT_LT(latency.at(1), 1s);
    EXPECT_EQ(here.seen->texts().size(), static_cast<std::size_t>(waiters - core::stander::most));
    EXPECT_NE(here.seen->texts().front().find("helper thread"), std::string::npos) << here.seen->texts().front();
    EXPECT_EQ(count_threads("holdfast-flock"), 0);
}

INSTANTIATE_TEST_SUITE_P(Files, MoreWaitersThanHelpers, testing::Values(way::sync_finite, way::sync_stop, way::async),
                         [](const auto& one) { return name_of(one.param); });

/// A user of this run of the test only: two runs at once would give each other what they are to have used up.
const uid_t nobody_else = 1'000'000 + static_cast<uid_t>(::getpid());

void become_nobody() {
    require(::setgid(nobody_else) == 0 && ::setuid(nobody_else) == 0, "cannot change the user");
}

/// A user who has used up every inotify instance that the kernel gives to one.
class NoInotifyLeft : public testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user whose inotify instances are used up";
        ::chmod(here_.directory.path().c_str(), 0777);
        greedy_ = std::make_unique<forked_child>([this] {
            become_nobody();
            while (::inotify_init1(IN_CLOEXEC) >= 0) {
            }
            require(errno == EMFILE, "inotify_init1 failed otherwise");
            used_up_.notify();
            enough_.await(60s);
        });
        used_up_.await();
    }
    void TearDown() override {
        if (greedy_ == nullptr) return;
        enough_.notify();
        EXPECT_EQ(greedy_->result(), "");
    }

    setting here_;
    signal_pipe used_up_;
    signal_pipe enough_;
    std::unique_ptr<forked_child> greedy_;
};

void wait_without_inotify(const setting& here, way how, bool close) {
    become_nobody();
    const lock mine = here.make(true, "x");
    const int holder = foreign_lock(std::string(mine.mapped_name()).c_str(), true);
    waiter_thread waiter(how, mine);
    require(here.seen->await_texts(1), "nobody was told");
    require(here.seen->texts()[0].find("inotify") != std::string::npos, "told: " + here.seen->texts()[0]);
    const auto unlocked = boottime::now();
    ::flock(holder, LOCK_UN);
    if (close) ::close(holder);
    auto got = waiter.get();
    require(!got.code, got.diag.message);
    require(got.at - unlocked < 250ms, "took " + std::to_string((got.at - unlocked).count()) + " ns");
}

TEST_F(NoInotifyLeft, WaitersHaveHelpersAndAreTold) {
    for (const way how : {way::sync_finite, way::sync_stop, way::async}) {
        for (const bool close : {false, true}) {
            EXPECT_EQ(in_child([&] { wait_without_inotify(here_, how, close); }), "") << name_of(how);
        }
    }
}

TEST_F(NoInotifyLeft, MoreWaitersThanHelpersProbe) {
    EXPECT_EQ(in_child([&] {
                  become_nobody();
                  std::vector<int> holders;
                  std::vector<std::unique_ptr<waiter_thread>> all;
                  for (int i = 0; i < core::stander::most + 4; ++i) {
                      const lock mine = here_.make(false, std::to_string(i));
                      holders.push_back(foreign_lock(std::string(mine.mapped_name()).c_str(), true));
                      all.push_back(std::make_unique<waiter_thread>(way::sync_stop, mine));
                  }
                  require(eventually([] { return count_threads("holdfast-flock") == core::stander::most; }), "helpers");
                  for (const int each : holders) ::flock(each, LOCK_UN);
                  for (auto& each : all) require(!each->get().code, "no lock");
              }),
              "");
}

/// How a wait is ended.
enum class end_by { timeout, cancel };

class WaitThatEnds : public testing::TestWithParam<std::tuple<end_by, way, int>> {};

/// Ends @p waiter as the parameters say. @return when its end is due
boottime::time_point end_wait(waiter_thread& waiter, const setting& here, int waits, int when) {
    // One that is queued is not told of as waiting.
    if (when != 2) require(here.seen->await_waiting(waits), "does not wait");
    if (when == 1) require(eventually([] { return count_threads("holdfast-flock") == 1; }), "no helper");
    const auto due = boottime::now();
    waiter.cancel();
    return due;
}

/// The third parameter: 0 at once, 1 with a helper thread standing, 2 in the queue behind another one of this process.
TEST_P(WaitThatEnds, EndsInItsTime) {
    const auto [by, how, when] = GetParam();
    const bool timing = by == end_by::timeout;
    const setting here;
    const lock mine = here.make(true, "x");
    const int holder = foreign_lock(std::string(mine.mapped_name()).c_str(), true);
    std::unique_ptr<waiter_thread> front;
    if (when == 2) {
        front = std::make_unique<waiter_thread>(way::sync_stop, mine);
        ASSERT_TRUE(here.seen->await_waiting(1));
    }
    distribution lateness;
    for (int round = 0; round < 20; ++round) {
        const int before = here.seen->waits();
        const auto limit = when == 1 ? 60ms : 10ms;
        auto due = boottime::now() + limit;
        waiter_thread waiter(how, mine, timing ? timeout(limit) : timeout::infinite());
        if (!timing) due = end_wait(waiter, here, before + 1, when);
        const auto got = waiter.get();
        ASSERT_EQ(got.code, timing ? errc::timed_out : errc::cancelled) << got.diag.message;
        ASSERT_GE(got.at, due);
        lateness.add(got.at - due);
    }
    lateness.print(std::string(timing ? "timeout" : "cancel") + " of " + name_of(how) +
                   std::array{"", ", helper standing", ", queued"}[static_cast<std::size_t>(when)]);
    // The figures are printed above; the bounds only tell a wait that ends from one that does not, on a busy machine
    // too.
    EXPECT_LT(lateness.at(0.5), 50ms);
    EXPECT_LT(lateness.at(0.95), 2s);
    foreign_unlock_and_close(holder);
    EXPECT_TRUE(front == nullptr || !front->get().code);
    // What was ended holds nothing.
    EXPECT_TRUE(mine.try_acquire(1s));
}

INSTANTIATE_TEST_SUITE_P(Timeouts, WaitThatEnds,
                         testing::Combine(testing::Values(end_by::timeout),
                                          testing::Values(way::sync_finite, way::async), testing::Values(0, 1, 2)),
                         [](const auto& one) {
                             return name_of(std::get<1>(one.param)) + "_" + std::to_string(std::get<2>(one.param));
                         });
INSTANTIATE_TEST_SUITE_P(Cancellations, WaitThatEnds,
                         testing::Combine(testing::Values(end_by::cancel), testing::Values(way::sync_stop, way::async),
                                          testing::Values(0, 1, 2)),
                         [](const auto& one) {
                             return name_of(std::get<1>(one.param)) + "_" + std::to_string(std::get<2>(one.param));
                         });

/// Cancelled in the very moment in which it is granted: either way nothing is left behind.
TEST(CancelledWait, ThatIsGrantedInTheSameMomentLeavesNothingBehind) {
    const setting here;
    const lock mine = here.make(true, "x");
    const std::string path(mine.mapped_name());
    int had = 0;
    for (int round = 0; round < 200; ++round) {
        const int holder = foreign_lock(path.c_str(), true);
        const int before = here.seen->waits();
        waiter_thread waiter(round % 2 == 0 ? way::sync_stop : way::async, mine);
        ASSERT_TRUE(here.seen->await_waiting(before + 1));
        if (round % 4 >= 2) {
            ASSERT_TRUE(eventually([] { return count_threads("holdfast-flock") == 1; }));
        }
        std::jthread unlocking([holder] { ::flock(holder, LOCK_UN); });
        waiter.cancel();
        auto got = waiter.get();
        unlocking.join();
        ASSERT_TRUE(!got.code || got.code == errc::cancelled);
        had += got.code ? 0 : 1;
        got.held = {};
        // Somebody without Holdfast sees that it is free.
        const int after = foreign_lock(path.c_str(), false);
        ASSERT_GE(after, 0) << "in round " << round;
        ::close(after);
        ::close(holder);
    }
    std::printf("    cancelled while granted: %d of 200 had the lock\n", had);
}

/// Waits for several names in one process, cancelled while others have events: each must hear its own.
TEST(CancelledWait, IsHeardAmongOthersWhoseFilesHaveNews) {
    const setting here;
    const lock noisy = here.make(true, "noisy");
    const lock quiet = here.make(true, "quiet");
    const int first = foreign_lock(std::string(noisy.mapped_name()).c_str(), true);
    const int second = foreign_lock(std::string(quiet.mapped_name()).c_str(), true);
    waiter_thread bystander(way::sync_stop, noisy);
    ASSERT_TRUE(here.seen->await_waiting(1));
    std::atomic<bool> over{false};
    std::jthread noise([&] {
        while (!over) (void)foreign_lock(std::string(noisy.mapped_name()).c_str(), false);
    });
    distribution lateness;
    for (int round = 0; round < 200; ++round) {
        const int before = here.seen->waits();
        waiter_thread waiter(way::sync_stop, quiet);
        ASSERT_TRUE(here.seen->await_waiting(before + 1));
        const auto due = boottime::now();
        waiter.cancel();
        ASSERT_TRUE(waiter.is_over_within(5s)) << "in round " << round;
        lateness.add(waiter.get().at - due);
    }
    over = true;
    // Else its last try may get what is given up below, and keep it.
    noise.join();
    lateness.print("cancel among others' events");
    EXPECT_LT(lateness.at(0.95), 2s);
    foreign_unlock_and_close(first);
    foreign_unlock_and_close(second);
    EXPECT_FALSE(bystander.get().code);
}

using dispositions = std::array<struct sigaction, 65>;

dispositions all_dispositions() {
    dispositions all{};
    for (int number = 1; number < 65; ++number) ::sigaction(number, nullptr, &all[static_cast<std::size_t>(number)]);
    return all;
}

/// As far as the kernel knows: the C library's masks have room for more signals than there are.
bool same(const struct sigaction& one, const struct sigaction& other) {
    for (int number = 1; number < 65; ++number) {
        if (::sigismember(&one.sa_mask, number) != ::sigismember(&other.sa_mask, number)) return false;
    }
    return one.sa_handler == other.sa_handler && one.sa_flags == other.sa_flags;
}

void use_every_wait(const setting& here, const lock& mine) {
    const int holder = foreign_lock(std::string(mine.mapped_name()).c_str(), true);
    for (const way how : {way::sync_stop, way::async}) {
        const int before = here.seen->waits();
        waiter_thread waiter(how, mine);
        require(here.seen->await_waiting(before + 1), "does not wait");
        require(eventually([] { return count_threads("holdfast-flock") == 1; }), "no helper");
        // Our threads leave every signal that a program may use to the program.
        for (const std::string& name : takers_of_signals()) {
            require(!name.starts_with("holdfast-"), name + " takes signals");
        }
        waiter.cancel();
        require(waiter.get().code == errc::cancelled, "not cancelled");
    }
    foreign_unlock_and_close(holder);
}

TEST(Signals, AreTheUsersBeforeAndAfterEveryKindOfWait) {
    EXPECT_EQ(in_child([] {
                  const setting here;
                  const lock mine = here.make(true, "x");
                  const auto before = all_dispositions();
                  use_every_wait(here, mine);
                  const auto after = all_dispositions();
                  for (int number = 1; number < 65; ++number) {
                      const auto at = static_cast<std::size_t>(number);
                      require(same(before[at], after[at]), "signal " + std::to_string(number));
                  }
              }),
              "");
}

TEST(Signals, ThatTheProgramBlocksReachTheThreadThatWaitsForThem) {
    EXPECT_EQ(in_child([] {
                  sigset_t mine_alone;
                  ::sigemptyset(&mine_alone);
                  ::sigaddset(&mine_alone, SIGUSR1);
                  ::pthread_sigmask(SIG_BLOCK, &mine_alone, nullptr);
                  const setting here;
                  const lock mine = here.make(true, "x");
                  const int holder = foreign_lock(std::string(mine.mapped_name()).c_str(), true);
                  waiter_thread waiter(way::async, mine);
                  require(eventually([] { return count_threads("holdfast-flock") == 1; }), "no helper");
                  for (int round = 0; round < 100; ++round) {
                      // With the default action, the process ends if any of its threads takes it.
                      ::kill(::getpid(), SIGUSR1);
                      const timespec limit{5, 0};
                      require(::sigtimedwait(&mine_alone, nullptr, &limit) == SIGUSR1, "stolen");
                  }
                  foreign_unlock_and_close(holder);
                  require(!waiter.get().code, "no lock");
              }),
              "");
}

/// An interrupted system call is no reason to end a wait, nor to have the lock.
TEST(Signals, ThatInterruptAWaitDoNotEndIt) {
    for (const way how : {way::sync_infinite, way::sync_finite, way::sync_stop}) {
        EXPECT_EQ(in_child([how] {
                      static std::atomic<int> caught{0};
                      struct sigaction action {};
                      action.sa_handler = [](int) { ++caught; };
                      ::sigaction(SIGUSR1, &action, nullptr);
                      const setting here;
                      const lock mine = here.make(true, "x");
                      const int holder = foreign_lock(std::string(mine.mapped_name()).c_str(), true);
                      // Blocked here, so that the waiter takes it.
                      waiter_thread waiter(how, mine);
                      sigset_t here_not;
                      ::sigemptyset(&here_not);
                      ::sigaddset(&here_not, SIGUSR1);
                      ::pthread_sigmask(SIG_BLOCK, &here_not, nullptr);
                      require(here.seen->await_waiting(1), "does not wait");
                      for (int sent = 1; sent <= 20; ++sent) {
                          ::kill(::getpid(), SIGUSR1);
                          require(eventually([sent] { return caught == sent; }), "not delivered");
                      }
                      require(!waiter.is_over_within(20ms), "the wait ended");
                      ::flock(holder, LOCK_UN);
                      require(!waiter.get().code, "no lock");
                  }),
                  "")
            << name_of(how);
    }
}

}  // namespace
}  // namespace holdfast::test
