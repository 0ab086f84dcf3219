// The file backend with a kernel that answers what ours would not: every injected state is printed.
#include "support/file_waiters.hpp"
#include "support/injected.hpp"
#include "support/notices.hpp"
#include "support/second_process.hpp"

#include <names/names.hpp>

#include <holdfast/backends/file.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <system_error>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class InjectedFault : public testing::Test {
protected:
    lock make(bool remote = false, const std::shared_ptr<observer>& seen = nullptr) const {
        file::options options;
        options.directory = here_.path();
        options.allow_remote = remote;
        provider_settings settings;
        settings.observer = seen;
        return file::make_provider(options, settings).make_lock("x");
    }
    void expect_error(errc code, const std::string& words) const {
        for (const timeout limit : {timeout::zero(), timeout(50ms)}) {
            error_code got;
            diagnostics diag;
            EXPECT_FALSE(make().try_acquire(limit, {}, got, &diag));
            EXPECT_EQ(got, code) << got.message() << ": " << diag.message;
            EXPECT_NE(diag.message.find(words), std::string::npos) << diag.message;
        }
    }
    const temporary_directory here_;
    static inline std::atomic<int> calls_ = 0;
    static inline int error_ = 0;
    static inline long type_ = 0;
};

TEST_F(InjectedFault, OfFlockIsAnErrorAndNeverALockNorHeldElsewhere) {
    for (const int error : {ENOLCK, EBADF, EOPNOTSUPP, ENOSYS, EINVAL}) {
        const injected kernel("flock fails (ENOLCK, EBADF, EOPNOTSUPP, ENOSYS or EINVAL)");
        error_ = error;
        kernel->flock = [](int, int) {
            errno = error_;
            return -1;
        };
        expect_error(errc::unsupported, "cannot lock");
    }
    const injected kernel("flock fails with EIO");
    kernel->flock = [](int, int) {
        errno = EIO;
        return -1;
    };
    expect_error(errc::unavailable, "cannot lock");
}

TEST_F(InjectedFault, OfAnInterruptedCallIsTriedAgain) {
    const injected kernel("open and flock are interrupted (EINTR) three times");
    calls_ = 0;
    kernel->open = [](int directory, const char* path, int flags, mode_t mode) {
        if (++calls_ % 4 != 0) {
            errno = EINTR;
            return -1;
        }
        return ::openat(directory, path, flags, mode);
    };
    kernel->flock = [](int file, int operation) {
        if (++calls_ % 4 != 0) {
            errno = EINTR;
            return -1;
        }
        return ::flock(file, operation);
    };
    const lock mine = make();
    auto held = mine.try_acquire();
    ASSERT_TRUE(held);
    held->release();
    // Interrupted unlocking does not count either, since the descriptor is closed.
    EXPECT_TRUE(mine.try_acquire());
}

// A wait that began anew would be asked for as at its beginning.
TEST_F(InjectedFault, OfAnInterruptedWaitGoesOnWithIt) {
    const injected kernel("flock that waits is interrupted (EINTR) three times");
    static std::vector<std::string> calls;
    kernel->flock = [](int file, int operation) {
        if (operation == LOCK_UN) return ::flock(file, operation);
        const bool tries = (operation & LOCK_NB) != 0;
        calls.emplace_back(tries ? "try" : "wait");
        if (calls.size() > 4) return ::flock(file, operation);
        errno = tries ? EWOULDBLOCK : EINTR;
        return -1;
    };
    make().acquire().release();
    EXPECT_EQ(calls, (std::vector<std::string>{"try", "wait", "wait", "wait", "wait"}));
}

