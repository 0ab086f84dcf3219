// The edges of the mappings: lengths at their limits, halves of characters, and names that are refused.
#include "names/names.hpp"

#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::names {
namespace {

using namespace std::string_literals;

const std::string fox = "\xF0\x9F\xA6\x8A";  // two units
const std::string half = "\xEF\xBF\xBD";
constexpr std::size_t base64_units = 88;
constexpr std::size_t base32_units = 32;

std::string repeat(const std::string& text, std::size_t times) {
    std::string result;
    for (std::size_t i = 0; i < times; ++i) result += text;
    return result;
}

void expect_refused(const std::function<std::string()>& map, errc code, std::string_view word) {
    try {
        const std::string mapped = map();
        ADD_FAILURE() << "gives " << mapped;
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), code);
        EXPECT_NE(refused.diag().message.find(word), std::string::npos) << refused.diag().message;
    }
}

void expect_refused(const std::function<std::string()>& map, std::string_view word) {
    expect_refused(map, errc::invalid_name, word);
}

using mapping = std::function<std::string(std::string_view)>;

const std::vector<std::pair<const char*, mapping>> all_mappings = {
    {"file_name", file_name},
    {"file_path", [](std::string_view name) { return file_path("/d", name); }},
    {"exact_file_path", exact_file_path},
    {"system_object", [](std::string_view name) { return system_object(name); }},
    {"system_object exact", [](std::string_view name) { return system_object(name, mode::exact); }},
    {"postgres", [](std::string_view name) { return postgres(name).text; }},
    {"postgres without hashing", [](std::string_view name) { return postgres(name, false).text; }},
    {"mysql", [](std::string_view name) { return mysql(name); }},
    {"mysql exact", [](std::string_view name) { return mysql(name, mode::exact); }},
    {"sqlserver", [](std::string_view name) { return sqlserver(name); }},
    {"sqlserver exact", [](std::string_view name) { return sqlserver(name, mode::exact); }},
    {"sqlserver_semaphore", sqlserver_semaphore},
    {"oracle", [](std::string_view name) { return oracle(name); }},
    {"oracle exact", [](std::string_view name) { return oracle(name, mode::exact); }},
    {"redis", redis},
    {"redis_rw", [](std::string_view name) { return redis_rw(name).writer; }},
    {"mongodb", mongodb},
    {"zookeeper", [](std::string_view name) { return zookeeper(name); }},
    {"zookeeper_exact", zookeeper_exact},
    {"azure", [](std::string_view name) { return azure(name); }},
    {"azure_exact", azure_exact},
};

