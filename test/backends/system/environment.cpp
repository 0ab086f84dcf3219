#include <backends/system/set_directory.hpp>
#include <contract/environment.hpp>

#include <holdfast/backends/system.hpp>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include <sys/sem.h>

namespace holdfast::contract {
namespace {

class system_environment final : public environment {
public:
    explicit system_environment(system::scope scope) {
        std::string path = "/dev/shm/holdfast-contract-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a directory like " + path);
        place_ = path;
        opts_.scope = scope;
        opts_.directory = place_ / "sets";
    }
    ~system_environment() override {
        // The last provider has removed the semaphores.
        std::error_code ignored;
        std::filesystem::remove_all(place_, ignored);
    }

    provider make_provider(const provider_settings& settings) override {
        return system::make_provider(opts_, settings);
    }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        system::set_directory directory(opts_);
        for (const auto& each : directory.names()) {
            if (each.mapped != mapped) continue;
            // As ipcrm(1) does, with everything else that is in the set.
            return ::semctl(each.semaphores, 0, IPC_RMID) == 0 ? 1 : 0;
        }
        return 0;
    }

private:
    std::filesystem::path place_;
    system::options opts_;
};

environment_variant variant(std::string name, system::scope scope) {
    return {std::move(name), system::make_provider({.scope = scope, .directory = "/"}).capabilities(),
            [scope] { return std::make_unique<system_environment>(scope); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {variant("of_the_user", system::scope::user), variant("of_the_machine", system::scope::machine)};
}

}  // namespace holdfast::contract
