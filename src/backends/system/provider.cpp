#include <backends/system/options.hpp>
#include <core/provider_state.hpp>

#include <holdfast/backends/system.hpp>

namespace holdfast {
inline namespace v0 {
namespace system {

provider make_provider(const options& opts, const provider_settings& settings) {
    check(opts);
    return provider(core::provider_state::make(make_backend(opts), settings));
}

void add_to(registry& target) {
    target.add("system", [](const url& address, const provider_settings& settings) {
        return make_provider(options_from(address), settings);
    });
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
