// Directories and paths as real kernels have them: each obstacle is an error that says what is wrong, never "held by
// somebody else".
#include "support/file_waiters.hpp"
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <holdfast/backends/file.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

file::options in(const std::string& directory) {
    file::options made;
    made.directory = directory;
    return made;
}

file::options exact() {
    file::options made;
    made.exact_paths = true;
    return made;
}

/// Tries and expects @p code, with @p words in its text; in every style of asking. For children as well.
void expect_error(const file::options& options, const std::string& name, errc code, const std::string& words) {
    const lock mine = file::make_provider(options).make_lock(name);
    for (const timeout limit : {timeout::zero(), timeout(1s), timeout::infinite()}) {
        error_code got;
        diagnostics diag;
        const auto held = mine.try_acquire(limit, {}, got, &diag);
        require(!held.has_value(), "it has the lock");
        require(got == code, "code '" + got.message() + "', text '" + diag.message + "'");
        require(diag.message.find(words) != std::string::npos,
                "text '" + diag.message + "' is without '" + words + "'");
        require(diag.message.find(std::string(mine.mapped_name())) != std::string::npos || words.find('/') == 0,
                "text '" + diag.message + "' is without the path");
    }
}

#define EXPECT_REFUSED(...) EXPECT_NO_THROW(expect_error(__VA_ARGS__))

