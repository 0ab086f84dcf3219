#include <contract/environment.hpp>
#include <core/provider_state.hpp>

#include <holdfast/memory.hpp>

namespace holdfast::contract {
namespace {

class memory_environment final : public environment {
public:
    provider make_provider(const provider_settings& settings) override {
        // Another provider on the same table: its queues are its own, as those of another process would be.
        const auto& state = place_.get().state();
        return provider(core::provider_state::make({state, &state->backend()}, settings));
    }

    std::optional<int> lose_holds(std::string_view name, std::string_view) override { return place_.lose(name); }

private:
    memory_provider place_;
};

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {{"memory", memory_provider().get().capabilities(), [] { return std::make_unique<memory_environment>(); }}};
}

}  // namespace holdfast::contract
