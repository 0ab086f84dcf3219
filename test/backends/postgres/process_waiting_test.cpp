// Waits, losses and failures on a real server.
#include <backends/postgres/strategy.hpp>
#include <core/provider_state.hpp>
#include <support/postgres_server.hpp>

#include <holdfast/backends/postgres.hpp>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(postgres_process, starts) {
    EXPECT_EQ(test::postgres_server::shared().query("SELECT 1"), "1");
}

}  // namespace
}  // namespace holdfast
