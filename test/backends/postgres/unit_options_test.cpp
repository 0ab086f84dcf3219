// Options and names of the postgres backend; no server.
#include <backends/postgres/errors.hpp>
#include <backends/postgres/options.hpp>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

postgres::options parsed(std::string_view text) {
    return postgres::options_from(url::parse(text));
}

testing::AssertionResult is_refused(std::string_view text, std::string_view because) {
    try {
        postgres::check(parsed(text));
    } catch (const error& thrown) {
        if (thrown.boost_code() != errc::invalid_options) return testing::AssertionFailure() << thrown.what();
        const std::string said = thrown.what();
        if (said.find("hunter2") != std::string::npos) return testing::AssertionFailure() << "it tells the password";
        if (said.find(because) != std::string::npos) return testing::AssertionSuccess();
        return testing::AssertionFailure() << said;
    }
    return testing::AssertionFailure() << "it was accepted";
}

TEST(postgres_options, a_url_becomes_what_libpq_takes) {
    const auto made = parsed(
        "postgres://me:hunter2@a:5433,[::1],b:1/app?sslmode=require&strict&max_connections=7&retry_every=20ms"
        "&connect_timeout=3&pooler=session&lost_after=2s&fencing_sequence=locks.tokens");
    EXPECT_EQ(made.connection,
              "host='a,::1,b' port='5433,,1' user='me' password='hunter2' dbname='app' sslmode='require'");
    EXPECT_TRUE(made.strict_names);
    EXPECT_EQ(made.max_connections, 7);
    EXPECT_EQ(made.retry_every, 20ms);
    EXPECT_EQ(made.connect_timeout, 3s);
    EXPECT_EQ(made.lost_after, 2s);
    EXPECT_EQ(made.pooler, postgres::pooler::session);
    EXPECT_EQ(made.fencing_sequence, "locks.tokens");
    EXPECT_NO_THROW(postgres::check(made));
}

TEST(postgres_options, libpq_s_own_limit_of_connecting_counts_for_each_host) {
    const auto whole = [](const char* text) { return postgres::limit_of_connecting(parsed(text)).whole; };
    EXPECT_EQ(whole("postgres://a/d"), 4s);
    EXPECT_EQ(whole("postgres://a,b/d"), 4s);
    EXPECT_EQ(whole("postgres://a,b/d?connect_timeout=6"), 6s);
    EXPECT_EQ(postgres::limit_of_connecting(parsed("postgres://a,b,c/d")).hosts, 3);
    postgres::options opts;
    opts.connection = "host=a,b connect_timeout=7";
    EXPECT_EQ(postgres::limit_of_connecting(opts).whole, 14s);
    opts.connection = "postgres://a/d?connect_timeout=1";
    EXPECT_EQ(postgres::limit_of_connecting(opts).whole, 2s);
    opts.connection = "connect_timeout=0";
    EXPECT_EQ(postgres::limit_of_connecting(opts).whole, 4s);
    opts.connect_timeout = 500ms;
    EXPECT_EQ(postgres::limit_of_connecting(opts).whole, 500ms);
}

// Behaviours 81 and 82.
TEST(postgres_options, locks_share_connections_unless_each_is_a_transaction) {
    EXPECT_TRUE(postgres::multiplexes(parsed("postgres://h/d")));
    EXPECT_FALSE(postgres::multiplexes(parsed("postgres://h/d?transaction_scope&pooler=transaction")));
    EXPECT_FALSE(postgres::multiplexes(parsed("postgres://h/d?multiplexing=false")));
    EXPECT_NO_THROW(postgres::check(parsed("postgres://h/d?transaction_scope&pooler=transaction")));
    EXPECT_NO_THROW(postgres::check(parsed("postgres://h/d?transaction_scope&multiplexing=false")));
    EXPECT_EQ(parsed("postgres://h/d").keepalive, 0ms);
}

TEST(postgres_options, values_are_quoted_for_libpq) {
    EXPECT_EQ(parsed("postgres://o%27b:a%5C%20b@h/").connection, "host='h' user='o\\'b' password='a\\\\ b'");
    EXPECT_EQ(parsed("postgres:").connection, "");
    EXPECT_EQ(parsed("postgres://%2Fvar%2Frun%2Fpg/db").connection, "host='/var/run/pg' dbname='db'");
}

