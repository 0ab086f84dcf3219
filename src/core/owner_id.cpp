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

std::array<char, 32> owner_id::digits() const noexcept {
    const auto digit = [](unsigned value) { return static_cast<char>(value + (value < 10 ? '0' : 'a' - 10)); };
    std::array<char, 32> made;
    for (std::size_t at = 0; at < bytes_.size(); ++at) {
        made[2 * at] = digit(bytes_[at] >> 4U);
        made[2 * at + 1] = digit(bytes_[at] & 15U);
    }
    return made;
}

std::string owner_id::text() const {
    const auto made = digits();
    return {made.data(), made.size()};
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
