#include "names/names.hpp"

#include <holdfast/error.hpp>

#include <gtest/gtest.h>

#include <string>

namespace holdfast::names {
namespace {

using namespace std::string_literals;

TEST(ExactFilePath, IsCleanedAsDotNetDoes) {
    const struct {
        const char* path;
        const char* full;
    } cases[] = {
        {R"(C:\a)", R"(C:\a)"},
        {R"(C:\a\b.lock)", R"(C:\a\b.lock)"},
        {R"(C:\\a\\\b)", R"(C:\a\b)"},
        {R"(C:\.\a\.\b)", R"(C:\a\b)"},
        {R"(C:\a\..\b)", R"(C:\b)"},
        {R"(C:\..\..\a)", R"(C:\a)"},
        {R"(C:/a/b)", R"(C:\a\b)"},
        {R"(\\server\share\a)", R"(\\server\share\a)"},
        {"C:\\Zo\u00EB \U0001F512", "C:\\Zo\u00EB \U0001F512"},
    };
    for (const auto& test : cases) EXPECT_EQ(exact_file_path(test.path), test.full) << test.path;
}

TEST(ExactFilePath, MustBeAFile) {
    for (const std::string& bad : {""s, R"(C:\)"s, R"(C:\a\)"s, "C:/a/"s, "C:\\a\0b"s, "\0"s}) {
        try {
            const std::string full = exact_file_path(bad);
            ADD_FAILURE() << bad << " gives " << full;
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_name);
        }
    }
}

TEST(FilePath, HasOneSeparatorBeforeTheName) {
    const std::string name = file_name("abc");
    for (const char* directory : {R"(C:\locks)", R"(C:\locks\)", "C:/locks/", R"(C:\x\..\locks)"}) {
        EXPECT_EQ(file_path(directory, "abc"), R"(C:\locks\)" + name) << directory;
    }
    EXPECT_EQ(file_path(R"(C:\)", "abc"), R"(C:\)" + name);
}

TEST(FilePath, DirectoryMustBeAPath) {
    for (const std::string& bad : {""s, "C:\\a\0b"s, "C:\\\xFF"s}) {
        try {
            const std::string path = file_path(bad, "abc");
            ADD_FAILURE() << bad << " gives " << path;
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_options);
        }
    }
}

}  // namespace
}  // namespace holdfast::names
