// URLs taken apart, what is said of wrong ones, and what is never said.
#include <holdfast/error.hpp>
#include <holdfast/url.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The name of a table's row, in the names of its tests.
template <class Row>
std::string row_name(const testing::TestParamInfo<Row>& info) {
    return info.param.name;
}

/// What @p action says when it refuses; fails the test when it does not.
std::string refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), errc::invalid_options);
        return refused.what();
    }
    ADD_FAILURE() << "not refused";
    return {};
}

struct taken_apart {
    const char* name;
    std::string text;
    std::string scheme;
    bool has_authority;
    std::optional<std::string> user;
    std::optional<std::string> password;
    std::string authority;
    std::string path;
    std::vector<std::pair<std::string, std::string>> options;
    std::string masked;
};

class url_parts_test : public testing::TestWithParam<taken_apart> {};

TEST_P(url_parts_test, are_those_that_the_text_has) {
    const taken_apart& expected = GetParam();
    const url made = url::parse(expected.text);
    EXPECT_EQ(made.scheme(), expected.scheme);
    EXPECT_EQ(made.has_authority(), expected.has_authority);
    EXPECT_EQ(made.user(), expected.user);
    EXPECT_EQ(made.password(), expected.password);
    EXPECT_EQ(made.authority(), expected.authority);
    EXPECT_EQ(made.path(), expected.path);
    std::vector<std::pair<std::string, std::string>> options;
    for (const url::option& each : made.options()) options.emplace_back(each.name, each.value);
    EXPECT_EQ(options, expected.options);
    EXPECT_EQ(made.masked(), expected.masked);
}

INSTANTIATE_TEST_SUITE_P(
    all, url_parts_test,
    testing::Values(
        taken_apart{"scheme_only", "memory:", "memory", false, {}, {}, "", "", {}, "memory:"},
        taken_apart{"scheme_of_any_case", "FILE:/x", "file", false, {}, {}, "", "/x", {}, "file:/x"},
        taken_apart{"scheme_of_all_characters", "a1+-.:", "a1+-.", false, {}, {}, "", "", {}, "a1+-.:"},
        taken_apart{"empty_host", "file:///var/lock", "file", true, {}, {}, "", "/var/lock", {}, "file:///var/lock"},
        taken_apart{"host_only", "redis://db", "redis", true, {}, {}, "db", "", {}, "redis://db"},
        taken_apart{"several_hosts", "zk://a:1,b:2/d", "zk", true, {}, {}, "a:1,b:2", "/d", {}, "zk://a:1,b:2/d"},
        taken_apart{"relative_path", "file:a/b", "file", false, {}, {}, "", "a/b", {}, "file:a/b"},
        taken_apart{"user_only", "x://me@h", "x", true, "me", {}, "h", "", {}, "x://me@h"},
        taken_apart{"user_and_password", "x://me:pw@h/p", "x", true, "me", "pw", "h", "/p", {}, "x://me:***@h/p"},
        taken_apart{"no_slashes", "x:me:pw@h", "x", false, {}, {}, "", "me:pw@h", {}, "x:***@h"},
        taken_apart{"at_in_a_path", "x:///a@b", "x", true, {}, {}, "", "/a@b", {}, "x:///a@b"},
        taken_apart{"password_alone", "x://:pw@h", "x", true, "", "pw", "h", "", {}, "x://:***@h"},
        taken_apart{"empty_password", "x://me:@h", "x", true, "me", "", "h", "", {}, "x://me:***@h"},
        taken_apart{
            "password_with_at_and_colon", "x://me:p@w:d@h", "x", true, "me", "p@w:d", "h", "", {}, "x://me:***@h"},
        taken_apart{"percent_encoding",
                    "x://u%40:p%2f@%2Frun%2Fs/%25%20?n%3D=%26",
                    "x",
                    true,
                    "u@",
                    "p/",
                    "/run/s",
                    "/% ",
                    {{"n=", "&"}},
                    "x://u@:***@/run/s/% ?n==&"},
        taken_apart{
            "bytes_that_are_no_text", "x:%ff\xc3\x28", "x", false, {}, {}, "", "\xff\xc3\x28", {}, "x:\xff\xc3\x28"},
        taken_apart{"options",
                    "x:?a=1&b=&c&d=e=f",
                    "x",
                    false,
                    {},
                    {},
                    "",
                    "",
                    {{"a", "1"}, {"b", ""}, {"c", ""}, {"d", "e=f"}},
                    "x:?a=1&b=&c=&d=e=f"},
        taken_apart{"empty_options", "x:?&&a=1&", "x", false, {}, {}, "", "", {{"a", "1"}}, "x:?a=1"},
        taken_apart{"question_mark_in_a_value", "x:?a=?", "x", false, {}, {}, "", "", {{"a", "?"}}, "x:?a=?"}),
    row_name<taken_apart>);

