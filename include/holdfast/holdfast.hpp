// Holdfast: everything that this build of the library has, backends included.
#ifndef HOLDFAST_HOLDFAST_HPP
#define HOLDFAST_HOLDFAST_HPP

#include <holdfast/core.hpp>

// Each backend's target defines its macro for whoever links it.
#if defined(HOLDFAST_WITH_FILE)
#include <holdfast/backends/file.hpp>
#endif
#if defined(HOLDFAST_WITH_SYSTEM)
#include <holdfast/backends/system.hpp>
#endif
#if defined(HOLDFAST_WITH_REDIS)
#include <holdfast/backends/redis.hpp>
#endif
#if defined(HOLDFAST_WITH_POSTGRES)
#include <holdfast/backends/postgres.hpp>
#endif

#include <string_view>

namespace holdfast {
inline namespace v0 {

/// @brief The backends that the including program links.
inline const registry& default_registry() {
    static const registry instance = [] {
        registry made;
        add_memory_to(made);
#if defined(HOLDFAST_WITH_FILE)
        file::add_to(made);
#endif
#if defined(HOLDFAST_WITH_SYSTEM)
        system::add_to(made);
#endif
#if defined(HOLDFAST_WITH_REDIS)
        redis::add_to(made);
#endif
#if defined(HOLDFAST_WITH_POSTGRES)
        postgres::add_to(made);
#endif
        return made;
    }();
    return instance;
}

/** @brief A provider from a URL such as `file:///var/lock/app`.

    @par Errors
    Throws @ref error with `errc::invalid_options`: not a URL, a scheme that this program does not link, an unknown or
    unusable option.
    @par Thread safety
    Safe.
*/
inline provider open(std::string_view address, const provider_settings& settings = {}) {
    return default_registry().open(address, settings);
}

}  // namespace v0
}  // namespace holdfast

#endif
