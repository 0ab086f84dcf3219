// Error codes, what they equal, and what an exception says.
#include <holdfast/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <system_error>

namespace holdfast {
namespace {

using testing::HasSubstr;

struct meaning {
    const char* name;
    errc code;
    const char* text;
    /// The generic condition that it equals, if there is one.
    std::optional<std::errc> generic;
    bool transient;
};

class error_code_test : public testing::TestWithParam<meaning> {};

TEST_P(error_code_test, keeps_its_meaning_as_boosts_and_as_the_standard_librarys_type) {
    const meaning& row = GetParam();
    const error_code code = row.code;
    EXPECT_TRUE(code.failed());
    EXPECT_STREQ(code.category().name(), "holdfast");
    EXPECT_EQ(code.message(), row.text);
    EXPECT_EQ(code, row.code);

    const std::error_code standard = code;
    EXPECT_STREQ(standard.category().name(), "holdfast");
    EXPECT_EQ(standard.message(), row.text);
    for (const std::errc each :
         {std::errc::timed_out, std::errc::operation_canceled, std::errc::invalid_argument,
          std::errc::resource_deadlock_would_occur, std::errc::permission_denied, std::errc::not_supported}) {
        EXPECT_EQ(standard == each, row.generic == each) << std::make_error_code(each).message();
    }
}

TEST_P(error_code_test, says_as_an_exception_whether_another_attempt_may_help) {
    const error thrown(GetParam().code, "because");
    EXPECT_EQ(thrown.is_transient(), GetParam().transient);
    EXPECT_EQ(thrown.boost_code(), GetParam().code);
    EXPECT_EQ(error_code(thrown.boost_code()).value(), thrown.code().value());
    EXPECT_EQ(thrown.what(), std::string("because: ") + GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    all, error_code_test,
    testing::Values(
        meaning{"timed_out", errc::timed_out, "the timeout ended before the lock could be acquired",
                std::errc::timed_out, true},
        meaning{"cancelled", errc::cancelled, "the operation was cancelled", std::errc::operation_canceled, false},
        meaning{"lost", errc::lost, "the lock was lost", std::nullopt, false},
        meaning{"in_doubt", errc::in_doubt, "the outcome is in doubt: a reply was lost", std::nullopt, true},
        meaning{"deadlock", errc::deadlock, "the server reported a deadlock", std::errc::resource_deadlock_would_occur,
                true},
        meaning{"not_held", errc::not_held, "the lock is not held", std::nullopt, false},
        meaning{"invalid_name", errc::invalid_name, "the name cannot be used", std::nullopt, false},
        meaning{"invalid_options", errc::invalid_options, "the options are not usable", std::nullopt, false},
        meaning{"invalid_argument", errc::invalid_argument, "an argument is out of range", std::errc::invalid_argument,
                false},
        meaning{"invalid_state", errc::invalid_state, "the object is not in a state for this", std::nullopt, false},
        meaning{"unavailable", errc::unavailable, "the backend is unavailable", std::nullopt, true},
        meaning{"protocol", errc::protocol, "the other side broke the protocol", std::nullopt, false},
        meaning{"permission", errc::permission, "access was refused", std::errc::permission_denied, false},
        meaning{"unsupported", errc::unsupported, "not supported here", std::errc::not_supported, false}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(error_category_test, takes_a_number_that_is_no_code) {
    EXPECT_EQ(holdfast_category().message(0), "unknown holdfast error");
    EXPECT_EQ(holdfast_category().message(1000), "unknown holdfast error");
    EXPECT_EQ(&holdfast_category(), &make_error_code(errc::lost).category());
}

TEST(error_test, names_backend_and_lock_and_cause) {
    diagnostics diag;
    diag.backend = "file";
    diag.lock_name = "deploy";
    diag.native_code = 13;
    diag.message = "open: Permission denied";
    diag.state = held_state::unknown;
    const error thrown(make_error_code(errc::permission), diag);
    EXPECT_STREQ(thrown.what(), "file lock 'deploy': open: Permission denied: access was refused");
    EXPECT_EQ(thrown.diag().native_code, 13);
    EXPECT_EQ(thrown.diag().lock_name, "deploy");
    EXPECT_EQ(thrown.lock_state(), held_state::unknown);
    EXPECT_EQ(thrown.code(), std::errc::permission_denied);
}

TEST(error_test, leaves_out_what_it_does_not_know) {
    diagnostics diag;
    diag.lock_name = "deploy";
    EXPECT_STREQ(error(make_error_code(errc::lost), diag).what(), "lock 'deploy': the lock was lost");
    EXPECT_THAT(error(make_error_code(errc::lost)).what(), HasSubstr("the lock was lost"));
    EXPECT_EQ(error(make_error_code(errc::lost)).lock_state(), held_state::released);
}

TEST(error_test, is_caught_as_the_standard_librarys_error) {
    try {
        throw_if(make_error_code(errc::timed_out), {});
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& caught) {
        EXPECT_EQ(caught.code(), std::errc::timed_out);
    }
}

TEST(error_test, is_not_thrown_for_success) {
    diagnostics diag;
    diag.message = "left over";
    EXPECT_NO_THROW(throw_if(error_code(), diag));
}

TEST(error_test, carries_codes_of_other_categories) {
    const error_code code = boost::system::errc::make_error_code(boost::system::errc::no_space_on_device);
    const error thrown(code, {});
    EXPECT_EQ(thrown.code(), std::errc::no_space_on_device);
    EXPECT_FALSE(thrown.is_transient());
}

TEST(diagnostics_test, are_new_again_after_clear) {
    diagnostics diag{"file", "deploy", 2, "gone", held_state::lost};
    diag.clear();
    EXPECT_EQ(diag.backend, "");
    EXPECT_EQ(diag.lock_name, "");
    EXPECT_EQ(diag.native_code, 0);
    EXPECT_EQ(diag.message, "");
    EXPECT_EQ(diag.state, held_state::released);
}

}  // namespace
}  // namespace holdfast
