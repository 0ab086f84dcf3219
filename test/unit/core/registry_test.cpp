// Schemes and who serves them, and the URLs of the backends that need no driver.
#include <holdfast/error.hpp>
#include <holdfast/memory.hpp>
#include <holdfast/open.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// What opening @p text says when it refuses; fails the test when it does not.
std::string refusal(const registry& from, std::string_view text) {
    try {
        (void)from.open(text);
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::invalid_options);
        return refused.what();
    }
    ADD_FAILURE() << "not refused: " << text;
    return {};
}

/// A factory that gives a memory provider and keeps the address it was asked for.
registry::factory keeping(std::string& path) {
    return [&path](const url& address, const provider_settings& settings) -> provider {
        path = address.path();
        return memory_provider(settings);
    };
}

TEST(registry_test, names_its_schemes_in_order) {
    registry made;
    EXPECT_THAT(made.schemes(), IsEmpty());
    std::string path;
    made.add("zk", keeping(path));
    add_memory_to(made);
    made.add("file", keeping(path));
    EXPECT_THAT(made.schemes(), ElementsAre("file", "memory", "zk"));
}

TEST(registry_test, gives_the_address_to_the_one_who_serves_its_scheme) {
    registry made;
    std::string first;
    std::string second;
    made.add("one", keeping(first));
    made.add("two", keeping(second));
    EXPECT_EQ(made.open("TWO:/x").backend_name(), "memory");
    EXPECT_EQ(first, "");
    EXPECT_EQ(second, "/x");
}

TEST(registry_test, lets_a_later_entry_replace_an_earlier_one) {
    registry made;
    std::string earlier;
    std::string later;
    made.add("x", keeping(earlier));
    made.add("x", keeping(later));
    (void)made.open("x:/p");
    EXPECT_EQ(earlier, "");
    EXPECT_EQ(later, "/p");
    EXPECT_THAT(made.schemes(), ElementsAre("x"));
}

TEST(registry_test, says_which_schemes_there_are_when_one_is_unknown) {
    registry made;
    std::string path;
    made.add("file", keeping(path));
    add_memory_to(made);
    const std::string said = refusal(made, "redis://user:hunter2@host/0?token=hunter2");
    EXPECT_THAT(said, HasSubstr("no backend serves the scheme 'redis:'; this program has file:, memory:"));
    EXPECT_THAT(said, Not(HasSubstr("hunter2")));
}

TEST(registry_test, says_so_when_it_has_no_schemes_at_all) {
    EXPECT_THAT(refusal(registry(), "memory:"), HasSubstr("this program has none"));
}

TEST(registry_test, refuses_what_is_no_url) {
    registry made;
    add_memory_to(made);
    EXPECT_THAT(refusal(made, "memory"), HasSubstr("it has no scheme"));
}

TEST(registry_test, passes_settings_on) {
    registry made;
    add_memory_to(made);
    const provider_settings unusable{.release_timeout = std::chrono::milliseconds(0)};
    EXPECT_THROW((void)made.open("memory:", unusable), error);
    const provider_settings endless{.release_timeout = std::chrono::hours(25)};
    EXPECT_THROW((void)made.open("memory:", endless), error);
}

TEST(memory_url_test, gives_one_set_of_locks_for_the_process) {
    registry first;
    registry second;
    add_memory_to(first);
    add_memory_to(second);
    const auto held = first.open("memory:").make_lock("memory_url_test").acquire(timeout::zero());
    EXPECT_FALSE(second.open("memory:").make_lock("memory_url_test").try_acquire());
}

struct wrong_memory_url {
    const char* name;
    const char* text;
    const char* says;
};

class wrong_memory_url_test : public testing::TestWithParam<wrong_memory_url> {};

TEST_P(wrong_memory_url_test, is_refused_with_the_reason) {
    registry made;
    add_memory_to(made);
    const std::string said = refusal(made, GetParam().text);
    EXPECT_THAT(said, HasSubstr(GetParam().says));
    EXPECT_THAT(said, Not(HasSubstr("hunter2")));
}

INSTANTIATE_TEST_SUITE_P(
    all, wrong_memory_url_test,
    testing::Values(wrong_memory_url{"host", "memory://u:hunter2@h", "memory: takes neither host nor path"},
                    wrong_memory_url{"empty_host", "memory://", "memory: takes neither host nor path"},
                    wrong_memory_url{"path", "memory:x", "memory: takes neither host nor path"},
                    wrong_memory_url{"option", "memory:?password=hunter2", "unknown option 'password' for memory:"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace holdfast