TEST(AllMappings, RefuseWhatIsNotUtf8) {
    for (const auto& [what, map] : all_mappings) {
        for (const char* bad : {"\xFF", "/a\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "abc\xE2\x82"}) {
            SCOPED_TRACE(what);
            expect_refused([&, &map = map] { return map(bad); }, "UTF-8");
        }
    }
}

TEST(AllMappings, GiveUtf8) {
    for (const auto& [what, map] : all_mappings) {
        for (const std::string& unit : {"a"s, "A"s, "é"s, "€"s, fox, "/"s, "\\"s, "\0"s}) {
            for (const std::size_t offset : {0u, 1u}) {
                for (const std::size_t count :
                     {0u, 1u, 12u, 13u, 14u, 32u, 64u, 128u, 168u, 253u, 255u, 256u, 260u, 1024u, 1100u}) {
                    const std::string name = std::string(offset, 'x') + repeat(unit, count);
                    try {
                        EXPECT_EQ(find_invalid_utf8(map(name)), std::string_view::npos) << what << ' ' << name;
                    } catch (const error& refused) {
                        EXPECT_EQ(refused.boost_code(), errc::invalid_name) << what << ' ' << name;
                    }
                }
            }
        }
    }
}

TEST(FileName, HasAtMost64Units) {
    for (const std::string& unit : {"a"s, "é"s, "語"s, fox, "/"s}) {
        for (std::size_t count = 0; count < 40; ++count) {
            EXPECT_LE(utf16_length(file_name(repeat(unit, count))), 64u);
        }
    }
    EXPECT_EQ(file_name("").size(), base32_units + 5);
}

TEST(FileName, PrefixHas27Units) {
    EXPECT_EQ(file_name(std::string(27, 'a')).substr(0, 28), std::string(27, 'a') + "M");
    EXPECT_EQ(file_name(std::string(28, 'a')).substr(0, 27), std::string(27, 'a'));
    EXPECT_EQ(utf16_length(file_name(std::string(28, 'a'))), 64u);
    // The 27th unit is the first half of a pair.
    EXPECT_EQ(file_name(std::string(26, 'a') + fox).substr(0, 28).find('_'), 26u);
    EXPECT_EQ(utf16_length(file_name(std::string(26, 'a') + fox)), 64u);
    EXPECT_EQ(file_name(fox).substr(0, 2), "__");
}

TEST(FileName, NeverLeavesTheDirectory) {
    for (const std::string& name : {"/"s, "../../etc/passwd"s, ".."s, "."s, "a\0b"s, "\n"s, "a/b\\c"s}) {
        const std::string file = file_name(name);
        EXPECT_EQ(file.find_first_of("/\\\0\n"s), std::string::npos) << file;
        EXPECT_NE(file.front(), '.');
    }
}

TEST(SystemObject, StripsThePrefixOnce) {
    EXPECT_EQ(system_object("job"), "Global\\job");
    EXPECT_EQ(system_object("Global\\job"), "Global\\job");
    EXPECT_NE(system_object("Global\\Global\\job"), "Global\\job");
    EXPECT_EQ(system_object("Global\\"), system_object(""));
    EXPECT_TRUE(system_object("global\\job").starts_with("Global\\global_job"));
}

TEST(SystemObject, Limits) {
    const std::string longest(253, 'x');
    EXPECT_EQ(system_object(longest), "Global\\" + longest);
    EXPECT_EQ(system_object(longest + "x").size(), 260u);
    EXPECT_EQ(system_object(repeat("é", 253)), "Global\\" + repeat("é", 253));
    const std::string split = system_object("x" + repeat(fox, 127));
    EXPECT_EQ(utf16_length(split), 260u);
    // 165 units of the name stay: x and 82 foxes.
    EXPECT_EQ(split.find(half), std::string::npos);
    EXPECT_EQ(system_object(repeat(fox, 127)).substr(7 + 82 * 4, 3), half);
}

TEST(SystemObject, ExactNamesMustFit) {
    const std::string longest = "Global\\" + std::string(253, 'x');
    EXPECT_EQ(system_object(longest, mode::exact), longest);
    expect_refused([&] { return system_object(longest + "x", mode::exact); }, "260");
    expect_refused([] { return system_object("job", mode::exact); }, "must start with");
    expect_refused([] { return system_object("global\\job", mode::exact); }, "must start with");
    expect_refused([] { return system_object("Global\\", mode::exact); }, "nothing after");
    expect_refused([] { return system_object("Global\\a\\b", mode::exact); }, "'\\'");
    EXPECT_EQ(system_object("Global\\" + repeat(fox, 126), mode::exact), "Global\\" + repeat(fox, 126));
}

TEST(Postgres, AsciiOfUpTo9CharactersIsPacked) {
    EXPECT_EQ(postgres("abc").key1, -1014293505);
    EXPECT_EQ(postgres("abc").key2, -1);
    EXPECT_EQ(postgres("").key1, 0x7FFFFFFF);
    EXPECT_EQ(postgres("\0"s).in, postgres_key::space::int32_pair);
    EXPECT_EQ(postgres("123456789").in, postgres_key::space::int32_pair);
    EXPECT_EQ(postgres("1234567890").in, postgres_key::space::int64);
    EXPECT_EQ(postgres("é").in, postgres_key::space::int64);
    expect_refused([] { return postgres("é", false).text; }, "hexadecimal");
    expect_refused([] { return postgres("1234567890", false).text; }, "hexadecimal");
}

// Behaviour 84.
TEST(Postgres, PackedNamesAreDistinct) {
    std::set<std::pair<std::int32_t, std::int32_t>> seen;
    std::size_t count = 0;
    for (std::size_t length = 0; length <= 9; ++length) {
        for (int c = 0; c < 128; ++c) {
            for (std::size_t at = 0; at < length; ++at) {
                std::string name(length, 'm');
                name[at] = static_cast<char>(c);
                if (c == 'm' && at > 0) continue;
                const postgres_key key = postgres(name, false);
                seen.insert({key.key1, key.key2});
                ++count;
            }
        }
    }
    EXPECT_EQ(seen.size(), count);
}

TEST(Postgres, HexadecimalKeys) {
    EXPECT_EQ(postgres("00000003ffffffff").key, 17179869183);
    EXPECT_EQ(postgres("FFFFFFFFFFFFFFFE", false).key, -2);
    EXPECT_EQ(postgres("FFFFFFFFFFFFFFFE").text, "fffffffffffffffe");
    const postgres_key pair = postgres("DEADBEEF,0000000a", false);
    EXPECT_EQ(pair.in, postgres_key::space::int32_pair);
    EXPECT_EQ(pair.key1, -559038737);
    EXPECT_EQ(pair.key2, 10);
    EXPECT_EQ(pair.text, "deadbeef,0000000a");
    for (const char* no : {"+123456789abcdef", "0x00000000000000", " 123456789abcdef", "0123456789abcdeg",
                           "01234567;89abcdef", "0123456,89abcdefg", "0123456789abcdef0", "0123456789abcde"}) {
        expect_refused([&] { return postgres(no, false).text; }, "hexadecimal");
        EXPECT_EQ(postgres(no).in, postgres_key::space::int64);
    }
}

TEST(Postgres, NulCharactersMayEndAHalf) {
    EXPECT_EQ(postgres("ffff\0\0\0\0"
                       "0000000\0"s,
                       false)
                  .key,
              0xFFFF'0000'0000);
    EXPECT_EQ(postgres("a\0\0\0\0\0\0\0,b\0\0\0\0\0\0\0"s, false).text, "0000000a,0000000b");
    expect_refused(
        [] {
            return postgres(
                       "\0\0\0\0\0\0\0\0"
                       "00000000"s,
                       false)
                .text;
        },
        "hexadecimal");
    expect_refused(
        [] {
            return postgres(
                       "f\0ffffff"
                       "00000000"s,
                       false)
                .text;
        },
        "hexadecimal");
}

TEST(Postgres, SpacesAreApart) {
    EXPECT_FALSE(postgres("00000001,00000002") == postgres("0000000100000002"));
}

TEST(MySql, Limits) {
    const std::string longest(64, 'x');
    EXPECT_EQ(mysql(longest), longest);
    EXPECT_EQ(mysql(longest + "x").size(), 64u);
    EXPECT_EQ(mysql(longest + "x").substr(0, 32), std::string(32, 'x'));
    EXPECT_EQ(mysql(repeat(fox, 32)), repeat(fox, 32));
    EXPECT_EQ(utf16_length(mysql(repeat(fox, 33))), 64u);
    EXPECT_EQ(mysql("x" + repeat(fox, 32)).substr(0, 1 + 15 * 4 + 3), "x" + repeat(fox, 15) + half);
    EXPECT_EQ(mysql("ABC").size(), 3 + base32_units);
    EXPECT_NE(mysql("ABC"), mysql("AbC"));
}

TEST(MySql, ExactNamesMustFit) {
    EXPECT_EQ(mysql("orders", mode::exact), "orders");
    EXPECT_EQ(mysql(repeat(fox, 32), mode::exact), repeat(fox, 32));
    expect_refused([] { return mysql("", mode::exact); }, "empty");
    expect_refused([] { return mysql(std::string(65, 'x'), mode::exact); }, "65 UTF-16 units");
    expect_refused([] { return mysql("x" + repeat(fox, 32), mode::exact); }, "65 UTF-16 units");
    expect_refused([] { return mysql("Orders", mode::exact); }, "lower case");
    expect_refused([] { return mysql("É", mode::exact); }, "lower case");
}

TEST(SqlServer, Limits) {
    EXPECT_EQ(sqlserver(""), "");
    EXPECT_EQ(sqlserver(std::string(255, 'x')), std::string(255, 'x'));
    EXPECT_EQ(sqlserver(std::string(256, 'x')).size(), 255u);
    EXPECT_EQ(sqlserver(repeat(fox, 128)).substr(83 * 4, 3), half);
    EXPECT_EQ(sqlserver(repeat("é", 255), mode::exact), repeat("é", 255));
    expect_refused([] { return sqlserver(std::string(256, 'x'), mode::exact); }, "at most 255");
}

TEST(SqlServerSemaphore, PrefixHas12Characters) {
    EXPECT_EQ(sqlserver_semaphore("").size(), 64 + 9u);
    EXPECT_EQ(sqlserver_semaphore("abcdefghijkl").substr(0, 12), "abcdefghijkl");
    EXPECT_EQ(sqlserver_semaphore("abcdefghijklm").size(), 12 + 64 + 9u);
    EXPECT_EQ(sqlserver_semaphore("_").substr(0, 2), "5f");
    EXPECT_EQ(sqlserver_semaphore("\0"s).substr(0, 1), "0");
    EXPECT_EQ(sqlserver_semaphore(fox).substr(0, 8), "d83edd8a");
    EXPECT_EQ(sqlserver_semaphore("0123456789" + fox).substr(0, 12), "0123456789d8") << "cut within a code";
}

TEST(Oracle, Limits) {
    EXPECT_TRUE(oracle("").starts_with("EMPTY"));
    EXPECT_EQ(oracle(std::string(128, 'x')), std::string(128, 'x'));
    EXPECT_EQ(oracle(std::string(129, 'x')).substr(0, 40), std::string(40, 'x'));
    EXPECT_EQ(oracle(std::string(129, 'x')).size(), 128u);
    EXPECT_EQ(oracle("x" + repeat(fox, 64)).substr(1 + 19 * 4, 3), half);
    expect_refused([] { return oracle("", mode::exact); }, "empty");
    expect_refused([] { return oracle(std::string(129, 'x'), mode::exact); }, "at most 128");
    EXPECT_EQ(oracle("ORA", mode::exact), "ORA");
}

TEST(RedisAndMongoDb, TakeAnyText) {
    EXPECT_EQ(redis("a\0b"s), "a\0b"s);
    EXPECT_EQ(redis_rw("").readers, ".readers");
    EXPECT_EQ(redis_rw("{a}b").writer, "{a}b.writer");
    EXPECT_EQ(mongodb(std::string(1'000'000, 'x')).size(), 1'000'000u);
}

TEST(ZooKeeper, NamesThatAreNoNodes) {
    EXPECT_TRUE(zookeeper("").starts_with("/EMPTY"));
    EXPECT_TRUE(zookeeper(".").starts_with("/._"));
    EXPECT_TRUE(zookeeper("..").starts_with("/.._"));
    EXPECT_TRUE(zookeeper("zookeeper").starts_with("/zookeeper_"));
    EXPECT_EQ(zookeeper("zookeeper", "/locks"), "/locks/zookeeper");
    EXPECT_EQ(zookeeper("..."), "/...");
    EXPECT_EQ(zookeeper("a\\b"), "/a\\b");
    for (const std::string& forbidden : {"/"s, "\0"s, "\x01"s, "\x1F"s, "\x7F"s, "\u0080"s, "\u009F"s, "\uE000"s,
                                         "\uF8FF"s, "\uFFF0"s, "\uFFFD"s, "\uFFFF"s}) {
        EXPECT_EQ(zookeeper("a" + forbidden).substr(0, 3), "/a_");
        EXPECT_EQ(zookeeper("a" + forbidden).size(), 3 + base64_units);
    }
    EXPECT_EQ(zookeeper(fox).substr(0, 3), "/__");
    EXPECT_EQ(zookeeper(fox).size(), 3 + base64_units);
    for (const std::string& allowed : {" "s, "\u00A0"s, "\uD7FF"s, "\uF900"s, "\uFFEF"s}) {
        EXPECT_EQ(zookeeper(allowed), "/" + allowed);
    }
}

TEST(ZooKeeper, HasNoLimit) {
    EXPECT_EQ(zookeeper(std::string(5000, 'x')), "/" + std::string(5000, 'x'));
    EXPECT_EQ(zookeeper(std::string(5000, '/')).size(), 1 + 5000 + base64_units);
}

TEST(ZooKeeper, DirectoryMustBeAPath) {
    for (const char* bad : {"", "a", "/a/", "//", "/a//b", "/.", "/a/..", "/a/\x01", "/\xF0\x9F\xA6\x8A", "/\xFF"}) {
        expect_refused([&] { return zookeeper("x", bad); }, errc::invalid_options, "directory");
    }
    EXPECT_EQ(zookeeper("x", "/a/.b/c"), "/a/.b/c/x");
}

TEST(ZooKeeper, ExactPathsMustBeValid) {
    EXPECT_EQ(zookeeper_exact("/a/b"), "/a/b");
    expect_refused([] { return zookeeper_exact("/"); }, "root");
    expect_refused([] { return zookeeper_exact(""); }, "start with '/'");
    expect_refused([] { return zookeeper_exact("a"); }, "start with '/'");
    expect_refused([] { return zookeeper_exact("/a/"); }, "end with '/'");
    expect_refused([] { return zookeeper_exact("/a//b"); }, "'//'");
    expect_refused([] { return zookeeper_exact("/a/./b"); }, "segment");
    expect_refused([] { return zookeeper_exact("/a/.."); }, "segment");
    expect_refused([] { return zookeeper_exact("/a\0"s); }, "U+0000");
    expect_refused([] { return zookeeper_exact("/" + fox); }, "U+1f98a");
}

TEST(Azure, Limits) {
    EXPECT_EQ(azure(std::string(1024, 'x')), std::string(1024, 'x'));
    EXPECT_EQ(azure(std::string(1025, 'x')).size(), 1024u);
    EXPECT_EQ(azure(std::string(256, 'x'), azure_service::emulator), std::string(256, 'x'));
    EXPECT_EQ(azure(std::string(257, 'x'), azure_service::emulator).substr(0, 168), std::string(168, 'x'));
    EXPECT_EQ(azure("x" + repeat(fox, 128), azure_service::emulator).substr(1 + 83 * 4, 3), half);
}

TEST(Azure, LastCharacterAndSlashes) {
    EXPECT_EQ(azure("a.b"), "a.b");
    EXPECT_TRUE(azure("a.").starts_with("aDOT"));
    EXPECT_TRUE(azure("a/").starts_with("aSLASH"));
    EXPECT_TRUE(azure("a\\").starts_with("aSLASH"));
    EXPECT_EQ(azure("a./b"), "a./b");
    const std::string slashes = repeat("a/", 253);
    EXPECT_EQ(azure(slashes + "a"), slashes + "a");
    EXPECT_TRUE(azure(slashes + "a/a").starts_with(slashes + "aSLASHa"));
    EXPECT_TRUE(azure(slashes).starts_with(repeat("a/", 252) + "aSLASH"));
}

TEST(Azure, IsOneBlobWhereDotNetSeesOne) {
    EXPECT_EQ(azure("/a"), "a");
    EXPECT_EQ(azure("///a"), "a");
    EXPECT_EQ(azure("./a"), "a");
    EXPECT_EQ(azure("/./a"), "a");
    EXPECT_EQ(azure("a/../b"), "b");
    EXPECT_EQ(azure("a/./../b"), "b");
    EXPECT_EQ(azure("a/b/../../c"), "c");
    EXPECT_EQ(azure("a//b"), "a//b");
    EXPECT_EQ(azure("a//../b"), "a/b") << "the empty segment goes";
    EXPECT_EQ(azure(".//a"), "/a");
    EXPECT_EQ(azure("a/.../b"), "a/.../b");
    EXPECT_EQ(azure("a/..b"), "a/..b");
    EXPECT_EQ(azure("a\\..\\b"), "a\\..\\b");
    EXPECT_TRUE(azure("a/..").starts_with("a/.DOT"));
    expect_refused([] { return azure("../a"); }, "container");
    expect_refused([] { return azure("a/../../b"); }, "container");
}

TEST(Azure, ExactNamesStay) {
    EXPECT_EQ(azure_exact("a/"), "a/");
    expect_refused([] { return azure_exact(""); }, "empty");
}

}  // namespace
}  // namespace holdfast::names
