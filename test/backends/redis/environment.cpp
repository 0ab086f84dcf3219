#include <contract/environment.hpp>
#include <support/certificates.hpp>
#include <support/redis_cluster.hpp>
#include <support/redis_sentinels.hpp>
#include <support/redis_server.hpp>

#include <holdfast/backends/redis.hpp>

#include <memory>

namespace holdfast::contract {
namespace {

using namespace std::chrono_literals;

/// Started when first asked for, and for the whole program: tests have names of their own.
const test::redis_server& the_server(std::size_t number) {
    static std::vector<std::unique_ptr<test::redis_server>> all;
    while (all.size() <= number) all.push_back(std::make_unique<test::redis_server>());
    return *all[number];
}

const test::certificates& issued() {
    static const test::certificates made;
    return made;
}

/// The same, with TLS.
const test::redis_server& the_tls_server() {
    static const test::redis_server made([] {
        issued().add("server", "IP:127.0.0.1");
        return issued().server_options("no");
    }());
    return made;
}

const test::redis_cluster& the_cluster() {
    static const test::redis_cluster made(false);
    return made;
}

/// Nothing fails here, so its first server stays the master.
test::redis_sentinels& the_sentinels() {
    static test::redis_sentinels made;
    return made;
}

struct layout {
    std::string name;
    redis::options opts = {};
    std::size_t servers = 1;
    bool by_socket = false;
    bool by_tls = false;
    bool by_cluster = false;
    bool by_sentinels = false;
};

class redis_environment final : public environment {
public:
    explicit redis_environment(const layout& how) : opts_(how.opts), servers_(how.servers), by_tls_(how.by_tls) {
        opts_.servers.clear();
        if (how.by_cluster) {
            // Which tells of the others.
            opts_.servers.push_back({.port = the_cluster().node(0).port()});
            opts_.cluster = true;
            return;
        }
        if (how.by_sentinels) {
            for (const std::uint16_t port : the_sentinels().ports()) opts_.servers.push_back({.port = port});
            opts_.sentinel_master = "shop";
            return;
        }
        for (std::size_t number = 0; number < servers_; ++number) {
            redis::server_address where;
            if (by_tls_) {
                where.port = server(number).port();
                opts_.tls = redis::tls_options{.ca_file = issued().authority()};
            } else if (how.by_socket) {
                where.socket_path = the_server(number).socket_path();
            } else {
                where.port = the_server(number).port();
            }
            opts_.servers.push_back(where);
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
        if (opts_.cluster) return static_cast<int>(the_cluster().ask(key, words).integer);
        long long most = 0;
        for (std::size_t number = 0; number < servers_; ++number) {
            test::redis_client client(server(number).socket_path());
            client({"SELECT", std::to_string(opts_.database)});
            most = std::max(most, client(words).integer);
        }
        return static_cast<int>(most);
    }

private:
    const test::redis_server& server(std::size_t number) const {
        if (!opts_.sentinel_master.empty()) return the_sentinels().server(0);
        return by_tls_ ? the_tls_server() : the_server(number);
    }

    redis::options opts_;
    const std::size_t servers_;
    const bool by_tls_;
};

environment_variant variant(layout how) {
    // Renewed often, so that a loss is seen soon; the tests of waiting have to do with news, not with expiry.
    how.opts.expiry = 4s;
    how.opts.min_validity = 2s;
    how.opts.extension_cadence = 50ms;
    how.opts.cluster = how.by_cluster;
    return {how.name, redis::make_provider(how.opts).capabilities(),
            [how] { return std::make_unique<redis_environment>(how); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
#if defined(HOLDFAST_TEST_OTHER_LAYOUTS)
    redis::options prefixed;
    prefixed.key_prefix = "app:";
    prefixed.database = 3;
    redis::options counting;
    counting.fencing = true;
    return {
        variant({.name = "socket_prefix_database", .opts = prefixed, .by_socket = true}),
        variant({.name = "tls", .by_tls = true}),
        variant({.name = "cluster", .by_cluster = true}),
        variant({.name = "sentinels", .by_sentinels = true}),
        variant({.name = "tokens", .opts = counting}),
        variant({.name = "three_servers", .servers = 3}),
        variant({.name = "five_servers", .servers = 5}),
    };
#else
    return {variant({.name = "tcp"})};
#endif
}

}  // namespace holdfast::contract
