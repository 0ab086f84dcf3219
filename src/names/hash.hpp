// The hashes that the name mappings are made of. Names collide by accident only; nothing here keeps a secret.
#ifndef HOLDFAST_SRC_NAMES_HASH_HPP
#define HOLDFAST_SRC_NAMES_HASH_HPP

#include <holdfast/config.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {

using sha1_digest = std::array<std::uint8_t, 20>;
using sha256_digest = std::array<std::uint8_t, 32>;
using sha512_digest = std::array<std::uint8_t, 64>;

HOLDFAST_API sha1_digest sha1(std::string_view bytes) noexcept;
HOLDFAST_API sha256_digest sha256(std::string_view bytes) noexcept;
sha512_digest sha512(std::string_view bytes) noexcept;

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