TEST(postgres_options, what_cannot_be_is_refused_without_telling_the_password) {
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?nonsense=1", "nonsense"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?max_connections=many", "max_connections"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?max_connections=0", "max_connections"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?max_waiting_connections=-1", "max_waiting_connections"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?retry_every=0s", "retry_every"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?max_server_wait=-1s", "max_server_wait"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?lost_after=10ms", "lost_after"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?connect_timeout=0", "connect_timeout"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?keepalive=-1m", "keepalive"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?keepalive=10", "such as"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?pooler=transaction", "transaction mode"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?pooler=statement", "pooler"));
    // Behaviour 81.
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?transaction_scope&multiplexing", "multiplexing"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?transaction_scope&fencing_sequence=s", "fencing_sequence"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@h/d?fencing_sequence=", "fencing_sequence"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2@[::1/d", "]"));
    // Passwords that end in the wrong place.
    EXPECT_TRUE(is_refused("postgres://u:hunter2", "port"));
    EXPECT_TRUE(is_refused("postgres://u:hunter2/x@h/d", "%2F"));
    EXPECT_TRUE(is_refused("postgres://u:x@hunter2/x@h/d", "%2F"));
    EXPECT_TRUE(is_refused("postgres://u:x?hunter2@h/d", "%3F"));
    for (const char* connection : {"host=h password=hunter2 nonsense=1", "postgresql://u:hunter2/x@h/d",
                                   "postgresql://u:1/hunter2@h/d", "host=h port=hunter2"}) {
        postgres::options opts;
        opts.connection = connection;
        try {
            postgres::check(opts);
            ADD_FAILURE() << connection << " was accepted";
        } catch (const error& thrown) {
            EXPECT_EQ(std::string(thrown.what()).find("hunter2"), std::string::npos);
        }
    }
}

std::string mapped(std::string_view name, bool strict = false) {
    postgres::options opts;
    opts.strict_names = strict;
    return std::string(postgres::make_provider(opts).make_lock(name).mapped_name());
}

// Behaviour 83.
TEST(postgres_names, the_two_key_spaces_are_apart) {
    EXPECT_EQ(postgres::key_name(std::int64_t{0}), "0000000000000000");
    EXPECT_EQ(postgres::key_name(0, 0), "00000000,00000000");
    EXPECT_NE(mapped(""), mapped(std::string_view("\0", 1)));
    EXPECT_EQ(mapped(std::string_view("\0\0\0\0\0\0\0\0\0", 9)), postgres::key_name(0, 0));
}

// Behaviours 84 and 85; that packed names are distinct is a test of the names.
TEST(postgres_names, every_form_of_a_key_is_one_lock) {
    EXPECT_EQ(mapped("abc"), postgres::key_name(-1014293505, -1));
    EXPECT_EQ(mapped(mapped("abc")), mapped("abc"));
    EXPECT_EQ(postgres::key_name(3, -1), "00000003,ffffffff");
    EXPECT_EQ(mapped("00000003,FFFFFFFF"), postgres::key_name(3, -1));
    EXPECT_EQ(mapped("DEADBEEFDEADBEEF"), postgres::key_name(static_cast<std::int64_t>(0xDEADBEEFDEADBEEF)));
    const std::string longer = "a name that is hashed";
    EXPECT_EQ(mapped(mapped(longer)), mapped(longer));
}

// Behaviour 86.
TEST(postgres_names, hashing_can_be_refused) {
    EXPECT_THROW(mapped("a name that is hashed", true), error);
    EXPECT_THROW(mapped("\xc3\xa4", true), error);
    EXPECT_EQ(mapped("abc", true), mapped("abc"));
    EXPECT_EQ(mapped("orders/2026"), mapped("orders/2026"));
}

TEST(postgres_errors, sqlstates_have_their_codes) {
    EXPECT_EQ(postgres::code_of("55P03"), errc::timed_out);
    EXPECT_EQ(postgres::code_of("40P01"), errc::deadlock);
    EXPECT_EQ(postgres::code_of("28P01"), errc::permission);
    EXPECT_EQ(postgres::code_of("42501"), errc::permission);
    EXPECT_EQ(postgres::code_of("3D000"), errc::invalid_options);
    EXPECT_EQ(postgres::code_of("53300"), errc::unavailable);
    EXPECT_EQ(postgres::code_of("57P01"), errc::unavailable);
    EXPECT_EQ(postgres::code_of(""), errc::unavailable);
    EXPECT_EQ(postgres::code_of("42601"), errc::protocol);
}

}  // namespace
}  // namespace holdfast
