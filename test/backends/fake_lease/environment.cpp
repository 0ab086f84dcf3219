// The contract suite on a server in memory whose locks end with their time: proves the core, not a backend.
#include <contract/environment.hpp>
#include <support/fake_lease.hpp>

namespace holdfast::contract {
namespace {

class fake_lease_environment final : public environment {
public:
    provider make_provider(const provider_settings& settings) override {
        return fakes::make_lease_provider(server_, settings,
                                          {.lifetime = std::chrono::seconds(2),
                                           .reply_grace = std::chrono::seconds(5),
                                           .cancel_grace = std::chrono::seconds(1)});
    }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        return server_->expire(std::string(mapped));
    }

private:
    const std::shared_ptr<fakes::lease_server> server_ = std::make_shared<fakes::lease_server>();
};

}  // namespace

std::vector<environment_variant> environment_variants() {
    const fakes::lease_backend described(nullptr);
    return {{"memory_leases", described.capabilities(), [] { return std::make_unique<fake_lease_environment>(); }}};
}

}  // namespace holdfast::contract
