// Forks: everything made before one is dead in the child, and the child does the parent's locks no harm.
#include "support/file_waiters.hpp"
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <core/parker.hpp>

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class Fork : public testing::TestWithParam<bool> {
protected:
    provider make_provider(const std::shared_ptr<observer>& seen = nullptr) const {
        file::options options;
        options.directory = here_ / "locks";
        options.keep_files = GetParam();
        provider_settings settings;
        settings.observer = seen;
        return file::make_provider(options, settings);
    }
    lock make(const std::shared_ptr<observer>& seen = nullptr) const { return make_provider(seen).make_lock("x"); }

    /// "held" or "free", as somebody sees it who does not use Holdfast.
    static bool is_held(const lock& which) {
        const int file = ::open(std::string(which.mapped_name()).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return false;
        const bool busy = ::flock(file, LOCK_EX | LOCK_NB) != 0;
        ::close(file);
        return busy;
    }

    const temporary_directory here_;
};

INSTANTIATE_TEST_SUITE_P(Files, Fork, testing::Bool(),
                         [](const auto& one) { return std::string(one.param ? "kept" : "deleted"); });

template <class Call>
void expect_forked(Call call) {
    try {
        call();
    } catch (const error& refused) {
        require(refused.boost_code() == errc::invalid_state, std::string("code: ") + refused.what());
        require(std::string(refused.what()).find("fork") != std::string::npos, refused.what());
        return;
    }
    require(false, "no error");
}

TEST_P(Fork, MakesEveryCallOfTheChildAnErrorThatNamesIt) {
    const lock mine = make();
    const lock other = make_provider().make_lock("y");
    auto held = mine.acquire();
    EXPECT_EQ(in_child([&] {
                  expect_forked([&] { held.release(); });
                  expect_forked([&] { (void)mine.acquire(1s); });
                  expect_forked([&] { (void)mine.try_acquire(); });
                  expect_forked([&] { (void)other.try_acquire(1s); });
                  require(!held, "the handle is not empty after release");
              }),
              "");
    EXPECT_EQ(in_child([&] {
                  expect_forked([&] { (void)held.lost_token(); });
                  require(held.state() == held_state::unknown, "state");
                  require(!held.native_descriptor(), "descriptor");
              }),
              "");
    EXPECT_TRUE(is_held(mine));
    EXPECT_EQ(held.state(), held_state::held);
}

TEST_P(Fork, MakesAsyncCallsOfTheChildErrorsToo) {
    const lock mine = make();
    auto held = mine.acquire();
    EXPECT_EQ(in_child(
                  [&] {
                      std::promise<error_code> done;
                      held.async_release([&](error_code code) { done.set_value(code); });
                      require(done.get_future().get() == errc::invalid_state, "async_release");
                  },
                  5s),
              "");
}

TEST_P(Fork, LeavesTheParentsLockAloneWhenTheChildDestroysItsHandleAndExits) {
    const lock mine = make();
    auto held = std::make_unique<lock_handle>(mine.acquire());
    EXPECT_EQ(in_child([&] { held.reset(); }), "");
    EXPECT_TRUE(is_held(mine));
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);  // NOLINT(concurrency-mt-unsafe): with every static destructor
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(is_held(mine));
    EXPECT_TRUE(std::filesystem::exists(mine.mapped_name()));
    EXPECT_EQ(held->state(), held_state::held);
    EXPECT_NO_THROW(held->release());
}