struct wrong_url {
    const char* name;
    std::string text;
    const char* says;
};

class wrong_url_test : public testing::TestWithParam<wrong_url> {};

TEST_P(wrong_url_test, is_refused_with_the_reason_and_without_the_password) {
    const std::string said = refusal([] { (void)url::parse(GetParam().text); });
    EXPECT_THAT(said, HasSubstr(GetParam().says));
    EXPECT_THAT(said, Not(HasSubstr("hunter2")));
}

INSTANTIATE_TEST_SUITE_P(
    all, wrong_url_test,
    testing::Values(
        wrong_url{"nothing", "", "it is empty; write for instance file:///var/lock/app"},
        wrong_url{"no_scheme", "/var/lock", "it has no scheme; write for instance"},
        wrong_url{"empty_scheme", "://h", "it has no scheme"},
        wrong_url{"scheme_with_a_digit_first", "1x:", "must be letters, digits, '+', '-' and '.'"},
        wrong_url{"scheme_with_a_space", "a b:", "its scheme, the part before the first ':'"},
        wrong_url{"scheme_with_a_slash", "/a:", "its scheme, the part before the first ':'"},
        wrong_url{"password_before_any_scheme", "hunter2@host:1", "its scheme"},
        wrong_url{"control_character", "x://u:hunter2\n@h", "a control character; write it as %xx"},
        wrong_url{"delete_character", "x://u:hunter2\x7f@h", "a control character; write it as %xx"},
        wrong_url{"nul", std::string("x:\0", 3), "a control character; write it as %xx"},
        wrong_url{"fragment", "x://u:hunter2#@h", "it holds a '#'; write %23"},
        wrong_url{"slash_behind_an_at_in_the_password", "x://u:hun@t/er2@h", "write %2F for one in a password"},
        wrong_url{"question_mark_in_the_password", "x://u:hunt?er2=1@h", "write %3F for one in a password"},
        wrong_url{"question_mark_behind_a_number", "x://u:12?er2@h", "write %3F for a '?' in a password"},
        wrong_url{"slash_in_the_password", "x://u:hunt/er2@h", "write %2F for one in a password"},
        wrong_url{"percent_in_the_password", "x://u:hunter2%@h", "a '%' in its password must be followed by two"},
        wrong_url{"percent_in_the_user", "x://%zz:hunter2@h", "a '%' in its user name"},
        wrong_url{"percent_in_the_host", "x://u:hunter2@%1", "a '%' in its host"},
        wrong_url{"percent_in_the_path", "x://u:hunter2@h/%1g", "a '%' in its path"},
        wrong_url{"percent_in_an_options_name", "x://u:hunter2@h?%=1", "a '%' in its option's name"},
        wrong_url{"percent_in_an_options_value", "x:?password=hunter2%4", "a '%' in its option's value"},
        wrong_url{"encoded_nul", "x://u:hunter2%00@h", "%00 in its password is not allowed"},
        wrong_url{"option_without_a_name", "x:?=hunter2", "an option has no name before its '='"},
        wrong_url{"option_given_twice", "x:?password=hunter2&password=hunter2",
                  "the option 'password' stands there twice"}),
    row_name<wrong_url>);

struct secret_option {
    const char* name;
};

class secret_option_test : public testing::TestWithParam<secret_option> {};

TEST_P(secret_option_test, is_masked_in_any_spelling) {
    const std::string name = GetParam().name;
    std::string capitals = name;
    for (char& each : capitals) each = static_cast<char>(std::toupper(static_cast<unsigned char>(each)));
    for (const std::string& spelling : {name, capitals, "my_" + name + "_file"}) {
        const std::string shown = url::parse("x://h?a=b&" + spelling + "=hunter2").masked();
        EXPECT_EQ(shown, "x://h?a=b&" + spelling + "=***");
    }
}

INSTANTIATE_TEST_SUITE_P(all, secret_option_test,
                         testing::Values(secret_option{"password"}, secret_option{"passphrase"}, secret_option{"pwd"},
                                         secret_option{"secret"}, secret_option{"token"}, secret_option{"key"},
                                         secret_option{"credential"}, secret_option{"auth"}, secret_option{"sas"},
                                         secret_option{"sig"}),
                         row_name<secret_option>);