mode_t mode_of(const std::string& path) {
    struct stat found {};
    require(::stat(path.c_str(), &found) == 0, "no " + path);
    return found.st_mode & 07777;
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

constexpr uid_t somebody = 54322;

void become_somebody() {
    require(::setgid(somebody) == 0 && ::setuid(somebody) == 0, "cannot change the user");
}

#define NEEDS_ROOT() \
    if (::geteuid() != 0) GTEST_SKIP() << "needs root"

TEST(LockDirectory, IsMadeWithItsParentsAndModesByUmask) {
    EXPECT_EQ(in_child([] {
                  for (const mode_t mask : {0022U, 0077U, 0002U, 0000U}) {
                      const temporary_directory here;
                      ::umask(mask);
                      const auto held = file::make_provider(in(here / "a/b/c")).make_lock("x").acquire();
                      for (const char* made : {"a", "a/b", "a/b/c"}) {
                          require(mode_of(here / made) == (0777 & ~mask), std::string("mode of ") + made);
                      }
                      for (const auto& entry : std::filesystem::directory_iterator(here / "a/b/c")) {
                          require(mode_of(entry.path()) == (0666 & ~mask), "mode of the file");
                          require(entry.file_size() == 0, "size of the file");
                      }
                  }
              }),
              "");
}

TEST(LockDirectory, StaysWhenTheFileIsDeleted) {
    const temporary_directory here;
    const lock mine = file::make_provider(in(here / "d")).make_lock("x");
    auto held = mine.acquire();
    EXPECT_TRUE(std::filesystem::exists(mine.mapped_name()));
    held.release();
    EXPECT_FALSE(std::filesystem::exists(mine.mapped_name()));
    EXPECT_TRUE(std::filesystem::exists(here / "d"));
}

TEST(LockDirectory, ThatIsAFileOrBelowOneIsAnError) {
    const temporary_directory here;
    write_file(here / "file", "");
    EXPECT_REFUSED(in(here / "file"), "x", errc::invalid_state, "not a directory");
    EXPECT_REFUSED(in(here / "file/below"), "x", errc::invalid_state, "not a directory");
    EXPECT_REFUSED(exact(), here / "file/x", errc::invalid_state, "not a directory");
}

TEST(LockDirectory, ThatIsADanglingLinkIsAnError) {
    const temporary_directory here;
    std::filesystem::create_symlink("/nonexistent/nowhere", here / "link");
    EXPECT_REFUSED(in(here / "link"), "x", errc::unavailable, "No such file");
}

TEST(LockDirectory, WithoutPermissionIsAnError) {
    NEEDS_ROOT();
    const temporary_directory here;
    ::chmod(here.path().c_str(), 0755);
    ASSERT_EQ(::mkdir((here / "closed").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir((here / "readable").c_str(), 0755), 0);
    EXPECT_EQ(in_child([&] {
                  become_somebody();
                  expect_error(in(here / "closed"), "x", errc::permission, "Permission denied");
                  expect_error(in(here / "closed/below"), "x", errc::permission, "Permission denied");
                  expect_error(in(here / "readable"), "x", errc::permission, "Permission denied");
                  expect_error(in(here / "readable/new"), "x", errc::permission, "Permission denied");
              }),
              "");
}

/// What a waiter of each kind meets whose lock directory is changed under it, by a user whom the kernel's rules bind.
class ChangedDirectory : public testing::TestWithParam<way> {
protected:
    ChangedDirectory() { require(::chmod(here_.path().c_str(), 0777) == 0, "chmod"); }

    const temporary_directory here_;
    const std::string path_ = here_ / "locks";
    const std::string moved_ = here_ / "moved";
};

INSTANTIATE_TEST_SUITE_P(Files, ChangedDirectory, testing::ValuesIn(all_ways),
                         [](const auto& one) { return name_of(one.param); });

TEST_P(ChangedDirectory, ThatIsMovedAwayAndClosedIsLeftByAll) {
    NEEDS_ROOT();
    EXPECT_EQ(in_child([&] {
                  become_somebody();
                  const auto seen = std::make_shared<notices>();
                  provider_settings settings;
                  settings.observer = seen;
                  const provider holders = file::make_provider(in(path_));
                  const provider waiters = file::make_provider(in(path_), settings);
                  auto held = holders.make_lock("x").acquire();
                  waiter_thread waiter(GetParam(), waiters.make_lock("x"));
                  require(seen->await_waiting(1), "does not wait");
                  std::filesystem::rename(path_, moved_);
                  require(::chmod(moved_.c_str(), 0) == 0, "chmod");
                  require(held.state() == held_state::lost, "held by a path that leads nowhere");
                  error_code code;
                  held.release(code);
                  require(code == errc::lost, "release: " + code.message());
                  ended_wait end = waiter.get();
                  require(!end.code, "the waiter: " + end.code.message() + ", " + end.diag.message);
                  require(end.held.state() == held_state::held, "the waiter has lost it again");
                  // All meet in the new directory, also those who knew the old one.
                  require(std::filesystem::exists(std::string(holders.make_lock("x").mapped_name())), "elsewhere");
                  for (const provider& each : {holders, waiters, file::make_provider(in(path_))}) {
                      require(!each.make_lock("x").try_acquire(), "two have it");
                      require(each.make_lock("y").try_acquire().has_value(), "another one is not to be had");
                  }
              }),
              "");
}

TEST_P(ChangedDirectory, ThatIsClosedEndsEachWaitInItsTimeAndLosesNobodysLock) {
    NEEDS_ROOT();
    EXPECT_EQ(in_child([&] {
                  become_somebody();
                  const auto seen = std::make_shared<notices>();
                  provider_settings settings;
                  settings.observer = seen;
                  const provider holders = file::make_provider(in(path_));
                  const lock mine = file::make_provider(in(path_), settings).make_lock("x");
                  auto held = holders.make_lock("x").acquire();
                  const auto lost = held.lost_token();
                  waiter_thread waiter(GetParam(), mine, 400ms);
                  require(seen->await_waiting(1), "does not wait");
                  require(::chmod(path_.c_str(), 0) == 0, "chmod");
                  // Whoever comes now is told at once.
                  for (const timeout limit : {timeout::zero(), timeout(300ms), timeout::infinite()}) {
                      error_code code;
                      diagnostics diag;
                      const auto began = boottime::now();
                      require(!holders.make_lock("x").try_acquire(limit, {}, code, &diag), "two have it");
                      require(code == errc::permission, "code " + code.message() + ", text " + diag.message);
                      require(diag.message.find("Permission denied") != std::string::npos, diag.message);
                      require(boottime::now() - began < 1s, "it has waited");
                  }
                  require(held.state() == held_state::held && !lost.stop_requested(), "believed lost");
                  const bool endless = GetParam() == way::sync_infinite || GetParam() == way::sync_stop;
                  if (!endless) require(waiter.is_over_within(5s), "the wait goes on after its time");
                  held.release();
                  const ended_wait end = waiter.get();
                  require(end.code == errc::permission || (!endless && end.code == errc::timed_out),
                          "the waiter: " + end.code.message() + ", " + end.diag.message);
                  require(!end.held, "the waiter believes that it has it");
                  require(::chmod(path_.c_str(), 0700) == 0, "chmod");
                  require(mine.try_acquire().has_value(), "somebody has it still");
              }),
              "");
}

TEST(LockFile, OfAnotherUserCanBeLockedByWhoeverMayReadIt) {
    NEEDS_ROOT();
    const temporary_directory here;
    ::chmod(here.path().c_str(), 0755);
    write_file(here / "readable", "");
    write_file(here / "secret", "");
    ::chmod((here / "readable").c_str(), 0444);
    ::chmod((here / "secret").c_str(), 0600);
    EXPECT_EQ(in_child([&] {
                  become_somebody();
                  const auto held = file::make_provider(exact()).make_lock(here / "readable").try_acquire();
                  require(held.has_value(), "not locked");
                  expect_error(exact(), here / "secret", errc::permission, "Permission denied");
              }),
              "");
}

/// A private mount namespace with a small file system of its own. For children.
void mount_small(const std::string& at, const char* options) {
    require(::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
            "unshare");
    require(::mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0, "mount");
}

TEST(LockDirectory, OnAReadOnlyFileSystemIsAnErrorUnlessTheFileIsThere) {
    NEEDS_ROOT();
    const temporary_directory here;
    EXPECT_EQ(in_child([&] {
                  mount_small(here.path(), "size=64k");
                  write_file(here / "user.txt", "text");
                  require(::mount(nullptr, here.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0, "ro");
                  expect_error(in(here.path()), "x", errc::unavailable, "Read-only file system");
                  expect_error(in(here / "new"), "x", errc::unavailable, "Read-only file system");
                  const lock mine = file::make_provider(exact()).make_lock(here / "user.txt");
                  require(mine.try_acquire().has_value(), "an existing file");
              }),
              "");
}

TEST(LockDirectory, OnAFullFileSystemIsAnError) {
    NEEDS_ROOT();
    const temporary_directory here;
    EXPECT_EQ(in_child([&] {
                  mount_small(here.path(), "size=64k,nr_inodes=4");
                  write_file(here / "1", "");
                  write_file(here / "2", "");
                  write_file(here / "3", "");
                  expect_error(in(here.path()), "x", errc::unavailable, "No space left");
                  expect_error(in(here / "new"), "x", errc::unavailable, "No space left");
                  std::filesystem::remove(here / "1");
                  require(file::make_provider(in(here.path())).make_lock("x").try_acquire().has_value(), "with room");
              }),
              "");
}

TEST(LockDirectory, BehindALinkThatOthersMayHavePlantedIsRefused) {
    NEEDS_ROOT();
    const temporary_directory here;
    constexpr uid_t stranger = 65534;
    const std::string shared = here / "shared";
    const std::string elsewhere = here / "elsewhere";
    std::filesystem::create_directory(shared);
    std::filesystem::create_directory(elsewhere);
    for (const mode_t mode : {01777U, 0777U}) {
        ASSERT_EQ(::chmod(shared.c_str(), mode), 0);
        const std::string planted = shared + "/planted";
        std::filesystem::create_symlink("../elsewhere", planted);
        ASSERT_EQ(::lchown(planted.c_str(), stranger, stranger), 0);
        EXPECT_REFUSED(in(planted), "x", errc::permission, "symbolic link");
        EXPECT_REFUSED(in(planted + "/new/deep"), "x", errc::permission, "symbolic link");
        EXPECT_REFUSED(exact(), planted + "/app.lock", errc::permission, "symbolic link");
        EXPECT_TRUE(std::filesystem::is_empty(elsewhere));

        // Whose is ours, or of whom the directory is, may be trusted.
        ASSERT_EQ(::lchown(planted.c_str(), ::geteuid(), ::getegid()), 0);
        EXPECT_TRUE(file::make_provider(in(planted)).make_lock("x").try_acquire());
        ASSERT_EQ(::chown(shared.c_str(), stranger, stranger), 0);
        ASSERT_EQ(::lchown(planted.c_str(), stranger, stranger), 0);
        EXPECT_TRUE(file::make_provider(in(planted)).make_lock("x").try_acquire());
        // Nobody else may write there.
        ASSERT_EQ(::chmod(shared.c_str(), 0755), 0);
        EXPECT_TRUE(file::make_provider(exact()).make_lock(planted + "/app.lock").try_acquire());
        std::filesystem::remove(elsewhere + "/app.lock");
        std::filesystem::remove(planted);
        ASSERT_EQ(::chown(shared.c_str(), ::geteuid(), ::getegid()), 0);
    }
}

TEST(LockDirectory, BehindLinksThatGoInCirclesIsRefused) {
    const temporary_directory here;
    std::filesystem::create_symlink(here / "two", here / "one");
    std::filesystem::create_symlink(here / "one", here / "two");
    EXPECT_REFUSED(in(here / "one"), "x", errc::permission, "symbolic link");
}

TEST(LockFile, WithoutADescriptorLeftIsAnError) {
    const temporary_directory here;
    EXPECT_EQ(in_child([&] {
                  const lock mine = file::make_provider(in(here.path())).make_lock("y");
                  const rlimit few{16, 16};
                  require(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
                  std::vector<int> all;
                  for (int one = ::dup(0); one >= 0; one = ::dup(0)) all.push_back(one);
                  expect_error(in(here.path()), "x", errc::unavailable, "Too many open files");
                  ::close(all.back());
                  auto held = mine.try_acquire();
                  require(held.has_value(), "with one descriptor");
                  // Neither an event source nor a helper's news can be had now, and the wait still ends in its time.
                  error_code code;
                  (void)mine.try_acquire(30ms, {}, code);
                  require(code == errc::unavailable, "the second open: " + code.message());
              }),
              "");
}

/// A wait when the file's descriptor was the last one to be had.
TEST(LockFile, WaitedForWithTheLastDescriptorIsHadAllTheSame) {
    const temporary_directory here;
    EXPECT_EQ(in_child([&] {
                  file::options options = in(here.path());
                  options.keep_files = true;
                  auto other = file::make_provider(options).make_lock("x").acquire();
                  const lock mine = file::make_provider(options).make_lock("x");
                  const rlimit few{16, 16};
                  require(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
                  std::vector<int> all;
                  for (int one = ::dup(0); one >= 0; one = ::dup(0)) all.push_back(one);
                  ::close(all.back());
                  require(!mine.try_acquire(60ms).has_value(), "two have it");
                  std::jthread releasing([&] { other.release(); });
                  require(mine.try_acquire(10s).has_value(), "not had");
              }),
              "");
}

TEST(LockFile, WithFewDescriptorsLeftIsWatchedAsFarAsTheyGo) {
    const temporary_directory here;
    EXPECT_EQ(in_child([&] {
                  const rlimit few{24, 24};
                  require(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
                  constexpr int enough = 8;
                  for (int left = 0; left < enough; ++left) {
                      // Of its own, which has asked for none yet.
                      boost::asio::io_context executor;
                      const auto mine = file::make_provider(in(here.path()), {.executor = executor.get_executor()});
                      const auto held = mine.make_lock(std::to_string(left)).acquire();
                      std::vector<int> all;
                      for (int one = ::dup(0); one >= 0; one = ::dup(0)) all.push_back(one);
                      for (int freed = 0; freed < left; ++freed) {
                          ::close(all.back());
                          all.pop_back();
                      }
                      try {
                          (void)held.lost_token();
                      } catch (const std::exception& thrown) {
                          require(false, std::to_string(left) + " left: " + thrown.what());
                      }
                      for (const int each : all) ::close(each);
                  }
              }),
              "");
}

TEST(LockFile, WhosePathIsTooLongIsAnError) {
    const temporary_directory here;
    EXPECT_REFUSED(exact(), here / std::string(256, 'a'), errc::invalid_name, "File name too long");
    std::string deep = here.path();
    while (deep.size() < 4200) deep += "/" + std::string(200, 'd');
    EXPECT_REFUSED(in(deep), "x", errc::invalid_name, "File name too long");
}

TEST(LockPath, ThatIsNoRegularFileIsAnError) {
    const temporary_directory here;
    ASSERT_EQ(::mkdir((here / "directory").c_str(), 0700), 0);
    EXPECT_REFUSED(exact(), here / "directory", errc::invalid_state, "directory");
    ASSERT_EQ(::mkfifo((here / "fifo").c_str(), 0600), 0);
    EXPECT_REFUSED(exact(), here / "fifo", errc::invalid_state, "not a regular file");
    EXPECT_REFUSED(exact(), "/dev/null", errc::invalid_state, "not a regular file");
    const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (here / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_REFUSED(exact(), here / "socket", errc::invalid_state, "not a regular file");
    ::close(listening);
}

/// Where everybody may write, somebody may have put a link there to have us lock, or make, a file of theirs.
TEST(LinkAtTheLocksPath, IsRefusedWhereEverybodyMayWrite) {
    for (const mode_t mode : {01777U, 0777U, 01755U}) {
        const temporary_directory here;
        ::chmod(here.path().c_str(), mode);
        write_file(here / "target", "precious");
        std::filesystem::create_symlink(here / "target", here / "to_file");
        std::filesystem::create_symlink(here / "nothing", here / "dangling");
        std::filesystem::create_symlink("/tmp", here / "to_directory");
        for (const char* link : {"to_file", "dangling", "to_directory"}) {
            EXPECT_REFUSED(exact(), here / link, errc::permission, "symbolic link");
        }
        EXPECT_FALSE(std::filesystem::exists(here / "nothing"));
        EXPECT_EQ(std::filesystem::file_size(here / "target"), 8U);
    }
}

TEST(LinkAtTheLocksPath, IsRefusedForANameInADirectoryToo) {
    const temporary_directory here;
    ::chmod(here.path().c_str(), 01777);
    const lock mine = file::make_provider(in(here.path())).make_lock("x");
    std::filesystem::create_symlink(here / "planted", std::string(mine.mapped_name()));
    EXPECT_REFUSED(in(here.path()), "x", errc::permission, "symbolic link");
    EXPECT_FALSE(std::filesystem::exists(here / "planted"));
}

TEST(LinkAtTheLocksPath, IsFollowedWhereOnlyTrustedUsersWrite) {
    const temporary_directory here;
    write_file(here / "target", "precious");
    std::filesystem::create_symlink(here / "target", here / "link");
    std::filesystem::create_symlink(here / "new", here / "dangling");
    const lock by_link = file::make_provider(exact()).make_lock(here / "link");
    const lock by_name = file::make_provider(exact()).make_lock(here / "target");
    auto held = by_link.try_acquire();
    ASSERT_TRUE(held);
    EXPECT_FALSE(by_name.try_acquire());
    EXPECT_EQ(held->state(), held_state::held);
    held->release();
    EXPECT_TRUE(by_name.try_acquire());
    EXPECT_TRUE(file::make_provider(exact()).make_lock(here / "dangling").try_acquire());
    EXPECT_TRUE(std::filesystem::exists(here / "new"));
    std::filesystem::create_symlink("/tmp", here / "to_directory");
    EXPECT_REFUSED(exact(), here / "to_directory", errc::invalid_state, "directory");
}

/// A link that is put there later, in the place of the file that we have open.
TEST(LinkAtTheLocksPath, ThatReplacesAHeldFileIsALoss) {
    const temporary_directory here;
    ::chmod(here.path().c_str(), 01777);
    const std::string path = here / "file";
    const lock mine = file::make_provider(exact()).make_lock(path);
    auto held = mine.acquire();
    std::filesystem::rename(path, here / "moved");
    std::filesystem::create_symlink(here / "moved", path);
    EXPECT_EQ(held.state(), held_state::lost);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_REFUSED(exact(), path, errc::permission, "symbolic link");
}

class PrivateDirectory : public testing::Test {
protected:
    static file::options at(const std::string& path) {
        file::options made = in(path);
        made.private_directory = true;
        return made;
    }
    const temporary_directory here_;
};

TEST_F(PrivateDirectory, IsMadeForItsOwnerAlone) {
    const auto held = file::make_provider(at(here_ / "a/b")).make_lock("x").acquire();
    EXPECT_EQ(mode_of(here_ / "a/b"), 0700U);
}

TEST_F(PrivateDirectory, IsRefusedWhereOthersMayWrite) {
    for (const mode_t mode : {0770U, 0702U, 0777U, 01777U}) {
        ::mkdir((here_ / "d").c_str(), 0700);
        ::chmod((here_ / "d").c_str(), mode);
        EXPECT_REFUSED(at(here_ / "d"), "x", errc::permission, here_ / "d' can be written");
    }
    ::chmod((here_ / "d").c_str(), 0755);
    EXPECT_TRUE(file::make_provider(at(here_ / "d")).make_lock("x").try_acquire());
}

TEST_F(PrivateDirectory, IsRefusedWhereItIsALinkOrAFile) {
    ASSERT_EQ(::mkdir((here_ / "d").c_str(), 0700), 0);
    std::filesystem::create_symlink(here_ / "d", here_ / "link");
    EXPECT_REFUSED(at(here_ / "link"), "x", errc::permission, here_ / "link' is a symbolic link");
    write_file(here_ / "file", "");
    EXPECT_REFUSED(at(here_ / "file"), "x", errc::permission, here_ / "file' is not a directory");
}

TEST_F(PrivateDirectory, IsRefusedWhereItBelongsToSomebodyElse) {
    NEEDS_ROOT();
    ASSERT_EQ(::mkdir((here_ / "d").c_str(), 0700), 0);
    ASSERT_EQ(::chown((here_ / "d").c_str(), somebody, somebody), 0);
    EXPECT_REFUSED(at(here_ / "d"), "x", errc::permission, here_ / "d' belongs to another user");
}

TEST(RacingDeletions, OfTheDirectoryAreNoErrors) {
    const temporary_directory here;
    const std::string directory = here / "a/b/c";
    std::atomic<bool> over{false};
    std::jthread deleting([&] {
        while (!over) {
            ::rmdir(directory.c_str());
            ::rmdir((here / "a/b").c_str());
            ::rmdir((here / "a").c_str());
            // Somebody who tidies up, however busily. Without any pause at all, on a processor of its own, it would win
            // more often than we are willing to try again.
            std::this_thread::sleep_for(50us);
        }
    });
    const lock mine = file::make_provider(in(directory)).make_lock("x");
    int errors = 0;
    std::string first;
    for (int round = 0; round < 1000; ++round) {
        error_code code;
        diagnostics diag;
        auto held = mine.try_acquire(timeout::zero(), {}, code, &diag);
        if (code && errors++ == 0) first = diag.message;
    }
    over = true;
    EXPECT_EQ(errors, 0) << first;
}

TEST(TwentyThreads, WithFiveHundredTriesEachSeeNoErrorAndNeverTwoAtOnce) {
    for (const bool keep : {false, true}) {
        const temporary_directory here;
        file::options options = in(here.path());
        options.keep_files = keep;
        const lock shared = file::make_provider(options).make_lock("x");
        std::atomic<int> inside{0};
        std::atomic<int> had{0};
        std::atomic<int> wrong{0};
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < 20; ++i) {
                threads.emplace_back([&, i] {
                    // Half of them share a queue; the others meet in the kernel only.
                    const lock mine = i % 2 == 0 ? shared : file::make_provider(options).make_lock("x");
                    for (int round = 0; round < 500; ++round) {
                        error_code code;
                        auto held = mine.try_acquire(i % 4 < 2 ? timeout::zero() : timeout(1ms), {}, code);
                        if (code) ++wrong;
                        if (!held) continue;
                        if (++inside != 1) ++wrong;
                        ++had;
                        --inside;
                        held->release(code);
                        if (code) ++wrong;
                    }
                });
            }
        }
        EXPECT_EQ(wrong, 0);
        EXPECT_GT(had, 0);
        EXPECT_NE(std::filesystem::is_empty(here.path()), keep);
    }
}

TEST(UsersFile, KeepsItsContentsAndModeAndIsNeverDeleted) {
    const temporary_directory here;
    const std::string path = here / "user.txt";
    write_file(path, "contents");
    ::chmod(path.c_str(), 0444);
    const lock mine = file::make_provider(exact()).make_lock(path);
    for (int round = 0; round < 3; ++round) {
        auto held = mine.acquire();
        EXPECT_FALSE(file::make_provider(exact()).make_lock(path).try_acquire());
    }
    EXPECT_EQ(mode_of(path), 0444U);
    std::string text;
    std::ifstream(path) >> text;
    EXPECT_EQ(text, "contents");
}

TEST(UsersFile, IsDeletedWhereThatIsAskedFor) {
    const temporary_directory here;
    const std::string path = here / "user.txt";
    write_file(path, "contents");
    file::options options = exact();
    options.delete_exact_files = true;
    file::make_provider(options).make_lock(path).acquire().release();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(KeptFile, IsThereAfterReleaseAndStillExcludes) {
    const temporary_directory here;
    file::options options = in(here.path());
    options.keep_files = true;
    const lock mine = file::make_provider(options).make_lock("x");
    mine.acquire().release();
    EXPECT_TRUE(std::filesystem::exists(mine.mapped_name()));
    auto held = mine.acquire();
    EXPECT_FALSE(file::make_provider(options).make_lock("x").try_acquire());
    held.release();
    // Deleted while nobody holds it: the idle descriptor is of no use then, and that is noticed.
    std::filesystem::remove(mine.mapped_name());
    auto again = mine.acquire();
    EXPECT_TRUE(std::filesystem::exists(mine.mapped_name()));
    EXPECT_FALSE(file::make_provider(options).make_lock("x").try_acquire());
}

}  // namespace
}  // namespace holdfast::test
