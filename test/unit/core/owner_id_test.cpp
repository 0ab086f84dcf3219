#include <core/owner_id.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace holdfast {
namespace {

TEST(owner_id_test, ids_are_32_hexadecimal_digits_and_never_repeat) {
    std::set<std::string> seen;
    for (int i = 0; i < 10000; ++i) {
        const std::string id(core::owner_id::make().text());
        ASSERT_EQ(id.size(), 32U);
        ASSERT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
        ASSERT_TRUE(seen.insert(id).second) << id;
    }
}

}  // namespace
}  // namespace holdfast