TEST_F(InjectedFault, OfAnInterruptedWaitLetsNobodyOvertake) {
    const injected kernel("flock that waits is interrupted (EINTR) once, and somebody else has come to wait meanwhile");
    static const lock* mine;
    static std::promise<bool>* second;
    static std::atomic<bool> first_has_had_it;
    const lock same = make();
    std::promise<bool> after_the_first;
    mine = &same;
    second = &after_the_first;
    first_has_had_it = false;
    calls_ = 0;
    kernel->flock = [](int file, int operation) {
        // The first one tries, and waits; then the second one comes.
        if (const int call = calls_++; call < 2) {
            if (call == 1) {
                mine->async_acquire(timeout::infinite(), [](error_code code, lock_handle held) {
                    const bool in_order = !code && first_has_had_it;
                    // Before the kernel's calls are put back.
                    held.release();
                    second->set_value(in_order);
                });
            }
            errno = call == 0 ? EWOULDBLOCK : EINTR;
            return -1;
        }
        return ::flock(file, operation);
    };
    {
        const auto held = same.acquire();
        first_has_had_it = true;
    }
    EXPECT_TRUE(after_the_first.get_future().get());
}

TEST_F(InjectedFault, OfAForeignFileInAStickyDirectoryIsOpenedWithoutMakingIt) {
    const lock mine = make();
    ::close(::open(std::string(mine.mapped_name()).c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    const injected kernel("fs.protected_regular: open with O_CREAT fails with EACCES, without it does not");
    kernel->open = [](int directory, const char* path, int flags, mode_t mode) {
        if ((flags & O_CREAT) != 0) {
            errno = EACCES;
            return -1;
        }
        return ::openat(directory, path, flags, mode);
    };
    EXPECT_TRUE(mine.try_acquire());
    std::filesystem::remove(mine.mapped_name());
    expect_error(errc::permission, "Permission denied");
}

TEST_F(InjectedFault, OfARemoteFileSystemIsRefusedUnlessAllowed) {
    const struct {
        long type;
        const char* name;
    } remote[] = {
        {0x6969, "NFS"},      {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x65735546, "FUSE"},  {0x01021997, "9P"},
        {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},  {0x01161970, "GFS2"}, {0x7461636f, "OCFS2"}, {0x0bd00bd0, "Lustre"},
    };
    for (const auto& one : remote) {
        const injected kernel(one.name);
        type_ = one.type;
        kernel->file_system_type = [](int, long* type) {
            *type = type_;
            return 0;
        };
        expect_error(errc::unsupported, one.name);
        expect_error(errc::unsupported, "remote=true");
        EXPECT_TRUE(make(true).try_acquire()) << one.name;
    }
}

TEST_F(InjectedFault, OfAnUnknownFileSystemIsAnError) {
    const injected kernel("statfs fails with EIO");
    kernel->file_system_type = [](int, long*) {
        errno = EIO;
        return -1;
    };
    expect_error(errc::unavailable, "cannot tell the file system");
}

TEST_F(InjectedFault, OfAnInodeThatCannotBeLookedAtIsNeverALock) {
    const injected kernel("fstat fails with EIO");
    kernel->fstat = [](int, struct stat*) {
        errno = EIO;
        return -1;
    };
    expect_error(errc::unavailable, "cannot look at");
}

TEST_F(InjectedFault, OfDeletingDoesNotKeepTheLock) {
    const injected kernel("unlink fails with EACCES (a sticky directory)");
    kernel->unlink = [](int, const char*) {
        errno = EACCES;
        return -1;
    };
    const lock mine = make();
    EXPECT_NO_THROW(mine.acquire().release());
    EXPECT_TRUE(std::filesystem::exists(mine.mapped_name()));
    EXPECT_TRUE(make().try_acquire());
}

TEST_F(InjectedFault, OfADirectoryThatVanishesForEverEndsWithAnError) {
    const injected kernel("open fails with ENOENT although the directory was made");
    kernel->open = [](int, const char*, int, mode_t) {
        errno = ENOENT;
        return -1;
    };
    expect_error(errc::unavailable, "No such file or directory");
}

// Unlocked before it is deleted, the file could be locked by somebody who then finds it in place, and be deleted under
// them. Too rare to be met by chance: so it is looked at.
TEST_F(InjectedFault, NoneButTheCallsOfAReleaseInTheirOrder) {
    static std::vector<std::string> calls;
    const injected kernel("none: calls are only recorded");
    kernel->unlink = [](int directory, const char* path) {
        calls.emplace_back("unlink");
        return ::unlinkat(directory, path, 0);
    };
    kernel->flock = [](int file, int operation) {
        calls.emplace_back(operation == LOCK_UN ? "unlock" : "lock");
        return ::flock(file, operation);
    };
    make().acquire().release();
    EXPECT_EQ(calls, (std::vector<std::string>{"lock", "unlink", "unlock"}));
}

TEST_F(InjectedFault, OfAFileThatIsDeletedOrReplacedBeforeItIsLockedIsSeen) {
    static std::string path;
    path = make().mapped_name();
    for (const bool replace : {false, true}) {
        const injected kernel("the file is deleted, or replaced, between open and flock");
        static bool replaces;
        replaces = replace;
        static int unlocks;
        calls_ = unlocks = 0;
        kernel->flock = [](int file, int operation) {
            if (operation == LOCK_UN) ++unlocks;
            if (operation != LOCK_UN && calls_++ < 3) {
                ::unlink(path.c_str());
                if (replaces) ::close(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666));
            }
            return ::flock(file, operation);
        };
        const auto held = make().acquire(1s);
        EXPECT_EQ(calls_, 4);
        EXPECT_EQ(unlocks, 3) << "left to the close, a child that is forked just then would keep what is no lock";
        // Whoever opens the path now meets the lock.
        const int other = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        EXPECT_GE(other, 0);
        EXPECT_NE(::flock(other, LOCK_EX | LOCK_NB), 0);
        ::close(other);
    }
}

TEST_F(InjectedFault, OfADeletionThatIsToldOfBeforeThePathIsGoneIsSeen) {
    const lock_handle held = make().acquire(1s);
    static struct stat seen;
    ASSERT_EQ(::lstat(std::string(make().mapped_name()).c_str(), &seen), 0);
    const injected kernel("lstat still finds a file that was deleted just now");
    kernel->lstat = [](const char*, struct stat* result) {
        *result = seen;
        result->st_nlink = 0;
        return 0;
    };
    EXPECT_EQ(held.state(), held_state::lost);
}

TEST_F(InjectedFault, OfAPathThatCannotBeLookedAtIsNoLoss) {
    for (const int error : {EACCES, EIO, ENOMEM}) {
        lock_handle held = make().acquire(1s);
        const std::string path(make().mapped_name());
        {
            const injected kernel("lstat fails (EACCES, EIO or ENOMEM)");
            error_ = error;
            kernel->lstat = [](const char*, struct stat*) {
                errno = error_;
                return -1;
            };
            EXPECT_EQ(held.state(), held_state::held);
            // Nobody may believe in a lock, though, of which it cannot be seen whether it is one.
            expect_error(error == EACCES ? errc::permission : errc::unavailable, "cannot look at");
            EXPECT_NO_THROW(held.release());
        }
        EXPECT_FALSE(std::filesystem::exists(path)) << "it was ours to delete";
        EXPECT_TRUE(make().try_acquire());
    }
}

TEST_F(InjectedFault, OfAPathThatCannotBeLookedAtHidesNoLossThatCanBeSeen) {
    const injected kernel("lstat fails with EACCES");
    const lock mine = make();
    const std::string path(mine.mapped_name());
    lock_handle held;
    {
        kernel->lstat = [](const char* name, struct stat* result) { return ::lstat(name, result); };
        held = mine.acquire(1s);
    }
    kernel->lstat = [](const char*, struct stat*) {
        errno = EACCES;
        return -1;
    };
    std::filesystem::rename(path, path + ".away");
    EXPECT_EQ(held.state(), held_state::lost);
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_TRUE(std::filesystem::exists(path + ".away"));
}

TEST_F(InjectedFault, OfAFileSystemThatCountsNoLinksIsNoLoss) {
    const injected kernel("fstat and lstat count no links");
    kernel->fstat = [](int file, struct stat* result) {
        const int status = ::fstat(file, result);
        result->st_nlink = 0;
        return status;
    };
    kernel->lstat = [](const char* path, struct stat* result) {
        const int status = ::lstat(path, result);
        result->st_nlink = 0;
        return status;
    };
    lock_handle held = make().acquire(1s);
    EXPECT_EQ(held.state(), held_state::held);
    held.release();
}

/// A directory that closes while somebody waits for a file in it: what the waiter needs then is to open another one.
class ClosedDirectory : public InjectedFault {
protected:
    ClosedDirectory() {
        error_now_ = 0;
        kernel_->open = [](int directory, const char* path, int flags, mode_t mode) {
            if (const int error = error_now_; error != 0) {
                errno = error;
                return -1;
            }
            return ::openat(directory, path, flags, mode);
        };
    }
    static errc code_of(int error) { return error == EACCES ? errc::permission : errc::unavailable; }
    void expect_free() {
        error_now_ = 0;
        EXPECT_TRUE(make().try_acquire()) << "who has failed holds nothing";
    }

    const injected kernel_{"open fails with EACCES, ENOSPC, EROFS, ESTALE or EIO from some moment on"};
    static inline std::atomic<int> error_now_ = 0;
    static constexpr int errors[] = {EACCES, ENOSPC, EROFS, ESTALE, EIO};
};

TEST_F(ClosedDirectory, IsAClearErrorForWhoComesAndNoLossForWhoHolds) {
    for (const int error : errors) {
        lock_handle held = make().acquire(1s);
        const auto token = held.lost_token();
        error_now_ = error;
        const auto began = boottime::now();
        expect_error(code_of(error), std::generic_category().message(error));
        EXPECT_LT(boottime::now() - began, 1s) << "there is nothing to wait for";
        EXPECT_EQ(held.state(), held_state::held);
        EXPECT_FALSE(token.stop_requested());
        EXPECT_NO_THROW(held.release());
        expect_free();
    }
}

TEST_F(ClosedDirectory, IsAClearErrorForEachWhoWaits) {
    const auto seen = std::make_shared<notices>();
    int waits = 0;
    for (const int error : errors) {
        for (const way how : all_ways) {
            lock_handle held = make().acquire(1s);
            waiter_thread waiter(how, make(false, seen));
            ASSERT_TRUE(seen->await_waiting(++waits));
            error_now_ = error;
            EXPECT_FALSE(waiter.is_over_within(0ms)) << "the file is still there to be waited for";
            EXPECT_NO_THROW(held.release());
            const ended_wait end = waiter.get();
            EXPECT_EQ(end.code, code_of(error)) << name_of(how) << ": " << end.diag.message;
            EXPECT_NE(end.diag.message.find(std::generic_category().message(error)), std::string::npos)
                << end.diag.message;
            EXPECT_FALSE(end.held);
            expect_free();
        }
    }
}

TEST_F(ClosedDirectory, IsAClearErrorForWhoStandsInTheKernelWithoutAnObserver) {
    static std::string path;
    path = make().mapped_name();
    kernel_->flock = [](int file, int operation) {
        if (operation == LOCK_UN) return ::flock(file, operation);
        if ((operation & LOCK_NB) != 0 && error_now_ == 0) {
            errno = EWOULDBLOCK;
            return -1;
        }
        // Granted, and not the lock any more.
        ::unlink(path.c_str());
        error_now_ = ESTALE;
        return ::flock(file, operation);
    };
    error_code code;
    diagnostics diag;
    EXPECT_FALSE(make().acquire(timeout::infinite(), {}, code, &diag));
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_NE(diag.message.find(std::generic_category().message(ESTALE)), std::string::npos) << diag.message;
    kernel_->flock = ::flock;
    expect_free();
}

/// The directory is kept open, and may be another one by the time of the next lock.
class KnownDirectory : public testing::Test {
protected:
    KnownDirectory() {
        file::options options;
        options.directory = path_;
        source_ = file::make_provider(options);
        // From here on it is known.
        source_->make_lock("x").acquire().release();
    }
    void expect_exclusion() const {
        const auto held = source_->make_lock("x").acquire();
        EXPECT_EQ(held.state(), held_state::held);
        file::options options;
        options.directory = path_;
        EXPECT_FALSE(file::make_provider(options).make_lock("x").try_acquire());
        EXPECT_EQ(std::filesystem::directory_iterator(path_)->path(), source_->make_lock("x").mapped_name());
    }

    const temporary_directory here_;
    const std::string path_ = here_.path() + "/locks";
    const std::string moved_ = here_.path() + "/moved";
    std::optional<provider> source_;
};

TEST_F(KnownDirectory, ThatWasMovedAwayIsMadeAnew) {
    std::filesystem::rename(path_, moved_);
    expect_exclusion();
    EXPECT_TRUE(std::filesystem::is_empty(moved_)) << "what was made there by mistake is gone";
}

TEST_F(KnownDirectory, ThatWasReplacedIsLeftForTheNewOne) {
    std::filesystem::rename(path_, moved_);
    std::filesystem::create_directory(path_);
    expect_exclusion();
    EXPECT_TRUE(std::filesystem::is_empty(moved_));
}

TEST_F(KnownDirectory, ThatWasDeletedIsMadeAnew) {
    std::filesystem::remove(path_);
    expect_exclusion();
}

TEST_F(KnownDirectory, WhoseLinkLeadsElsewhereByNowIsLeft) {
    std::filesystem::rename(path_, moved_);
    std::filesystem::create_directory(here_.path() + "/other");
    std::filesystem::create_directory_symlink(here_.path() + "/other", path_);
    expect_exclusion();
    EXPECT_TRUE(std::filesystem::is_empty(moved_));
}

TEST_F(KnownDirectory, ThatWasMovedWithALockInItHasLostIt) {
    auto held = source_->make_lock("x").acquire();
    std::filesystem::rename(path_, moved_);
    EXPECT_EQ(held.state(), held_state::lost);
    expect_exclusion();
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_FALSE(std::filesystem::is_empty(moved_)) << "not at its path any more, so it is not ours to delete";
}

TEST_F(KnownDirectory, WithAFileInItsPlaceIsAnError) {
    std::filesystem::rename(path_, moved_);
    ::close(::open(path_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    error_code code;
    diagnostics diag;
    EXPECT_FALSE(source_->make_lock("x").try_acquire(timeout::zero(), {}, code, &diag));
    EXPECT_EQ(code, errc::invalid_state) << diag.message;
    EXPECT_TRUE(std::filesystem::is_empty(moved_));
}

TEST_F(KnownDirectory, ThatIsMovedAndCannotBeUsedAnyMoreIsLeftForTheNewOne) {
    static ino_t closed;
    static int error;
    for (const int each : {EACCES, ENOSPC, EROFS, ESTALE, EIO, ENOTDIR}) {
        struct stat found {};
        ASSERT_EQ(::stat(path_.c_str(), &found), 0);
        closed = found.st_ino;
        error = each;
        const injected kernel(
            "open fails in a directory that is known (EACCES, ENOSPC, EROFS, ESTALE, EIO or ENOTDIR)");
        kernel->open = [](int directory, const char* path, int flags, mode_t mode) {
            struct stat in {};
            if (::fstat(directory, &in) == 0 && in.st_ino == closed) {
                errno = error;
                return -1;
            }
            return ::openat(directory, path, flags, mode);
        };
        std::filesystem::rename(path_, moved_);
        std::filesystem::create_directory(path_);
        EXPECT_NO_THROW(expect_exclusion()) << std::generic_category().message(error);
        EXPECT_TRUE(std::filesystem::is_empty(moved_));
        std::filesystem::remove(moved_);
    }
}

TEST_F(KnownDirectory, OfALongPathIsNoWayAroundTheLongestOne) {
    // What it is opened by is short enough; what it is looked up by is not.
    std::string deep = here_.path();
    while (deep.size() + 1 + 200 < 4060) deep += "/" + std::string(200, 'd');
    deep += "/" + std::string(4060 - deep.size() - 1, 'e');
    file::options options;
    options.directory = deep;
    const provider source = file::make_provider(options);
    error_code code;
    diagnostics diag;
    EXPECT_FALSE(source.make_lock(std::string(100, 'n')).try_acquire(timeout::zero(), {}, code, &diag));
    EXPECT_EQ(code, errc::invalid_name) << diag.message;
}

/// True while this process has @p path open.
bool is_open(std::string_view path) {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::any_of(begin(all), end(all), [path](const auto& each) {
        std::error_code gone;
        return std::filesystem::read_symlink(each.path(), gone) == path;
    });
}

TEST(IdleFiles, ThatAreLostMakeRoomForOthers) {
    const temporary_directory here;
    file::options options;
    options.directory = here.path();
    options.keep_files = true;
    const provider source = file::make_provider(options);
    std::vector<lock> all;
    for (int count = 0; count < 100; ++count) all.push_back(source.make_lock(std::to_string(count)));
    for (const lock& each : all) each.acquire().release();
    const lock more = source.make_lock("more");
    more.acquire().release();
    ASSERT_FALSE(is_open(more.mapped_name())) << "there is a limit to what is kept open";
    for (const lock& each : all) {
        auto held = each.acquire();
        std::filesystem::remove(each.mapped_name());
        error_code code;
        held.release(code);
        EXPECT_EQ(code, errc::lost);
    }
    more.acquire().release();
    EXPECT_TRUE(is_open(more.mapped_name()));
}

/// Text of all kinds, with whatever could lead out of a directory in it.
std::string random_name(std::mt19937& random) {
    static const char* const parts[] = {
        "/", "..", ".",  "\\",  " ", "a",   "B",      "_",    "\n",           "\xC3\xA9",         "~",        "$",
        ":", "\t", "\"", "CON", "-", "%2F", "x.lock", "\x01", "\xE2\x80\xAE", "\xF0\x9F\x98\x80", "\xC7\x85", "0"};
    std::string made;
    for (auto left = random() % 12; left > 0; --left) made += parts[random() % std::size(parts)];
    if (random() % 50 == 0) made += std::string(random() % 5000, 'l');
    if (random() % 50 == 0) made += '\0';
    return made;
}

TEST(NamesOfLocks, NeverShareAPathNorLeaveTheDirectory) {
    std::mt19937 random(20240607);
    std::set<std::string> names;
    std::set<std::string> paths;
    for (int i = 0; i < 200'000; ++i) {
        std::string name = random_name(random);
        const std::string path = names::file_path("/var/lock/app", name);
        ASSERT_EQ(path.rfind('/'), std::string("/var/lock/app").size()) << name;
        ASSERT_TRUE(path.starts_with("/var/lock/app/")) << path;
        ASSERT_EQ(path.find('\0'), std::string::npos);
        ASSERT_LE(path.size(), std::string("/var/lock/app/").size() + 255);
        const bool new_name = names.insert(std::move(name)).second;
        ASSERT_EQ(paths.insert(path).second, new_name) << path;
    }
    std::printf("    %zu distinct names, as many paths\n", names.size());
}

TEST(NamesOfLocks, CanAllBeLocked) {
    const temporary_directory here;
    file::options options;
    options.directory = here.path();
    const provider source = file::make_provider(options);
    std::mt19937 random(7);
    std::set<std::string> names{".", "..", "", " ", "\t", "CON", "x.", "x ", std::string(65535, 'n'), "a/b", "/etc"};
    while (names.size() < 300) names.insert(random_name(random));
    std::vector<lock_handle> all;
    for (const auto& name : names) all.push_back(source.make_lock(name).acquire(1s));
    for (const auto& each : all) EXPECT_EQ(each.state(), held_state::held);
    all.clear();
    EXPECT_TRUE(std::filesystem::is_empty(here.path()));
}

}  // namespace
}  // namespace holdfast::test
