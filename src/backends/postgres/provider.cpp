#include <backends/postgres/backend.hpp>
#include <backends/postgres/options.hpp>
#include <core/provider_state.hpp>

#include <holdfast/backends/postgres.hpp>

namespace holdfast {
inline namespace v0 {
namespace postgres {

provider make_provider(const options& opts, const provider_settings& settings) {
    check(opts);
    return provider(core::provider_state::make(std::make_shared<postgres_backend>(opts), settings));
}

void add_to(registry& target) {
    for (const char* scheme : {"postgres", "postgresql"}) {
        target.add(scheme, [](const url& address, const provider_settings& settings) {
            return make_provider(options_from(address), settings);
        });
    }
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
