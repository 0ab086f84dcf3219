#include <backends/redis/protocol.hpp>

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

}  // namespace
}  // namespace holdfast::redis
