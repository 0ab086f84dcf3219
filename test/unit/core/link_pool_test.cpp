#include <core/link_pool.hpp>

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace holdfast {
namespace {

class counted_link final : public core::link {
public:
    counted_link(int& alive, bool reusable) : alive_(alive), reusable_(reusable) { ++alive_; }
    ~counted_link() override { --alive_; }
    core::progress start(const core::command&, core::notifier&) override { return {true, core::never}; }
    bool reusable() const noexcept override { return reusable_; }

private:
    int& alive_;
    const bool reusable_;
};

TEST(link_pool_test, the_link_used_last_is_used_next) {
    int alive = 0;
    core::link_pool pool;
    EXPECT_EQ(pool.take(), nullptr);
    pool.put(std::make_unique<counted_link>(alive, true));
    auto second = std::make_unique<counted_link>(alive, true);
    const core::link* const last = second.get();
    pool.put(std::move(second));
    EXPECT_EQ(pool.idle(), 2U);
    EXPECT_EQ(pool.take().get(), last);
    EXPECT_EQ(pool.idle(), 1U);
}

TEST(link_pool_test, surplus_and_broken_links_are_destroyed) {
    int alive = 0;
    core::link_pool pool(2);
    pool.put(nullptr);
    pool.put(std::make_unique<counted_link>(alive, false));
    EXPECT_EQ(alive, 0);
    for (int i = 0; i < 5; ++i) pool.put(std::make_unique<counted_link>(alive, true));
    EXPECT_EQ(alive, 2);
    EXPECT_EQ(pool.idle(), 2U);
}

}  // namespace
}  // namespace holdfast
