// Providers on a PostgreSQL of the tests' own, with a view of what they do to it.
#ifndef HOLDFAST_TEST_BACKENDS_POSTGRES_POSTGRES_FIXTURE_HPP
#define HOLDFAST_TEST_BACKENDS_POSTGRES_POSTGRES_FIXTURE_HPP

#include <backends/postgres/backend.hpp>
#include <core/provider_state.hpp>
#include <support/postgres_server.hpp>

#include <holdfast/open.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

namespace holdfast {

/// A provider whose connections can be counted.
class counted_provider {
public:
    counted_provider(const test::postgres_server& server, postgres::options opts,
                     const provider_settings& settings = {})
        : locks(core::provider_state::make(made(server, opts), settings)) {}

    core::multiplexer::counts count() const {
        return static_cast<const postgres::postgres_backend&>(locks.state()->backend()).count();
    }

    const provider locks;

private:
    static std::shared_ptr<postgres::postgres_backend> made(const test::postgres_server& server,
                                                            postgres::options& opts) {
        // What the test has set itself comes last, and counts.
        opts.connection = server.connection() + " " + opts.connection;
        return std::make_shared<postgres::postgres_backend>(opts);
    }
};

/// How acquiring from @p url ends, which is expected to fail.
struct refusal {
    errc code;
    std::string text;
};

inline refusal refused(const std::string& url) {
    registry schemes;
    postgres::add_to(schemes);
    try {
        schemes.open(url).make_lock("refused").acquire(std::chrono::seconds(5));
    } catch (const error& thrown) {
        return {static_cast<errc>(thrown.boost_code().value()), std::string(thrown.what()) + thrown.diag().message};
    }
    return {errc::invalid_state, "it was granted"};
}

/// Whatever a test does, it leaves no lock and no waiter in the server.
class postgres_test : public testing::Test {
protected:
    /// Started here, and not in a test's child.
    void SetUp() override { EXPECT_NE(server().port(), 0); }
    ~postgres_test() override {
        EXPECT_TRUE(test::eventually([this] { return in_server("") == 0; })) << "a lock or a waiter was left behind";
    }

    virtual const test::postgres_server& server() const { return test::postgres_server::shared(); }
    /// Advisory locks, of which @p condition (such as " AND granted") is true.
    int in_server(const std::string& condition) const {
        return server().count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" + condition);
    }
    int connections() const {
        return server().count("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'holdfast/%'");
    }
    counted_provider make(const postgres::options& opts = {}) const { return {server(), opts}; }
};

}  // namespace holdfast

#endif
