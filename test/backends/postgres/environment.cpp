// The contract suite on a PostgreSQL server.
#include <backends/postgres/backend.hpp>
#include <contract/environment.hpp>
#include <support/postgres_server.hpp>

namespace holdfast::contract {
namespace {

class postgres_environment final : public environment {
public:
    explicit postgres_environment(const postgres::options& opts) : options_(opts) {}

    provider make_provider(const provider_settings& settings) override {
        const test::postgres_server& server = test::postgres_server::shared();
        if (!options_.fencing_sequence.empty()) {
            server.query("SET client_min_messages = warning; CREATE SEQUENCE IF NOT EXISTS " +
                         options_.fencing_sequence);
        }
        options_.connection = server.connection();
        return postgres::make_provider(options_, settings);
    }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        const std::string text(mapped);
        const bool pair = text.size() == 17;
        const std::string high = std::to_string(std::stoul(text.substr(0, 8), nullptr, 16));
        const std::string low = std::to_string(std::stoul(text.substr(pair ? 9 : 8), nullptr, 16));
        return test::postgres_server::shared().count(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM (SELECT DISTINCT pid FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND classid = " +
            high + " AND objid = " + low + " AND objsubid = " + (pair ? "2" : "1") + ") holders");
    }

private:
    postgres::options options_;
};

environment_variant variant(const char* name, const postgres::options& opts) {
    return {name, postgres::postgres_backend(opts).capabilities(),
            [opts] { return std::make_unique<postgres_environment>(opts); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
#ifdef HOLDFAST_TEST_OTHER_MODES
    postgres::options fencing;
    fencing.fencing_sequence = "contract_tokens";
    postgres::options own;
    own.multiplexing = false;
    postgres::options transactions;
    transactions.transaction_scope = true;
    return {variant("fencing", fencing), variant("connection_each", own), variant("transactions", transactions)};
#else
    // One stands waiting at most, and one carries everything else.
    postgres::options few;
    few.max_connections = 2;
    few.retry_every = std::chrono::milliseconds(10);
    return {variant("multiplexed", {}), variant("two_connections", few)};
#endif
}

}  // namespace holdfast::contract
