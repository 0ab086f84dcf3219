#include <holdfast/memory.hpp>
#include <holdfast/std_lock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

static_assert(noexcept(std::declval<std_lock&>().unlock()));
static_assert(noexcept(std::declval<std_reader_writer_lock&>().unlock_shared()));

class StdLock : public testing::Test {
protected:
    bool is_free() const { return locks_.make_lock("n").try_acquire().has_value(); }

    memory_provider locks_;
    std_lock lock_{locks_.make_lock("n")};
};

TEST_F(StdLock, UniqueLockHoldsItUntilItsEnd) {
    {
        const std::unique_lock guard(lock_);
        EXPECT_TRUE(guard.owns_lock());
        EXPECT_FALSE(is_free());
        EXPECT_EQ(lock_.handle().state(), held_state::held);
        EXPECT_TRUE(lock_.handle().fencing_token());
    }
    EXPECT_TRUE(is_free());
    EXPECT_FALSE(lock_.handle());
    EXPECT_FALSE(lock_.take_unlock_error());
}

TEST_F(StdLock, ATryFailsWhereTheLockIsHeldElsewhere) {
    const auto elsewhere = locks_.make_lock("n").acquire();
    EXPECT_FALSE(std::unique_lock(lock_, std::try_to_lock).owns_lock());
    EXPECT_FALSE(std::unique_lock(lock_, 1ms).owns_lock());
    EXPECT_FALSE(std::unique_lock(lock_, std::chrono::system_clock::now() + 1ms).owns_lock());
}

TEST_F(StdLock, TimesOutsideOurRangeAreTakenAsTheStandardMeansThem) {
    EXPECT_TRUE(std::unique_lock(lock_, -1s).owns_lock());
    EXPECT_TRUE(std::unique_lock(lock_, std::chrono::hours::max()).owns_lock());
    EXPECT_TRUE(std::unique_lock(lock_, std::chrono::steady_clock::time_point::max()).owns_lock());
    EXPECT_TRUE(std::unique_lock(lock_, std::chrono::steady_clock::time_point::min()).owns_lock());
    const auto elsewhere = locks_.make_lock("n").acquire();
    EXPECT_FALSE(std::unique_lock(lock_, -1s).owns_lock());
}

TEST_F(StdLock, OtherErrorsThanHeldElsewhereAreThrown) {
    locks_.fail_next(errc::unavailable, 2);
    EXPECT_THROW(lock_.lock(), error);
    EXPECT_THROW((void)lock_.try_lock(), error);
    EXPECT_TRUE(is_free());
}

TEST_F(StdLock, ScopedLockTakesSeveral) {
    std_lock other(locks_.make_lock("m"));
    {
        const std::scoped_lock both(lock_, other);
        EXPECT_FALSE(is_free());
        EXPECT_FALSE(locks_.make_lock("m").try_acquire());
    }
    EXPECT_TRUE(is_free());
}

TEST_F(StdLock, UnlockKeepsTheErrorThatItMayNotThrow) {
    lock_.lock();
    ASSERT_EQ(locks_.lose("n"), 1);
    lock_.unlock();
    const auto failure = lock_.take_unlock_error();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->boost_code(), errc::lost);
    EXPECT_FALSE(lock_.take_unlock_error());
}

TEST_F(StdLock, ALostLockIsItsHoldersToUnlockAlsoWhenAnotherThreadHasTheNextOne) {
    lock_.lock();
    ASSERT_EQ(locks_.lose("n"), 1);
    std::thread([this] {
        const std::unique_lock next(lock_);
        EXPECT_EQ(lock_.handle().state(), held_state::held);
    }).join();
    EXPECT_EQ(lock_.handle().state(), held_state::lost);
    lock_.unlock();
    EXPECT_EQ(lock_.take_unlock_error()->boost_code(), errc::lost);
}

TEST_F(StdLock, AUniqueLockMayEndOnAnotherThread) {
    std::unique_lock guard(lock_);
    std::thread([moved = std::move(guard)]() mutable { moved.unlock(); }).join();
    EXPECT_TRUE(is_free());
}

TEST_F(StdLock, UnlockingWhatIsNotLockedDoesNothing) {
    lock_.unlock();
    EXPECT_FALSE(lock_.take_unlock_error());
}

TEST_F(StdLock, ItsDestructorReleases) {
    {
        std_lock ending(locks_.make_lock("n"));
        ending.lock();
    }
    EXPECT_TRUE(is_free());
}

TEST_F(StdLock, ThreadsThatShareOneObjectExcludeEachOther) {
    std::atomic<int> inside = 0;
    int passed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 50; ++round) {
                const std::lock_guard guard(lock_);
                EXPECT_EQ(inside.fetch_add(1), 0);
                ++passed;
                inside.fetch_sub(1);
            }
        });
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(passed, 200);
}

class StdReaderWriterLock : public testing::Test {
protected:
    memory_provider locks_;
    std_reader_writer_lock lock_{locks_.make_reader_writer_lock("n")};
    std_reader_writer_lock other_{locks_.make_reader_writer_lock("n")};
};

TEST_F(StdReaderWriterLock, SharedLocksAreHeldTogetherAndKeepAWriterOut) {
    const std::shared_lock first(lock_);
    const std::shared_lock second(other_, std::try_to_lock);
    EXPECT_TRUE(second.owns_lock());
    EXPECT_EQ(lock_.handle().state(), held_state::held);
    EXPECT_FALSE(std::unique_lock(other_, std::try_to_lock).owns_lock());
    EXPECT_FALSE(std::unique_lock(other_, 1ms).owns_lock());
}

TEST_F(StdReaderWriterLock, AWriterKeepsReadersOut) {
    {
        const std::unique_lock writer(lock_);
        EXPECT_FALSE(std::shared_lock(other_, std::try_to_lock).owns_lock());
        EXPECT_FALSE(std::shared_lock(other_, 1ms).owns_lock());
        EXPECT_FALSE(std::shared_lock(other_, std::chrono::steady_clock::now() + 1ms).owns_lock());
    }
    EXPECT_TRUE(std::shared_lock(other_, 1s).owns_lock());
}

TEST_F(StdReaderWriterLock, UnlockKeepsTheErrorThatItMayNotThrow) {
    lock_.lock_shared();
    ASSERT_EQ(locks_.lose("n"), 1);
    lock_.unlock_shared();
    EXPECT_EQ(lock_.take_unlock_error()->boost_code(), errc::lost);
    EXPECT_FALSE(lock_.take_unlock_error());
}

}  // namespace
}  // namespace holdfast
