#include <core/compact_mutex.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

TEST(compact_mutex_test, one_thread_at_a_time_is_inside_and_none_is_forgotten) {
    static_assert(sizeof(core::compact_mutex) == 4);
    constexpr int each_enters = 20'000;
    core::compact_mutex mutex;
    long count = 0;
    std::vector<std::thread> threads;
    for (int number = 0; number < 8; ++number) {
        threads.emplace_back([&] {
            for (int round = 0; round < each_enters; ++round) {
                const std::lock_guard guard(mutex);
                // In two steps, between which another thread would be seen; now and then long enough to be waited for.
                const long before = count;
                if (round % 512 == 0) std::this_thread::yield();
                count = before + 1;
            }
        });
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(count, 8L * each_enters);
}

}  // namespace
}  // namespace holdfast
