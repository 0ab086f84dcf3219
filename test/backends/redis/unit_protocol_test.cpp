#include <backends/redis/connection.hpp>
#include <backends/redis/protocol.hpp>

#include <holdfast/error.hpp>

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::redis {
namespace {

std::string formatted_by_hiredis(const std::vector<std::string_view>& words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string_view word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* made = nullptr;
    const int size = redisFormatCommandArgv(&made, static_cast<int>(words.size()), texts.data(), sizes.data());
    const std::unique_ptr<char, void (*)(char*)> owner(made, &redisFreeCommand);
    return size < 0 ? std::string() : std::string(made, static_cast<std::size_t>(size));
}

TEST(protocol_test, commands_are_formatted_as_hiredis_formats_them) {
    std::minstd_rand random(1);
    const auto below = [&random](std::size_t end) { return static_cast<std::size_t>(random()) % end; };
    for (int round = 0; round < 2000; ++round) {
        // Words of any bytes, empty ones and those whose length has more digits than most among them.
        std::vector<std::string> texts(1 + below(14));
        for (std::string& text : texts) {
            text.resize(below(4) == 0 ? below(3) : below(round % 100 == 0 ? 120'000 : 130));
            for (char& each : text) each = static_cast<char>(random() & 0xff);
        }
        const std::vector<std::string_view> words(texts.begin(), texts.end());
        const std::string made = format(words);
        ASSERT_EQ(made, formatted_by_hiredis(words)) << round;
        ASSERT_EQ(words_of(made), words) << round;
    }
}

std::string many(const char* each, int count) {
    std::string made;
    for (int i = 0; i < count; ++i) made += each;
    return made;
}

bool refuses(reply_reader& in) {
    try {
        while (in.next() != nullptr) {
        }
        return false;
    } catch (const error& wrong) {
        return wrong.boost_code() == errc::protocol;
    }
}

TEST(protocol_test, a_stranger_may_not_say_much) {
    for (const std::string& said :
         {std::string("*4000000\r\n"), std::string("*2147483647\r\n"), "$500000000\r\n" + std::string(300'000, 'x'),
          "*2\r\n*3000\r\n" + many(":1\r\n", 3000) + "*3000\r\n"}) {
        reply_reader in;
        in.feed(said.data(), said.size());
        EXPECT_TRUE(refuses(in)) << said.substr(0, 20);
    }
    // Many short answers are no long one.
    reply_reader in;
    const std::string said = many("*2\r\n:1\r\n:2\r\n", 5000);
    in.feed(said.data(), said.size());
    for (int count = 0; count < 5000; ++count) ASSERT_NE(in.next(), nullptr) << count;
    EXPECT_TRUE(in.empty());
}

TEST(protocol_test, a_server_may_say_more_but_not_without_end) {
    reply_reader in;
    in.trust();
    const std::string keys = "*100000\r\n" + many("$3\r\nkey\r\n", 100'000);
    in.feed(keys.data(), keys.size());
    const reply_value answer = in.next();
    ASSERT_NE(answer, nullptr);
    EXPECT_EQ(size_of(*answer), 100'000U);
    const std::string endless = "$1000000000\r\n";
    in.feed(endless.data(), endless.size());
    const std::string part(std::size_t{1} << 20, 'x');
    int fed = 0;
    while (!in.full() && ++fed < 100) in.feed(part.data(), part.size());
    EXPECT_LT(fed, 66);
    EXPECT_TRUE(refuses(in));
}

TEST(protocol_test, errors_have_the_codes_that_are_documented) {
    struct {
        const char* text;
        errc code;
        bool transient;
    } const all[] = {
        {"OOM command not allowed when used memory > 'maxmemory'.", errc::unavailable, false},
        {"READONLY You can't write against a read only replica.", errc::unavailable, true},
        {"LOADING Redis is loading the dataset in memory", errc::unavailable, true},
        {"MASTERDOWN Link with MASTER is down", errc::unavailable, true},
        {"NOREPLICAS Not enough good replicas to write.", errc::unavailable, true},
        {"MISCONF Redis is configured to save RDB snapshots", errc::unavailable, false},
        {"BUSY Redis is busy running a script.", errc::unavailable, true},
        {"CLUSTERDOWN The cluster is down", errc::unavailable, true},
        {"TRYAGAIN Multiple keys request during rehashing of slot", errc::unavailable, true},
        {"NOPERM this user has no permissions", errc::permission, false},
        {"NOAUTH Authentication required.", errc::permission, false},
        {"WRONGPASS invalid username-password pair", errc::permission, false},
        {"WRONGTYPE Operation against a key", errc::invalid_name, false},
        {"MOVED 3999 127.0.0.1:6381", errc::unsupported, false},
        {"ERR DB index is out of range", errc::invalid_options, false},
        {"ERR value is not an integer or out of range script: f00", errc::invalid_options, false},
        // As Redis 5 and 6 say it from within a script.
        {"ERR Error running script (call to f_6b1b): @user_script:1: -READONLY You can't write against a read only "
         "replica.",
         errc::unavailable, true},
        {"ERR Error running script (call to f_6b1b): @user_script:1: @user_script: 1: -OOM command not allowed",
         errc::unavailable, false},
        {"ERR Error running script (call to f_6b1b): @user_script:12: WRONGTYPE Operation against a key",
         errc::invalid_name, false},
    };
    for (const auto& each : all) {
        const failure found = failure_of(each.text);
        EXPECT_EQ(make_error_code(found.code), each.code) << each.text;
        EXPECT_EQ(found.transient, each.transient) << each.text;
        EXPECT_NE(found.text.find(each.text), std::string::npos) << found.text;
    }
    EXPECT_EQ(secretive_failure_of("ERR unknown command 'AUTH' with args 'hunter2'").text.find("hunter2"),
              std::string::npos);
}

}  // namespace
}  // namespace holdfast::redis
