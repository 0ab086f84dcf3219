#include "names/hash.hpp"
#include "names/encoding.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::names {
namespace {

std::string base64_of(const std::string& text) {
    return base64(std::vector<std::uint8_t>(text.begin(), text.end()));
}

// The examples of FIPS 180, and one that is longer than a block.
TEST(Hash, Sha1) {
    EXPECT_EQ(hex(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_EQ(hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hex(sha1(std::string(1'000'000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Hash, Sha256) {
    EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(sha256(std::string(1'000'000, 'a'))),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash, Sha512) {
    EXPECT_EQ(hex(sha512("abc")),
              "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
              "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    EXPECT_EQ(hex(sha512(std::string(1'000'000, 'a'))),
              "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
              "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b");
}

// RFC 4648, part 10.
TEST(Base64, KnownAnswers) {
    EXPECT_EQ(base64_of(""), "");
    EXPECT_EQ(base64_of("f"), "Zg==");
    EXPECT_EQ(base64_of("fo"), "Zm8=");
    EXPECT_EQ(base64_of("foo"), "Zm9v");
    EXPECT_EQ(base64_of("foob"), "Zm9vYg==");
    EXPECT_EQ(base64_of("fooba"), "Zm9vYmE=");
    EXPECT_EQ(base64_of("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64(std::vector<std::uint8_t>{0xFB, 0xFF, 0xFE}), "+//+");
}

TEST(Base32, TakesTheLowestBitsFirst) {
    EXPECT_EQ(little_endian_base32(std::vector<std::uint8_t>{}, letter_case::upper), "");
    EXPECT_EQ(little_endian_base32(std::vector<std::uint8_t>{0x01}, letter_case::upper), "BA");
    EXPECT_EQ(little_endian_base32(std::vector<std::uint8_t>{0x20}, letter_case::upper), "AB");
    EXPECT_EQ(little_endian_base32(std::vector<std::uint8_t>{0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, letter_case::upper),
              "77777777");
    // 0x8864208864 holds 4, 3, 2, 1, 4, ... from its lowest bits on: 0 + 1<<5 + 2<<10 + 3<<15 + 4<<20 + 5<<25 + ...
    EXPECT_EQ(little_endian_base32(std::vector<std::uint8_t>{0x20, 0x88, 0x41, 0x8A, 0x39}, letter_case::lower),
              "abcdefgh");
}

TEST(Hex, Numbers) {
    EXPECT_EQ(hex(std::uint32_t{0xABC}), "00000abc");
    EXPECT_EQ(hex(std::uint64_t{0x1234567890ABCDEF}), "1234567890abcdef");
    EXPECT_EQ(hex(std::uint64_t{1}), "0000000000000001");
    std::string text;
    for (const std::uint32_t value : {0x0u, 0x5Fu, 0xD83Du, 0x10u, 0xFFFFFFFFu}) {
        append_short_hex(text, value);
        text += ' ';
    }
    EXPECT_EQ(text, "0 5f d83d 10 ffffffff ");
}

}  // namespace
}  // namespace holdfast::names
