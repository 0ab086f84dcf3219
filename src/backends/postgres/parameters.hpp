// Values in PostgreSQL's binary form.
#ifndef HOLDFAST_BACKENDS_POSTGRES_PARAMETERS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_PARAMETERS_HPP

#include <libpq-fe.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

template <class Integer>
void append_big_endian(std::string& to, Integer value) {
    std::array<char, sizeof value> made;
    auto left = static_cast<std::uint64_t>(value);
    for (auto byte = made.rbegin(); byte != made.rend(); ++byte, left >>= 8) *byte = static_cast<char>(left & 0xFF);
    to.append(made.data(), made.size());
}

inline std::uint64_t big_endian(const char* bytes, int size) noexcept {
    std::uint64_t made = 0;
    for (int i = 0; i < size; ++i) made = made << 8 | static_cast<unsigned char>(bytes[i]);
    return made;
}

/// A statement's arguments, in binary form.
struct parameters {
    template <class Integer>
    void add(Integer value) {
        append_big_endian(bytes, value);
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(sizeof value);
    }
    void add(std::string_view text) {
        bytes += text;
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(text.size());
    }
    /// One dimension, no nulls, counted from 1.
    template <class Integer>
    void add_array(const std::vector<Integer>& values, Oid type) {
        const std::size_t before = bytes.size();
        append_big_endian(bytes, std::int32_t{1});
        append_big_endian(bytes, std::int32_t{0});
        append_big_endian(bytes, static_cast<std::int32_t>(type));
        append_big_endian(bytes, static_cast<std::int32_t>(values.size()));
        append_big_endian(bytes, std::int32_t{1});
        for (const Integer each : values) {
            append_big_endian(bytes, static_cast<std::int32_t>(sizeof each));
            append_big_endian(bytes, each);
        }
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(bytes.size() - before);
    }

    std::string bytes;
    std::array<int, 4> sizes{};
    int count = 0;
};

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
