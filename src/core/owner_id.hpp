// Who we are to a backend that compares owners.
#ifndef HOLDFAST_CORE_OWNER_ID_HPP
#define HOLDFAST_CORE_OWNER_ID_HPP

#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {

/// 32 lower-case hexadecimal digits from the operating system's random source. Throws `errc::unavailable` without one.
std::string new_owner_id();

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
