// A lock file that is taken away while it is held.
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <holdfast/backends/file.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <semaphore>
#include <set>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

struct loss {
    const char* name;
    void (*inflict)(const std::string& path);
    bool leaves_a_file;
};

std::ostream& operator<<(std::ostream& out, const loss& one) {
    return out << one.name;
}

std::string parent_of(const std::string& path) {
    return std::filesystem::path(path).parent_path();
}

const loss losses[] = {
    {"unlink", [](const std::string& path) { ::unlink(path.c_str()); }, false},
    {"rename_away", [](const std::string& path) { ::rename(path.c_str(), (path + "2").c_str()); }, false},
    {"rename_over",
     [](const std::string& path) {
         std::ofstream(path + "2") << "new";
         ::rename((path + "2").c_str(), path.c_str());
     },
     true},
    {"directory_moved",
     [](const std::string& path) { ::rename(parent_of(path).c_str(), (parent_of(path) + "2").c_str()); }, false},
    {"directory_replaced",
     [](const std::string& path) {
         ::rename(parent_of(path).c_str(), (parent_of(path) + "2").c_str());
         ::mkdir(parent_of(path).c_str(), 0777);
         std::ofstream(path) << "new";
     },
     true},
};

class LossOfAFile : public testing::TestWithParam<std::tuple<loss, bool>> {
protected:
    LossOfAFile() {
        file::options options;
        options.directory = here_ / "locks";
        options.keep_files = std::get<1>(GetParam());
        provider_settings settings;
        settings.observer = seen_;
        lock_ = std::make_unique<lock>(file::make_provider(options, settings).make_lock("x"));
    }
    void inflict() const { std::get<0>(GetParam()).inflict(std::string(lock_->mapped_name())); }

    const temporary_directory here_;
    const std::shared_ptr<notices> seen_ = std::make_shared<notices>();
    std::unique_ptr<lock> lock_;
};

TEST_P(LossOfAFile, IsToldWithinATenthOfASecond) {
    distribution after;
    for (int round = 0; round < 10; ++round) {
        auto held = lock_->acquire();
        std::binary_semaphore told{0};
        boottime::time_point at;
        const std::stop_callback when_lost(held.lost_token(), [&] {
            at = boottime::now();
            told.release();
        });
        const auto began = boottime::now();
        inflict();
        ASSERT_TRUE(told.try_acquire_for(5s)) << "in round " << round;
        after.add(at - began);
        EXPECT_LT(at - began, 100ms);
        EXPECT_EQ(held.state(), held_state::lost);
        error_code code;
        held.release(code);
        EXPECT_EQ(code, errc::lost);
        std::filesystem::remove_all(here_ / "locks");
        std::filesystem::remove_all(here_ / "locks2");
    }
    EXPECT_EQ(seen_->losses(), 10);
    after.print(std::string("lost by ") + std::get<0>(GetParam()).name);
}

TEST_P(LossOfAFile, BeforeAnybodyAsksIsNoticedWhenAsked) {
    for (const bool by_token : {false, true}) {
        auto held = lock_->acquire();
        inflict();
        if (by_token) {
            EXPECT_TRUE(eventually([token = held.lost_token()] { return token.stop_requested(); }, 1s));
        }
        EXPECT_EQ(held.state(), held_state::lost);
        held = {};
        std::filesystem::remove_all(here_ / "locks");
        std::filesystem::remove_all(here_ / "locks2");
    }
    EXPECT_EQ(seen_->failed_releases(), 2);
}

TEST_P(LossOfAFile, LeavesTheNewOwnersFileAlone) {
    auto held = lock_->acquire();
    inflict();
    file::options options;
    options.directory = here_ / "locks";
    auto next = file::make_provider(options).make_lock("x").try_acquire();
    ASSERT_TRUE(next);
    const auto file = std::filesystem::path(lock_->mapped_name());
    struct stat before {};
    struct stat after {};
    ASSERT_EQ(::stat(file.c_str(), &before), 0);
    held = {};
    ASSERT_EQ(::stat(file.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    EXPECT_EQ(next->state(), held_state::held);
    EXPECT_FALSE(lock_->try_acquire());
}

INSTANTIATE_TEST_SUITE_P(Files, LossOfAFile, testing::Combine(testing::ValuesIn(losses), testing::Bool()),
                         [](const auto& one) {
                             return std::string(std::get<0>(one.param).name) +
                                    (std::get<1>(one.param) ? "_kept" : "_deleted");
                         });

class HeldFile : public testing::Test {
protected:
    lock make(bool keep) const {
        file::options options;
        options.directory = here_.path();
        options.keep_files = keep;
        provider_settings settings;
        settings.observer = seen_;
        return file::make_provider(options, settings).make_lock("x");
    }
    const temporary_directory here_;
    const std::shared_ptr<notices> seen_ = std::make_shared<notices>();
};

TEST_F(HeldFile, IsNotLostByChangesThatLeaveItInPlace) {
    const lock mine = make(true);
    const std::string path(mine.mapped_name());
    auto held = mine.acquire();
    const auto token = held.lost_token();
    for (int round = 0; round < 200; ++round) {
        ::chmod(path.c_str(), round % 2 == 0 ? 0600 : 0644);
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
        ::link(path.c_str(), (path + ".other").c_str());
        ::unlink((path + ".other").c_str());
        std::ofstream(here_ / "noise") << round;
    }
    EXPECT_EQ(held.state(), held_state::held);
    EXPECT_FALSE(token.stop_requested());
    // This one is a loss, and its event comes after all of those: they have been looked at when it is told.
    ::unlink(path.c_str());
    EXPECT_TRUE(eventually([&] { return token.stop_requested(); }));
    EXPECT_EQ(seen_->losses(), 1);
}

TEST_F(HeldFile, IsNeverLostByItsOwnRelease) {
    for (const bool keep : {false, true}) {
        const lock mine = make(keep);
        for (int round = 0; round < 300; ++round) {
            auto held = mine.acquire();
            const auto token = held.lost_token();
            held.release();
            ASSERT_FALSE(token.stop_requested());
        }
    }
    EXPECT_EQ(seen_->losses(), 0);
    EXPECT_EQ(seen_->failed_releases(), 0);
}

/// The watches of this process, each once: its one instance has several descriptors.
std::size_t count_watches() {
    std::set<std::string> watches;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);)
            if (line.starts_with("inotify wd:")) watches.insert(line);
    }
    return watches.size();
}

TEST_F(HeldFile, HasNoWatchUntilSomebodyAsksForItsLoss) {
    const auto before = count_watches();
    const lock mine = make(false);
    auto held = mine.acquire();
    EXPECT_EQ(held.state(), held_state::held);
    EXPECT_EQ(count_watches(), before);
    (void)held.lost_token();
    EXPECT_EQ(count_watches(), before + 2);
    (void)held.lost_token();
    EXPECT_EQ(count_watches(), before + 2);
    held.release();
    EXPECT_EQ(count_watches(), before);
    // Nor does a wait leave one behind.
    const auto other = make(false);
    auto again = mine.acquire();
    EXPECT_FALSE(other.try_acquire(40ms));
    EXPECT_EQ(count_watches(), before);
}

}  // namespace
}  // namespace holdfast::test