struct truth {
    const char* name;
    const char* text;
    std::optional<bool> value;
};

class boolean_option_test : public testing::TestWithParam<truth> {};

TEST_P(boolean_option_test, is_true_false_or_not_given) {
    const url made = url::parse(GetParam().text);
    EXPECT_EQ(option_reader(made).boolean("it"), GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(all, boolean_option_test,
                         testing::Values(truth{"not_given", "x:?that=1", std::nullopt}, truth{"alone", "x:?it", true},
                                         truth{"without_a_value", "x:?it=", true}, truth{"true_", "x:?it=true", true},
                                         truth{"one", "x:?it=1", true}, truth{"yes", "x:?it=yes", true},
                                         truth{"false_", "x:?it=false", false}, truth{"zero", "x:?it=0", false},
                                         truth{"no", "x:?it=no", false}),
                         row_name<truth>);

TEST(option_reader_test, refuses_what_is_neither_true_nor_false_without_quoting_it) {
    const url made = url::parse("x:?keep=hunter2");
    const std::string said = refusal([&] { (void)option_reader(made).boolean("keep"); });
    EXPECT_THAT(said, HasSubstr("the option 'keep' is true or false"));
    EXPECT_THAT(said, Not(HasSubstr("hunter2")));
}

TEST(option_reader_test, reads_times_and_numbers_and_says_what_they_are) {
    const url made = url::parse("x:?a=500ms&b=30s&c=2m&d=7&e=7&f=9&g=-1s&h=999999999m&i=&j=1.5s&k=2147483647ms");
    option_reader reader(made);
    EXPECT_EQ(reader.time("a"), std::chrono::milliseconds(500));
    EXPECT_EQ(reader.time("b"), std::chrono::seconds(30));
    EXPECT_EQ(reader.time("c"), std::chrono::minutes(2));
    EXPECT_EQ(reader.time("d", std::chrono::seconds(1)), std::chrono::seconds(7));
    EXPECT_EQ(reader.time("k"), std::chrono::milliseconds(2147483647));
    EXPECT_EQ(reader.time("nothing"), std::nullopt);
    EXPECT_EQ(reader.number("e", 0, 7), 7);
    EXPECT_EQ(reader.number("nothing", 0, 7), std::nullopt);
    for (const char* name : {"e", "g", "i", "j"}) {
        EXPECT_THAT(refusal([&] { (void)reader.time(name); }), HasSubstr("a time such as 500ms, 30s or 2m")) << name;
    }
    EXPECT_THAT(refusal([&] { (void)reader.time("h"); }), HasSubstr("from 0 to 35791"));
    for (const char* name : {"a", "f", "i"}) {
        EXPECT_THAT(refusal([&] { (void)reader.number(name, 0, 8); }), HasSubstr("a number from 0 to 8")) << name;
    }
}

TEST(url_test, an_at_sign_in_an_options_name_is_meant_where_it_is_encoded) {
    const url made = url::parse("x://u:12@h?%40er2=1");
    ASSERT_EQ(made.options().size(), 1U);
    EXPECT_EQ(made.options()[0].name, "@er2");
}

TEST(option_reader_test, gives_texts_as_they_are) {
    const url made = url::parse("x:?a=%20b&c=");
    option_reader reader(made);
    EXPECT_EQ(reader.text("a"), " b");
    EXPECT_EQ(reader.text("c"), "");
    EXPECT_EQ(reader.text("d"), std::nullopt);
    EXPECT_NO_THROW(reader.finish());
}

TEST(option_reader_test, refuses_at_the_end_what_nobody_asked_for_and_says_what_there_is) {
    const url made = url::parse("file:?keep&kepp=hunter2");
    option_reader reader(made);
    (void)reader.boolean("keep");
    (void)reader.text("mode");
    const std::string said = refusal([&] { reader.finish(); });
    EXPECT_THAT(said, HasSubstr("unknown option 'kepp' for file:; there are keep, mode"));
    EXPECT_THAT(said, Not(HasSubstr("hunter2")));
}

TEST(option_reader_test, says_so_where_there_are_no_options_at_all) {
    const url made = url::parse("memory:?x=1");
    EXPECT_THAT(refusal([&] { option_reader(made).finish(); }),
                HasSubstr("unknown option 'x' for memory:; it has no options"));
}

}  // namespace
}  // namespace holdfast
