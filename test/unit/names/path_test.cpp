#include "names/names.hpp"

#include <holdfast/error.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace holdfast::names {
namespace {

using namespace std::string_literals;

TEST(ExactFilePath, IsCleanedAsDotNetDoes) {
    const struct {
        const char* path;
        const char* full;
    } cases[] = {
        {"/a", "/a"},
        {"/a/b.lock", "/a/b.lock"},
        {"//a///b", "/a/b"},
        {"/./a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/b/../../c", "/c"},
        {"/../../a", "/a"},
        {"/a/..b/...", "/a/..b/..."},
        {"/a/.b", "/a/.b"},
        {"/a/.", "/a"},
        {"/a/b/..", "/a"},
        {"/a b/\n", "/a b/\n"},
        {"/a\\..\\b", "/a\\..\\b"},
    };
    for (const auto& test : cases) EXPECT_EQ(exact_file_path(test.path), test.full) << test.path;
}

TEST(ExactFilePath, MustBeAFile) {
    for (const std::string& bad : {""s, "/"s, "/a/"s, "a/"s, "/a//"s, "/a/.."s, "/."s, "/a\0b"s, "/\0"s}) {
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
    for (const char* directory : {"/locks", "/locks/", "/locks//", "//locks", "/locks/.", "/x/../locks/"}) {
        EXPECT_EQ(file_path(directory, "abc"), "/locks/" + name) << directory;
    }
    EXPECT_EQ(file_path("/", "abc"), "/" + name);
    EXPECT_EQ(file_path("/..", "abc"), "/" + name);
}

TEST(FilePath, DirectoryMayBeAnyBytesButNul) {
    EXPECT_EQ(file_path("/\xFF", "abc"), "/\xFF/" + file_name("abc"));
    for (const std::string& bad : {""s, "/a\0b"s}) {
        try {
            const std::string path = file_path(bad, "abc");
            ADD_FAILURE() << path;
        } catch (const error& refused) {
            EXPECT_EQ(refused.boost_code(), errc::invalid_options);
        }
    }
}

/// Works in a directory of its own, and goes back.
class RelativePaths : public testing::Test {
protected:
    RelativePaths() : before_(std::filesystem::current_path()) {
        std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-names-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        here_ = std::filesystem::canonical(pattern);
        std::filesystem::current_path(here_);
    }
    ~RelativePaths() override {
        std::error_code ignored;
        std::filesystem::current_path(before_, ignored);
        std::filesystem::remove_all(here_, ignored);
    }

    std::filesystem::path before_;
    std::filesystem::path here_;
};

TEST_F(RelativePaths, StartAtTheCurrentDirectory) {
    const std::string here = here_.string();
    EXPECT_EQ(exact_file_path("a"), here + "/a");
    EXPECT_EQ(exact_file_path("./x/../a"), here + "/a");
    EXPECT_EQ(exact_file_path("../a"), here_.parent_path().string() + "/a");
    EXPECT_EQ(file_path(".", "abc"), here + "/" + file_name("abc"));
    EXPECT_EQ(file_path("locks/", "abc"), here + "/locks/" + file_name("abc"));
}

TEST_F(RelativePaths, SymbolicLinksStay) {
    std::filesystem::create_directory(here_ / "real");
    std::filesystem::create_directory_symlink(here_ / "real", here_ / "link");
    EXPECT_EQ(exact_file_path("link/a"), here_.string() + "/link/a");
    EXPECT_EQ(exact_file_path("link/../a"), here_.string() + "/a");
}

TEST_F(RelativePaths, NeedACurrentDirectory) {
    std::filesystem::remove(here_);
    EXPECT_THROW(exact_file_path("a"), error);
    EXPECT_THROW(file_path("a", "abc"), error);
    EXPECT_EQ(exact_file_path("/a"), "/a");
}

}  // namespace
}  // namespace holdfast::names
