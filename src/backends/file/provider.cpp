#include <backends/file/options.hpp>
#include <core/provider_state.hpp>

#include <holdfast/backends/file.hpp>

namespace holdfast {
inline namespace v0 {
namespace file {

provider make_provider(const options& opts, const provider_settings& settings) {
    check(opts);
    return provider(core::provider_state::make(make_backend(opts), settings));
}

void add_to(registry& target) {
    target.add("file", [](const url& address, const provider_settings& settings) {
        return make_provider(options_from(address), settings);
    });
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
