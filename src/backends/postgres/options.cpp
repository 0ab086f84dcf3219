#include <backends/postgres/options.hpp>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

using std::chrono::milliseconds;

constexpr int most_connections = 10000;

[[noreturn]] void refuse(const std::string& message) {
    throw error(errc::invalid_options, "postgres: " + message);
}

/// A parameter in libpq's keyword=value form.
void append(std::string& to, std::string_view keyword, std::string_view value) {
    if (!to.empty()) to += ' ';
    to.append(keyword).append("='");
    for (const char c : value) {
        if (c == '\'' || c == '\\') to += '\\';
        to += c;
    }
    to += '\'';
}

/// `a:1,[::1]:2,c` as the lists that libpq takes: hosts, and ports that may be empty.
void split_hosts(const std::string& authority, std::string& hosts, std::string& ports) {
    std::string_view rest = authority;
    for (bool first = true; first || !rest.empty(); first = false) {
        const auto comma = rest.find(',');
        std::string_view one = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
        std::string_view host = one;
        std::string_view port;
        if (one.starts_with('[')) {
            const auto end = one.find(']');
            if (end == std::string_view::npos) refuse("a host that begins with '[' needs a ']'");
            host = one.substr(1, end - 1);
            one.remove_prefix(end + 1);
            if (!one.empty() && one.front() != ':') refuse("after a host's ']' there is nothing but a port");
            if (!one.empty()) port = one.substr(1);
        } else if (const auto colon = one.rfind(':'); colon != std::string_view::npos) {
            host = one.substr(0, colon);
            port = one.substr(colon + 1);
        }
        if (!first) {
            hosts += ',';
            ports += ',';
        }
        hosts += host;
        ports += port;
    }
}

/// libpq quotes what is no number when it connects; it may be a password that ended in the wrong place.
void check_ports(std::string_view ports) {
    if (ports.find_first_not_of("0123456789, ") != std::string_view::npos) {
        refuse("a port is a number; write %40 for an '@' in a password, %2F for a '/'");
    }
}

}  // namespace

void check(const options& opts) {
    constexpr milliseconds longest = std::chrono::hours(24 * 24);
    if (opts.connection.find('\0') != std::string::npos) refuse("the connection string holds a NUL");
    char* message = nullptr;
    const conninfo parsed(::PQconninfoParse(opts.connection.c_str(), &message));
    if (parsed == nullptr) {
        // libpq quotes what it could not read, and that may be a password.
        ::PQfreemem(message);
        refuse("libpq cannot read the connection string; write host=... user=... dbname=..., or a URI");
    }
    const bool is_uri = opts.connection.starts_with("postgres://") || opts.connection.starts_with("postgresql://");
    for (const PQconninfoOption* each = parsed.get(); each->keyword != nullptr; ++each) {
        const std::string_view value = each->val == nullptr ? "" : each->val;
        if (std::string_view(each->keyword) == "port") check_ports(value);
        if (is_uri && std::string_view(each->keyword) == "dbname" && value.find('@') != std::string_view::npos &&
            opts.connection.find("%40") == std::string::npos) {
            refuse("there is a '/' before the connection string's '@'; write %2F for one in a password");
        }
    }
    if (opts.max_connections < 1 || opts.max_connections > most_connections) {
        refuse("max_connections is 1 to 10000");
    }
    if (opts.max_waiting_connections < 0) refuse("max_waiting_connections is not negative");
    if (opts.retry_every < milliseconds(1) || opts.retry_every > longest) refuse("retry_every is at least 1 ms");
    if (opts.max_server_wait < milliseconds(0) || opts.max_server_wait > longest) {
        refuse("max_server_wait is zero, for no limit, or up to 24 days");
    }
    if (opts.connect_timeout && (*opts.connect_timeout <= milliseconds(0) || *opts.connect_timeout > longest)) {
        refuse("connect_timeout is more than zero, and up to 24 days");
    }
    if (opts.lost_after < std::chrono::seconds(1) || opts.lost_after > longest) refuse("lost_after is at least 1 s");
    if (opts.keepalive < milliseconds(0) || opts.keepalive > longest) {
        refuse("keepalive is zero, for never, or up to 24 days");
    }
    if (opts.fencing_sequence.find('\0') != std::string::npos) refuse("fencing_sequence holds a NUL");
    if (opts.pooler != pooler::none && opts.pooler != pooler::session && opts.pooler != pooler::transaction) {
        refuse("no such pooler");
    }
    if (opts.pooler == pooler::transaction && !opts.transaction_scope) {
        refuse(
            "a pooler in transaction mode keeps no locks of sessions; add transaction_scope, put it in session mode, "
            "or "
            "go past it");
    }
    if (opts.transaction_scope && opts.multiplexing.value_or(false)) {
        refuse("with transaction_scope each lock needs a connection of its own; leave multiplexing out");
    }
    if (opts.transaction_scope && !opts.fencing_sequence.empty()) {
        // A number is safe from a crash only once the transaction that drew it has ended.
        refuse("fencing_sequence does not go with transaction_scope");
    }
}

