// Holdfast: a provider from a URL.
#ifndef HOLDFAST_OPEN_HPP
#define HOLDFAST_OPEN_HPP

#include <holdfast/provider.hpp>
#include <holdfast/url.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {

/** @brief Which URL schemes there are, and who serves them.

    Backends are registered by a call, never by a static initialiser, which a linker may drop.

    @par Thread safety
    Distinct objects: safe. Shared objects: const members are safe.
*/
class HOLDFAST_API registry {
public:
    using factory = std::function<provider(const url&, const provider_settings&)>;

    /// Serves @p scheme ("file", without the colon) with @p make; replaces an earlier entry.
    void add(std::string scheme, factory make);

    /** @brief Makes the provider that @p text names.
        @par Errors
        `errc::invalid_options`: not a URL, an unknown scheme, an unknown or unusable option.
    */
    provider open(std::string_view text, const provider_settings& settings = {}) const;

    /// The schemes that have an entry, sorted.
    std::vector<std::string> schemes() const;

private:
    std::map<std::string, factory, std::less<>> factories_;
};

}  // namespace v0
}  // namespace holdfast

#endif
