#include <holdfast/memory.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <utility>

namespace holdfast {
namespace {

/// Counts what is taken from it.
template <class Value>
struct counting_allocator {
    using value_type = Value;

    explicit counting_allocator(int& taken) noexcept : count(&taken) {}
    template <class Other>
    counting_allocator(const counting_allocator<Other>& other) noexcept  // NOLINT(google-explicit-constructor)
        : count(other.count) {}

    Value* allocate(std::size_t number) {
        ++*count;
        return std::allocator<Value>().allocate(number);
    }
    void deallocate(Value* what, std::size_t number) noexcept { std::allocator<Value>().deallocate(what, number); }
    template <class Other>
    bool operator==(const counting_allocator<Other>& other) const noexcept {
        return count == other.count;
    }

    int* count;
};

TEST(completions, what_brings_a_handler_to_its_executor_comes_from_its_own_allocator) {
    boost::asio::io_context mine;
    const memory_provider provider;
    int taken = 0;
    int called = 0;
    auto handler =
        boost::asio::bind_allocator(counting_allocator<char>(taken),
                                    boost::asio::bind_executor(mine, [&](error_code code, const lock_handle& held) {
                                        EXPECT_FALSE(code) << code.message();
                                        EXPECT_TRUE(held);
                                        ++called;
                                    }));
    provider.make_lock("a").async_acquire(timeout::infinite(), std::move(handler));
    mine.run();
    EXPECT_EQ(called, 1);
    EXPECT_EQ(taken, 1);
}

}  // namespace
}  // namespace holdfast
