#include <core/key_table.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using core::key_ref;
using core::key_table;

class key_table_test : public testing::Test {
protected:
    const std::shared_ptr<key_table> keys_ = std::make_shared<key_table>();
};

TEST_F(key_table_test, all_who_use_a_name_share_its_queue_and_others_do_not) {
    const key_ref one = keys_->use("name");
    const key_ref same = keys_->use("name");
    const key_ref other = keys_->use("another name");
    EXPECT_EQ(one.get(), same.get());
    EXPECT_NE(one.get(), other.get());
    EXPECT_EQ(one->mapped(), "name");
    EXPECT_EQ(other->mapped(), "another name");
}

TEST_F(key_table_test, a_queue_lives_as_long_as_its_last_user) {
    class spare final : public core::link {
    public:
        explicit spare(bool& ended) : ended_(ended) {}
        ~spare() override { ended_ = true; }
        core::progress start(const core::command&, core::notifier&) override { return {true, core::never}; }

    private:
        bool& ended_;
    };
    bool ended = false;
    auto first = std::make_unique<key_ref>(keys_->use("name"));
    (*first)->put_spare(std::make_unique<spare>(ended));
    key_ref second = keys_->use("name");
    first.reset();
    EXPECT_FALSE(ended);
    key_ref moved = std::move(second);
    EXPECT_EQ(keys_->use("name").get(), moved.get());
    EXPECT_FALSE(ended);
    moved = key_ref();
    EXPECT_TRUE(ended);
}

TEST(key_table_lifetime_test, a_name_outlives_the_provider_it_was_of) {
    auto keys = std::make_shared<key_table>();
    const key_ref left = keys->use("name");
    keys.reset();
    EXPECT_EQ(left->mapped(), "name");
}

TEST_F(key_table_test, threads_come_and_go_with_the_same_names) {
    constexpr int rounds = 2000;
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&] {
            for (int round = 0; round < rounds; ++round) {
                const std::string name = "name " + std::to_string(round % 3);
                const key_ref mine = keys_->use(name);
                ASSERT_EQ(mine->mapped(), name);
            }
        });
    }
    for (auto& each : threads) each.join();
}

}  // namespace
}  // namespace holdfast
