// The contract suite on named events and semaphores.
#include <contract/environment.hpp>

#include <holdfast/backends/system.hpp>

namespace holdfast::contract {
namespace {

/// There is one place, the machine; names are nobody else's.
class system_environment final : public environment {
public:
    explicit system_environment(const system::options& opts) : opts_(opts) {}

    provider make_provider(const provider_settings& settings) override {
        return system::make_provider(opts_, settings);
    }

    std::string unique_name() override { return (opts_.exact_names ? "Global\\" : "") + environment::unique_name(); }
    bool takes_any_name() const override { return !opts_.exact_names; }
    bool takes_nul() const override { return false; }

private:
    const system::options opts_;
};

environment_variant variant(std::string name, const system::options& opts) {
    return {std::move(name), system::make_provider(opts).capabilities(),
            [opts] { return std::make_unique<system_environment>(opts); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {
        variant("mapped", {}),
        variant("exact", {.exact_names = true}),
        // Waiters that let go of the object all the time.
        variant("often_refreshed", {.abandonment_check = std::chrono::milliseconds(40)}),
    };
}

}  // namespace holdfast::contract
