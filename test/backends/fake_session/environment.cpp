// The contract suite on a server in memory whose locks end with their connection: proves the core, not a backend.
#include <contract/environment.hpp>
#include <support/fake_session.hpp>

namespace holdfast::contract {
namespace {

class fake_session_environment final : public environment {
public:
    provider make_provider(const provider_settings& settings) override {
        return fakes::make_session_provider(
            server_, settings, {.reply_grace = std::chrono::seconds(5), .cancel_grace = std::chrono::seconds(1)});
    }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        return server_->kill_holders(std::string(mapped));
    }

private:
    const std::shared_ptr<fakes::session_server> server_ = std::make_shared<fakes::session_server>();
};

}  // namespace

std::vector<environment_variant> environment_variants() {
    const fakes::session_backend described(nullptr);
    return {{"memory_sessions", described.capabilities(), [] { return std::make_unique<fake_session_environment>(); }}};
}

}  // namespace holdfast::contract
