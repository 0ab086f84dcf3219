#include <contract/environment.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

namespace holdfast::contract {
namespace {

using namespace std::chrono_literals;

/// One for the whole program: tests have names of their own.
test::redis_server& the_server() {
    static test::redis_server one;
    return one;
}

class redis_environment final : public environment {
public:
    explicit redis_environment(const redis::options& opts, bool by_socket) : opts_(opts) {
        if (by_socket) {
            opts_.servers.front().socket_path = the_server().socket_path();
        } else {
            opts_.servers.front().port = the_server().port();
        }
    }

    provider make_provider(const provider_settings& settings) override { return redis::make_provider(opts_, settings); }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        const std::string key(mapped);
        std::vector<std::string> words{"DEL", key};
        constexpr std::string_view suffix = ".writer";
        if (key.size() > suffix.size() && key.ends_with(suffix)) {
            words.push_back(key.substr(0, key.size() - suffix.size()) + ".readers");
        }
        test::redis_client client(the_server().socket_path());
        client({"SELECT", std::to_string(opts_.database)});
        return static_cast<int>(client(words).integer);
    }

private:
    redis::options opts_;
};

environment_variant variant(std::string name, redis::options opts, bool by_socket) {
    // Renewed often, so that a loss is seen soon; the tests of waiting have to do with news, not with expiry.
    opts.expiry = 4s;
    opts.min_validity = 2s;
    opts.extension_cadence = 50ms;
    return {std::move(name), redis::make_provider(opts).capabilities(),
            [opts, by_socket] { return std::make_unique<redis_environment>(opts, by_socket); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    redis::options prefixed;
    prefixed.key_prefix = "app:";
    prefixed.database = 3;
    return {
        variant("tcp", {}, false),
        variant("socket_prefix_database", prefixed, true),
    };
}

}  // namespace holdfast::contract
