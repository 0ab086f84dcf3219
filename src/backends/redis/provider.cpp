#include <backends/redis/backend.hpp>
#include <backends/redis/options.hpp>
#include <core/provider_state.hpp>

#include <holdfast/backends/redis.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

provider make_provider(const options& opts, const provider_settings& settings) {
    const options sound = checked(opts);
    if (sound.sentinel_master.empty() && !sound.cluster && sound.servers.size() % 2 == 0 &&
        settings.observer != nullptr) {
        settings.observer->notice("",
                                  "redis: an even number of servers outlives the failure of no more of them than "
                                  "one fewer would");
    }
    return provider(core::provider_state::make(std::make_shared<redis_backend>(sound), settings));
}

void add_to(registry& target) {
    for (const char* scheme : {"redis", "redis+cluster", "redis+sentinel", "redis+unix", "rediss", "rediss+cluster",
                               "rediss+sentinel", "unix"}) {
        target.add(scheme, [](const url& address, const provider_settings& settings) {
            return make_provider(options_from(address), settings);
        });
    }
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
