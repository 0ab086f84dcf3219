#include <core/owner_id.hpp>

#include <holdfast/error.hpp>

#if defined(_WIN32)
#include <windows.h>

#include <bcrypt.h>
#else
#include <sys/random.h>
#endif

namespace holdfast {
inline namespace v0 {
namespace core {

owner_id owner_id::make() {
    owner_id made;
    auto& bytes = made.bytes_;
#if defined(_WIN32)
    const bool filled =
        BCryptGenRandom(nullptr, bytes.data(), static_cast<ULONG>(bytes.size()), BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
#else
    const bool filled = ::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
#endif
    if (!filled) throw error(errc::unavailable, "the operating system gives no random numbers");
    return made;
}

void owner_id::append_to(std::string& text) const {
    static constexpr char digits[] = "0123456789abcdef";
    std::array<char, 32> made;
    auto next = made.begin();
    for (const unsigned char byte : bytes_) {
        *next++ = digits[byte >> 4];
        *next++ = digits[byte & 15];
    }
    text.append(made.data(), made.size());
}

std::string owner_id::text() const {
    std::string made;
    append_to(made);
    return made;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
