// The only file that knows the hash library.
#include "names/hash.hpp"

#include <sys/types.h>

#include <cstddef>

// libmd's headers expect these three.
#include <sha1.h>
#include <sha256.h>
#include <sha512.h>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

const std::uint8_t* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace

sha1_digest sha1(std::string_view bytes) noexcept {
    SHA1_CTX context;
    sha1_digest digest;
    SHA1Init(&context);
    SHA1Update(&context, bytes_of(bytes), bytes.size());
    SHA1Final(digest.data(), &context);
    return digest;
}

sha256_digest sha256(std::string_view bytes) noexcept {
    SHA2_CTX context;
    sha256_digest digest;
    SHA256Init(&context);
    SHA256Update(&context, bytes_of(bytes), bytes.size());
    SHA256Final(digest.data(), &context);
    return digest;
}

sha512_digest sha512(std::string_view bytes) noexcept {
    SHA2_CTX context;
    sha512_digest digest;
    SHA512Init(&context);
    SHA512Update(&context, bytes_of(bytes), bytes.size());
    SHA512Final(digest.data(), &context);
    return digest;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
