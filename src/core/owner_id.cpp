#include <core/owner_id.hpp>

#include <holdfast/error.hpp>

#include <array>

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
    std::array<unsigned char, 16> bytes{};
#if defined(_WIN32)
    const bool filled =
        BCryptGenRandom(nullptr, bytes.data(), static_cast<ULONG>(bytes.size()), BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
#else
    const bool filled = ::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
#endif
    if (!filled) throw error(errc::unavailable, "the operating system gives no random numbers");
    static constexpr char digits[] = "0123456789abcdef";
    owner_id made;
    for (const unsigned char byte : bytes) {
        made.text_[made.size_++] = digits[byte >> 4];
        made.text_[made.size_++] = digits[byte & 15];
    }
    return made;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