TEST_P(Fork, OfAHolderThatIsKilledFreesTheLockAlthoughTheChildLives) {
    const lock mine = make();
    const signal_pipe forked;
    const signal_pipe enough;
    pid_t grandchild = 0;
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    forked_child holder([&] {
        const auto held = make().acquire();
        const pid_t living = ::fork();
        if (living == 0) {
            ::alarm(30);
            enough.await();
            ::_exit(0);
        }
        require(::write(ends[1], &living, sizeof living) == sizeof living, "write");
        forked.notify();
        ::pause();
    });
    forked.await();
    ASSERT_EQ(::read(ends[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
    EXPECT_TRUE(is_held(mine));
    const auto began = boottime::now();
    ::kill(holder.id(), SIGKILL);
    EXPECT_TRUE(mine.try_acquire(10s));
    EXPECT_LT(boottime::now() - began, 500ms);
    EXPECT_EQ(::kill(grandchild, 0), 0) << "the grandchild was to outlive its parent";
    enough.notify();
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_P(Fork, LetsTheChildMakeAProviderOfItsOwn) {
    const lock mine = make();
    auto held = mine.acquire();
    const signal_pipe released;
    const signal_pipe tried;
    auto seen = std::make_shared<notices>();
    forked_child child([&] {
        for (const way how : all_ways) {
            const lock free = make_provider().make_lock(name_of(how));
            auto got = waiter_thread(how, free).get();
            require(!got.code && got.held.state() == held_state::held, "a free one");
            (void)got.held.lost_token();
        }
        const lock own = make(seen);
        require(!own.try_acquire(), "two have it");
        waiter_thread waiter(way::sync_stop, own);
        require(seen->await_waiting(1), "does not wait");
        require(eventually([] { return count_threads("holdfast-flock") == 1; }), "no helper");
        tried.notify();
        require(!waiter.get().code, "not had");
    });
    tried.await();
    held.release();
    EXPECT_EQ(child.result(), "");
}

/// The inotify instance is shared with the child, and so are its watches.
TEST_P(Fork, LeavesTheParentsWatchForItsLossAlone) {
    const lock mine = make();
    auto held = std::make_unique<lock_handle>(mine.acquire());
    const auto token = held->lost_token();
    EXPECT_EQ(in_child([&] { held.reset(); }), "");
    EXPECT_EQ(in_child([&] {
                  // With an instance of its own, which may have the same number.
                  const lock own = make_provider().make_lock("y");
                  auto now = own.acquire();
                  const auto lost = now.lost_token();
                  held.reset();
                  ::unlink(std::string(own.mapped_name()).c_str());
                  require(eventually([&] { return lost.stop_requested(); }), "its own loss is not told");
              }),
              "");
    EXPECT_FALSE(token.stop_requested());
    ::unlink(std::string(mine.mapped_name()).c_str());
    EXPECT_TRUE(eventually([&] { return token.stop_requested(); }, 2s));
}

/// A thread waits, in each way there is, while another one forks; the helper threads are all in use.
TEST_P(Fork, WhileThreadsWaitHarmsNeitherSide) {
    const auto seen = std::make_shared<notices>();
    for (const way how : all_ways) {
        const lock mine = make(seen);
        auto held = mine.acquire();
        const int before = seen->waits();
        waiter_thread waiter(how, make(seen));
        ASSERT_TRUE(seen->await_waiting(before + 1));
        if (how != way::sync_infinite) {
            ASSERT_TRUE(eventually([] { return count_threads("holdfast-flock") == 1; }));
        }
        for (int round = 0; round < 20; ++round) {
            ASSERT_EQ(in_child([&] {
                          const lock own = make_provider().make_lock("own");
                          require(own.try_acquire(10s).has_value(), "its own");
                          require(!make().try_acquire(2ms).has_value(), "the parent's");
                      }),
                      "")
                << name_of(how) << ", round " << round;
        }
        EXPECT_FALSE(waiter.is_over_within(0ms));
        held.release();
        EXPECT_FALSE(waiter.get().code);
    }
}

/// The event that a thread has slept at before is the child's too, and with one of them for both, the wake-ups of one
/// are taken by the other, which then sleeps for ever.
TEST(ForkedThread, SleepsApartFromItsParent) {
    // What is looked for hangs: so not in this process, and for a while only.
    const auto take_turns = [](int rounds) {
        for (int round = 0; round < rounds; ++round) {
            core::parker self;
            std::jthread rouses([&self] { self.rouse(); });
            self.park(boottime::now() + 10s);
        }
    };
    const auto parent_and_child = [&] {
        take_turns(10);
        const signal_pipe begin;
        forked_child child(
            [&] {
                begin.notify();
                take_turns(2000);
            },
            20s);
        begin.await();
        take_turns(2000);
        require(child.result().empty(), "the child has not ended");
    };
    EXPECT_EQ(in_child(parent_and_child, 25s), "");
}

/// The same by a lock that each of the two has for itself.
TEST(ForkedThread, WaitsForALockOfItsOwn) {
    const temporary_directory here;
    const auto wait_often = [&](const std::string& name) {
        file::options options;
        options.directory = here / "locks";
        const lock mine = file::make_provider(options).make_lock(name);
        std::jthread other([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) (void)mine.try_acquire(10s);
        });
        for (int round = 0; round < 2000; ++round) require(mine.try_acquire(10s).has_value(), "not had");
    };
    const auto parent_and_child = [&] {
        wait_often("parent");
        forked_child child([&] { wait_often("child"); }, 20s);
        wait_often("parent");
        require(child.result().empty(), "the child has not ended");
    };
    EXPECT_EQ(in_child(parent_and_child, 25s), "");
}

/// What acquires without end, until told otherwise.
class busy_threads {
public:
    busy_threads(const provider& source, int threads) {
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back([this, source, i] {
                const lock one = source.make_lock(std::to_string(i % 2));
                while (!over_) {
                    if (i % 3 == 0) {
                        auto got = waiter_thread(way::async, one).get();
                        if (got.code) ++errors_;
                        (void)got.held.lost_token();
                    } else {
                        error_code code;
                        (void)one.acquire(i % 3 == 1 ? timeout(10s) : timeout::infinite(), {}, code);
                        if (code) ++errors_;
                    }
                    ++rounds_;
                }
            });
        }
    }
    ~busy_threads() { stop(); }
    void stop() {
        over_ = true;
        threads_.clear();
    }
    int errors() const noexcept { return errors_; }
    int rounds() const noexcept { return rounds_; }

private:
    std::atomic<bool> over_{false};
    std::atomic<int> errors_{0};
    std::atomic<int> rounds_{0};
    std::vector<std::jthread> threads_;
};

TEST_P(Fork, InALoopBesideThreadsThatAcquireNeverHangs) {
    const watchdog bounded("forks beside threads", 120s);
    const provider source = make_provider();
    auto held = std::make_unique<lock_handle>(source.make_lock("held").acquire());
    (void)held->lost_token();
    busy_threads busy(source, 6);
    distribution forking;
    for (int round = 0; round < 500; ++round) {
        const auto began = boottime::now();
        forked_child child(
            [&] {
                // Everything that may be destroyed here, is.
                if (round % 2 == 0) held.reset();
                const lock own = make_provider().make_lock("own");
                auto mine = own.acquire();
                if (round % 10 == 0) (void)mine.lost_token();
            },
            20s);
        forking.add(boottime::now() - began);
        ASSERT_EQ(child.result(), "") << "in round " << round;
    }
    busy.stop();
    forking.print("fork beside six acquiring threads");
    std::printf("    they acquired %d times meanwhile\n", busy.rounds());
    EXPECT_EQ(busy.errors(), 0);
    EXPECT_GT(busy.rounds(), 100);
    EXPECT_EQ(held->state(), held_state::held);
}

/// The open files of a process, by what they lead to.
std::vector<std::string> open_files(pid_t process) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
        std::error_code gone;
        found.push_back(std::filesystem::read_symlink(entry.path(), gone));
    }
    return found;
}

TEST_P(Fork, AndExecInheritNothing) {
    const auto seen = std::make_shared<notices>();
    const lock mine = make(seen);
    auto held = mine.acquire();
    (void)held.lost_token();
    waiter_thread waiter(way::sync_stop, make(seen));
    ASSERT_TRUE(seen->await_waiting(1));
    second_process spawned({"cat"});
    forked_child forked([] {
        ::alarm(0);
        ::execlp("sleep", "sleep", "30", nullptr);
    });
    const std::string comm = "/proc/" + std::to_string(forked.id()) + "/comm";
    ASSERT_TRUE(eventually([&] {
        std::string name;
        std::ifstream(comm) >> name;
        return name == "sleep";
    }));
    for (const pid_t child : {spawned.id(), forked.id()}) {
        for (const auto& file : open_files(child)) {
            EXPECT_EQ(file.find(here_.path()), std::string::npos) << file;
            EXPECT_EQ(file.find("inotify"), std::string::npos) << file;
            EXPECT_EQ(file.find("event"), std::string::npos) << file;
        }
    }
    held.release();
    EXPECT_FALSE(waiter.get().code);
}

}  // namespace
}  // namespace holdfast::test
