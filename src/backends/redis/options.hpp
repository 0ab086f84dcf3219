// Options of the Redis backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_REDIS_OPTIONS_HPP
#define HOLDFAST_BACKENDS_REDIS_OPTIONS_HPP

#include <holdfast/backends/redis.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// The options with their defaults in place of zeros. Throws `errc::invalid_options`.
options checked(const options& opts);
options options_from(const url& address);

/// How long before its key's end a lock counts as lost. For clocks that do not run alike, as Redlock has it: a
/// hundredth, and what one millisecond may be rounded to.
constexpr std::chrono::milliseconds lease_margin(std::chrono::milliseconds expiry) noexcept {
    return expiry / 100 + std::chrono::milliseconds(2);
}

/// Throws `errc::invalid_options`, as all that is wrong with options.
[[noreturn]] void refuse(const std::string& message);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
