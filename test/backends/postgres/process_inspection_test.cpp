// What holdfast list and holdfast doctor are told.
#include "postgres_fixture.hpp"

#include <algorithm>
#include <future>

namespace holdfast {
namespace {

class postgres_inspection : public postgres_test {
protected:
    static std::string detail(const lock_entry& of, const std::string& name) {
        const auto found =
            std::find_if(of.details.begin(), of.details.end(), [&](const auto& each) { return each.first == name; });
        return found == of.details.end() ? "" : found->second;
    }
    static const finding& about(const std::vector<finding>& all, const std::string& subject) {
        const auto found =
            std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.subject == subject; });
        EXPECT_NE(found, all.end()) << subject;
        return *found;
    }
};

TEST_F(postgres_inspection, a_list_shows_holders_and_who_waits_for_them) {
    const auto from = make();
    const auto elsewhere = make();
    auto held = from.locks.make_reader_writer_lock("orders").acquire_read();
    const auto other = from.locks.make_lock("a name that is hashed").acquire();
    auto waiting = std::async(std::launch::async, [&] { return elsewhere.locks.make_lock("orders").acquire(); });
    ASSERT_TRUE(test::eventually([&] { return in_server(" AND NOT granted") == 1; }));

    const std::string key(from.locks.make_lock("orders").mapped_name());
    const auto found = from.locks.list({.key = key});
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].state, lock_entry::status::held);
    EXPECT_EQ(found[0].access, "read");
    EXPECT_EQ(detail(found[0], "name"), "orders");
    EXPECT_NE(found[0].holder.find("holdfast/test_process_po"), std::string::npos) << found[0].holder;
    EXPECT_EQ(found[1].state, lock_entry::status::waiting);
    EXPECT_EQ(found[1].access, "exclusive");
    EXPECT_EQ(detail(found[1], "blocked_by"), detail(found[0], "pid"));
    EXPECT_NE(detail(found[1], "since"), "");
    EXPECT_NE(detail(found[0], "connected_since"), "");
    EXPECT_EQ(from.locks.list({}).size(), 3U);
    held.release();
    EXPECT_EQ(waiting.get().state(), held_state::held);
}

TEST_F(postgres_inspection, a_free_lock_is_listed_as_such) {
    const auto from = make();
    const auto found = from.locks.list({.key = postgres::key_name(1, 2)});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].state, lock_entry::status::free);
}

TEST_F(postgres_inspection, an_examination_of_a_fit_server_finds_no_fault) {
    const auto from = make();
    const auto found = from.locks.examine({});
    for (const finding& each : found) EXPECT_NE(each.severity, finding::grade::fault) << each.text;
    EXPECT_NE(about(found, "version").text.find("PostgreSQL 1"), std::string::npos);
    EXPECT_EQ(about(found, "primary").severity, finding::grade::good);
    EXPECT_EQ(about(found, "pooler").severity, finding::grade::good);
    EXPECT_EQ(about(found, "privileges").severity, finding::grade::good);
    EXPECT_EQ(about(found, "timeouts").severity, finding::grade::good);
    EXPECT_EQ(about(found, "lock table").severity, finding::grade::good);
}

TEST_F(postgres_inspection, an_examination_of_nothing_says_why) {
    postgres::options opts;
    opts.connection = "host=127.0.0.1 port=1";
    EXPECT_THROW(postgres::make_provider(opts).examine({}), error);
}

}  // namespace
}  // namespace holdfast