connect_target target_of_connecting(const options& opts) {
    connect_target found;
    const auto look = [&found](const conninfo& all, bool is_string) {
        for (const PQconninfoOption* each = all.get(); each != nullptr && each->keyword != nullptr; ++each) {
            if (each->val == nullptr) continue;
            const std::string_view keyword = each->keyword;
            if (keyword == "host") found.hosts = each->val;
            if (keyword == "hostaddr") found.addresses = each->val;
            if (keyword == "port") found.ports = each->val;
            if (keyword == "connect_timeout") found.seconds = std::strtoll(each->val, nullptr, 10);
            if (is_string && keyword == "service") found.from_service = true;
        }
    };
    look(conninfo(::PQconndefaults()), false);
    look(conninfo(::PQconninfoParse(opts.connection.c_str(), nullptr)), true);
    return found;
}

connect_limit limit_of_connecting(const options& opts, const connect_target& target) {
    constexpr milliseconds unless_said{4000};
    constexpr std::int64_t most_seconds = 1'000'000;
    const std::int64_t seconds = target.seconds;
    const std::string& listed = target.addresses.empty() ? target.hosts : target.addresses;
    const int count = 1 + static_cast<int>(std::count(listed.begin(), listed.end(), ','));
    if (opts.connect_timeout) return {*opts.connect_timeout, count};
    // One second is two to libpq, and none is no limit, which we do not go without.
    if (seconds <= 0) return {unless_said, count};
    return {std::chrono::seconds(std::clamp<std::int64_t>(seconds, 2, most_seconds)) * count, count};
}

bool multiplexes(const options& opts) {
    return opts.multiplexing.value_or(!opts.transaction_scope);
}

options options_from(const url& address) {
    options made;
    std::string& connection = made.connection;
    if (!address.authority().empty()) {
        std::string hosts;
        std::string ports;
        split_hosts(address.authority(), hosts, ports);
        append(connection, "host", hosts);
        if (ports.find_first_not_of(',') != std::string::npos) append(connection, "port", ports);
    }
    if (address.user()) append(connection, "user", *address.user());
    if (address.password()) append(connection, "password", *address.password());
    if (address.path().size() > 1) append(connection, "dbname", std::string_view(address.path()).substr(1));

    option_reader reader(address);
    made.strict_names = reader.boolean("strict").value_or(made.strict_names);
    made.multiplexing = reader.boolean("multiplexing");
    made.transaction_scope = reader.boolean("transaction_scope").value_or(made.transaction_scope);
    made.max_connections = reader.number("max_connections", 1, most_connections).value_or(made.max_connections);
    made.max_waiting_connections = reader.number("max_waiting_connections", 0, std::numeric_limits<int>::max())
                                       .value_or(made.max_waiting_connections);
    const auto time = [&](const char* name, milliseconds& field) { field = reader.time(name).value_or(field); };
    time("retry_every", made.retry_every);
    time("max_server_wait", made.max_server_wait);
    time("lost_after", made.lost_after);
    time("keepalive", made.keepalive);
    if (const auto value = reader.text("fencing_sequence")) {
        if (value->empty()) refuse("'fencing_sequence' is the name of a sequence");
        made.fencing_sequence = *value;
    }
    // libpq's own parameter of that name is a number of seconds.
    if (const auto limit = reader.time("connect_timeout", std::chrono::seconds(1))) made.connect_timeout = *limit;
    if (const auto value = reader.text("pooler")) {
        if (*value == "session") {
            made.pooler = pooler::session;
        } else if (*value == "transaction") {
            made.pooler = pooler::transaction;
        } else if (*value != "none") {
            refuse("'pooler' is none, session or transaction");
        }
    }
    const conninfo known(::PQconndefaults());
    for (const PQconninfoOption* each = known.get(); each != nullptr && each->keyword != nullptr; ++each) {
        if (std::string_view(each->keyword) == "connect_timeout") continue;
        if (const auto value = reader.text(each->keyword)) append(connection, each->keyword, *value);
    }
    reader.finish();
    return made;
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
