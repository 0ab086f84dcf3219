// The only file that knows the hashes of Windows.
#include "names/hash.hpp"

#include <exception>

#include <windows.h>

#include <bcrypt.h>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

/// One algorithm, opened once for the process.
class provider {
public:
    explicit provider(const wchar_t* algorithm) noexcept {
        // Without its hashes Windows does not start either; and no other name would be the right one.
        if (::BCryptOpenAlgorithmProvider(&handle_, algorithm, nullptr, 0) < 0) std::terminate();
    }

    template <class Digest>
    Digest hash(std::string_view bytes) const noexcept {
        Digest digest{};
        // Its input is not const, and not changed.
        auto* const input = reinterpret_cast<PUCHAR>(const_cast<char*>(bytes.data()));
        BCRYPT_HASH_HANDLE made = nullptr;
        bool good = ::BCryptCreateHash(handle_, &made, nullptr, 0, nullptr, 0, 0) >= 0;
        good = good && ::BCryptHashData(made, input, static_cast<ULONG>(bytes.size()), 0) >= 0;
        good = good && ::BCryptFinishHash(made, digest.data(), static_cast<ULONG>(digest.size()), 0) >= 0;
        if (!good) std::terminate();
        ::BCryptDestroyHash(made);
        return digest;
    }

private:
    BCRYPT_ALG_HANDLE handle_ = nullptr;
};

}  // namespace

// Never closed: names are mapped until the very end of a program.
sha1_digest sha1(std::string_view bytes) noexcept {
    static const auto* const algorithm = new provider(BCRYPT_SHA1_ALGORITHM);
    return algorithm->hash<sha1_digest>(bytes);
}

sha256_digest sha256(std::string_view bytes) noexcept {
    static const auto* const algorithm = new provider(BCRYPT_SHA256_ALGORITHM);
    return algorithm->hash<sha256_digest>(bytes);
}

sha512_digest sha512(std::string_view bytes) noexcept {
    static const auto* const algorithm = new provider(BCRYPT_SHA512_ALGORITHM);
    return algorithm->hash<sha512_digest>(bytes);
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
