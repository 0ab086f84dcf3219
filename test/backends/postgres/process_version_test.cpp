// Servers of versions that are not here, as far as one can tell what they would be asked.
#include "postgres_fixture.hpp"

#include <backends/postgres/statements.hpp>
#include <support/loopback.hpp>

#include <libpq-fe.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

/// Lets everybody in, says which version it is, and hears the first questions; then it hangs up.
class server_of_version {
public:
    explicit server_of_version(const std::string& version) : listener_(test::listen_on_loopback(16)) {
        const auto parameter = [](const std::string& name, const std::string& value) {
            return message('S', name + '\0' + value + '\0');
        };
        const std::string number("\0\0\0\7", 4);
        greeting_ = message('R', std::string(4, '\0')) + parameter("server_version", version) +
                    parameter("server_encoding", "UTF8") + parameter("client_encoding", "UTF8") +
                    message('K', number + number) + message('Z', "I");
        thread_ = std::thread([this] { serve(); });
    }
    server_of_version(const server_of_version&) = delete;
    server_of_version& operator=(const server_of_version&) = delete;
    ~server_of_version() {
        ::shutdown(listener_.descriptor, SHUT_RDWR);
        thread_.join();
        ::close(listener_.descriptor);
    }

    std::string url() const {
        return "postgres://u:hunter2@127.0.0.1:" + std::to_string(listener_.port) + "/d?sslmode=disable";
    }
    std::string heard() const {
        const std::lock_guard guard(mutex_);
        return heard_;
    }

private:
    static std::string message(char kind, const std::string& body) {
        std::string made(1, kind);
        const std::size_t size = body.size() + 4;
        for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(size >> shift & 0xFF);
        return made + body;
    }

    void serve() {
        for (int one = 0; (one = ::accept(listener_.descriptor, nullptr, nullptr)) >= 0; ::close(one)) {
            std::string all;
            char some[4096];
            // The first words ask to be let in; what comes next ends with a sync.
            const std::string sync = message('S', "");
            for (ssize_t count = 0; !all.ends_with(sync) && (count = ::recv(one, some, sizeof some, 0)) > 0;) {
                if (all.empty()) (void)!::send(one, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
                all.append(some, static_cast<std::size_t>(count));
            }
            const std::lock_guard guard(mutex_);
            heard_ = all;
        }
    }

    const test::loopback_listener listener_;
    std::string greeting_;
    mutable std::mutex mutex_;
    std::string heard_;
    std::thread thread_;
};

class postgres_version : public postgres_test {};

TEST_F(postgres_version, older_than_10_is_refused_and_told) {
    for (const char* version : {"9.6.24", "9.2", "8.4.22"}) {
        const server_of_version old(version);
        const refusal how = refused(old.url());
        EXPECT_EQ(make_error_code(how.code), make_error_code(errc::unsupported)) << how.text;
        EXPECT_NE(how.text.find("PostgreSQL 10"), std::string::npos) << how.text;
        EXPECT_EQ(how.text.find("hunter2"), std::string::npos) << how.text;
        // Nothing was asked.
        EXPECT_EQ(old.heard().find("SELECT"), std::string::npos);
    }
}

TEST_F(postgres_version, decides_which_timeouts_a_session_is_freed_from) {
    struct setting {
        const char* name;
        int since;
    };
    for (const auto& [version, number] : {std::pair{"10.23", 10},
                                          {"11.22", 11},
                                          {"12.18", 12},
                                          {"13.14", 13},
                                          {"14.11", 14},
                                          {"17.2", 17},
                                          {"18.0", 18}}) {
        const server_of_version asked(version);
        EXPECT_EQ(make_error_code(refused(asked.url()).code), make_error_code(errc::unavailable));
        ASSERT_TRUE(test::eventually([&] { return asked.heard().find("SELECT") != std::string::npos; }));
        for (const setting& each : {setting{"statement_timeout", 10},
                                    {"lock_timeout", 10},
                                    {"idle_in_transaction_session_timeout", 10},
                                    {"idle_session_timeout", 14},
                                    {"transaction_timeout", 17}}) {
            const std::string set = "set_config('" + std::string(each.name) + "', '0', false)";
            EXPECT_EQ(asked.heard().find(set) != std::string::npos, number >= each.since) << version << ' ' << set;
        }
    }
}

// The server here knows no transaction_timeout; a setting of its own stands for it.
TEST_F(postgres_version, of_17_has_its_transactions_freed_from_their_timeout) {
    std::string text = postgres::statement_at(postgres::settle_transaction).text;
    const auto replace = [&text](std::string_view what, const std::string& with) {
        const auto at = text.find(what);
        ASSERT_NE(at, std::string::npos) << what;
        text.replace(at, what.size(), with);
    };
    replace(">= 170000", ">= 100000");
    replace("'transaction_timeout'", "'holdfast.transaction_timeout'");
    const std::unique_ptr<PGconn, decltype(&::PQfinish)> own(::PQconnectdb(server().connection().c_str()), &::PQfinish);
    const auto says = [&](const char* sql) {
        const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(::PQexec(own.get(), sql), &::PQclear);
        return std::string(::PQntuples(answer.get()) > 0 ? ::PQgetvalue(answer.get(), 0, 0) : "");
    };
    says("SET holdfast.transaction_timeout = '300ms'");
    says("BEGIN");
    const char* const values[] = {"0", "15000"};
    const std::unique_ptr<PGresult, decltype(&::PQclear)> answer(
        ::PQexecParams(own.get(), text.c_str(), 2, postgres::statement_at(postgres::settle_transaction).types.data(),
                       values, nullptr, nullptr, 0),
        &::PQclear);
    ASSERT_EQ(::PQresultStatus(answer.get()), PGRES_TUPLES_OK) << ::PQerrorMessage(own.get());
    EXPECT_EQ(says("SHOW holdfast.transaction_timeout"), "0");
    says("ROLLBACK");
    EXPECT_EQ(says("SHOW holdfast.transaction_timeout"), "300ms");
}

}  // namespace
}  // namespace holdfast
