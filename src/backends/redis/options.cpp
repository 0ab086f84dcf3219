#include <backends/redis/options.hpp>
#include <backends/redis/slots.hpp>
#include <names/text.hpp>

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

using std::chrono::milliseconds;

constexpr int most_replicas = 1000;

/// @p text as a number from @p least to @p most; @p what names it.
template <class Number>
Number number(std::string_view text, const std::string& what, Number least, Number most) {
    Number value{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || value < least || value > most) {
        refuse(what + " is a number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`
server_address server_from(std::string_view text, std::uint16_t usual_port) {
    server_address made;
    made.port = usual_port;
    std::string_view port;
    if (!text.empty() && text.front() == '[') {
        const auto end = text.find(']');
        if (end == std::string_view::npos) refuse("a ']' is missing after an IPv6 address");
        made.host = text.substr(1, end - 1);
        port = text.substr(end + 1);
        if (!port.empty() && port.front() != ':') refuse("between ']' and the port stands a ':'");
        if (!port.empty()) port.remove_prefix(1);
    } else {
        const auto colon = text.find(':');
        made.host = text.substr(0, colon);
        if (colon != std::string_view::npos) port = text.substr(colon + 1);
        if (port.find(':') != std::string_view::npos) refuse("an IPv6 address stands in brackets, as in [::1]:6379");
    }
    if (made.host.empty()) refuse("the host is missing: write redis://127.0.0.1:6379");
    if (!port.empty()) made.port = number<std::uint16_t>(port, "the port", 1, 65535);
    return made;
}

void check_server(const server_address& one) {
    if (!one.socket_path.empty()) {
        if (one.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
            refuse("the socket's path is too long; it has at most " +
                   std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
        }
        if (one.socket_path.find('\0') != std::string::npos) refuse("the socket's path holds a NUL");
        return;
    }
    if (one.host.empty()) refuse("a server has no host");
    if (one.host.find('\0') != std::string::npos) refuse("a host's name holds a NUL");
    if (one.host.size() > 255) refuse("a host's name is longer than 255 bytes");
    if (one.port == 0) refuse("the port is a number from 1 to 65535");
}

void check_cluster(const options& opts) {
    if (!opts.sentinel_master.empty()) refuse("a cluster has no sentinels");
    if (opts.database != 0) refuse("a cluster has database 0 only");
    if (!opts.servers.front().socket_path.empty()) refuse("nodes of a cluster are hosts, not unix sockets");
    // It would become the hash tag of some names, or of none.
    if (opts.key_prefix.find('{') != std::string::npos && !has_hash_tag(opts.key_prefix)) {
        refuse("in a cluster a '{' in the prefix must begin a hash tag, as in {shop}:");
    }
}

std::string place_of(const server_address& one) {
    if (!one.socket_path.empty()) return one.socket_path;
    std::string host = one.host;
    std::transform(host.begin(), host.end(), host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return host + " port " + std::to_string(one.port);
}

}  // namespace

void refuse(const std::string& message) {
    throw error(errc::invalid_options, "redis: " + message);
}

options checked(const options& opts) {
    options made = opts;
    if (made.servers.empty()) refuse("there must be a server");
    std::set<std::string> places;
    for (const server_address& each : made.servers) {
        check_server(each);
        // Two votes for one server would make a majority of a minority.
        if (!places.insert(place_of(each)).second) refuse("a server is listed twice: " + place_of(each));
    }
    const bool several = made.servers.size() > 1 && made.sentinel_master.empty() && !made.cluster;
    if (made.cluster) check_cluster(made);
    if (made.sentinel_master.find('\0') != std::string::npos) refuse("the master's name holds a NUL");
    if (made.sentinel_master.empty() && (made.sentinel_user || made.sentinel_password)) {
        refuse("a password for sentinels needs 'sentinel_master'");
    }
    if (made.sentinel_user && !made.sentinel_user->empty() && !made.sentinel_password) {
        refuse("a user for sentinels needs a password");
    }
    if (made.fencing && several) {
        refuse("'fencing' is for one server: several have no counter in common");
    }
    if (made.user && !made.user->empty() && !made.password) refuse("a user needs a password");
    const auto has_path = [](const server_address& each) { return !each.socket_path.empty(); };
    if (made.tls && std::any_of(made.servers.begin(), made.servers.end(), has_path)) {
        refuse("TLS is for hosts, not for unix sockets");
    }
    if (made.database < 0) refuse("the database's number is not negative");
    if (names::find_invalid_utf8(made.key_prefix) != std::string_view::npos) refuse("the prefix is not valid UTF-8");
    if (made.expiry < milliseconds(100)) refuse("'expiry' is at least 100ms");
    for (const auto& [time, name] : {std::pair{made.expiry, "expiry"},
                                     {made.max_busy_wait, "max_busy_wait"},
                                     {made.connect_timeout, "connect_timeout"}}) {
        if (time.count() > std::numeric_limits<int>::max()) {
            refuse("'" + std::string(name) + "' is at most 2147483647ms");
        }
    }
    if (made.min_validity == milliseconds(0)) made.min_validity = std::max(made.expiry * 9 / 10, milliseconds(1));
    if (made.min_validity < milliseconds(0)) refuse("'min_validity' is more than zero");
    if (made.min_validity >= made.expiry) refuse("'min_validity' must be less than 'expiry'");
    if (made.extension_cadence == milliseconds(0)) {
        made.extension_cadence = std::max(made.min_validity / 3, milliseconds(1));
    }
    if (made.extension_cadence < milliseconds(0)) refuse("'extension_cadence' is more than zero");
    if (made.extension_cadence >= made.min_validity) refuse("'extension_cadence' must be less than 'min_validity'");
    // As long again as the margin: whoever renews when the lock is over has lost it.
    const milliseconds margin = lease_margin(made.expiry);
    if (made.extension_cadence > made.expiry - 2 * margin) {
        const auto written = [](milliseconds time) { return std::to_string(time.count()) + "ms"; };
        refuse("'extension_cadence' leaves no time for a renewal: with an 'expiry' of " + written(made.expiry) +
               " a lock ends after " + written(made.expiry - margin) + ", so it is at most " +
               written(made.expiry - 2 * margin));
    }
    if (made.min_busy_wait < milliseconds(0)) refuse("'min_busy_wait' is not negative");
    if (made.max_busy_wait < made.min_busy_wait) refuse("'max_busy_wait' is not less than 'min_busy_wait'");
    if (made.max_busy_wait <= milliseconds(0)) refuse("'max_busy_wait' is more than zero");
    if (made.min_replicas < 0 || made.min_replicas > most_replicas) {
        refuse("'min_replicas' is a number from 0 to " + std::to_string(most_replicas));
    }
    if (made.min_replicas > 0 && several) {
        refuse("'min_replicas' is for one server: several of a majority have no replicas");
    }
    const milliseconds spare = made.expiry - made.min_validity;
    if (made.replica_timeout == milliseconds(0)) made.replica_timeout = std::max(spare / 3, milliseconds(1));
    if (made.replica_timeout < milliseconds(0)) refuse("'replica_timeout' is more than zero");
    if (made.replica_timeout > spare) refuse("'replica_timeout' is at most 'expiry' less 'min_validity'");
    if (made.connect_timeout <= milliseconds(0)) refuse("'connect_timeout' is more than zero");
    return made;
}

options options_from(const url& address) {
    options made;
    option_reader reader(address);
    if (address.user() && !address.user()->empty()) made.user = address.user();
    made.password = address.password();
    const auto database = reader.text("database");
    std::string database_text = database.value_or("0");
    const bool by_tls = address.scheme().starts_with("rediss");
    const bool by_sentinels = address.scheme().ends_with("+sentinel");
    made.cluster = address.scheme().ends_with("+cluster");
    if (address.scheme() == "redis" || by_tls || by_sentinels || made.cluster) {
        made.servers.clear();
        for (std::string_view left = address.authority();;) {
            const auto comma = left.find(',');
            made.servers.push_back(server_from(left.substr(0, comma), by_sentinels ? 26379 : 6379));
            if (comma == std::string_view::npos) break;
            left.remove_prefix(comma + 1);
        }
        const std::string_view path = address.path();
        if (path.size() > 1) {
            if (database) refuse("the database stands in the path or in 'database', not in both");
            database_text = path.substr(1);
        }
    } else {
        if (!address.authority().empty()) refuse("a socket has no host: write unix:///run/redis.sock");
        if (address.path().empty() || address.path().front() != '/') {
            refuse("the socket's path must be absolute, as in unix:///run/redis.sock");
        }
        made.servers.front().socket_path = address.path();
    }
    made.database = number<int>(database_text, "the database", 0, std::numeric_limits<int>::max());
    if (by_sentinels) {
        made.sentinel_master = reader.text("master").value_or("mymaster");
        if (made.sentinel_master.empty()) refuse("'master' is the name that sentinels know it by");
        made.sentinel_user = reader.text("sentinel_user");
        made.sentinel_password = reader.text("sentinel_password");
    }
    if (by_tls) {
        tls_options& tls = made.tls.emplace();
        tls.ca_file = reader.text("ca_file").value_or("");
        tls.cert_file = reader.text("cert_file").value_or("");
        tls.key_file = reader.text("key_file").value_or("");
        tls.server_name = reader.text("server_name").value_or("");
    }
    made.key_prefix = reader.text("prefix").value_or("");
    const auto read_time = [&reader](const char* name, milliseconds& into) { into = reader.time(name).value_or(into); };
    read_time("expiry", made.expiry);
    read_time("min_validity", made.min_validity);
    read_time("extension_cadence", made.extension_cadence);
    read_time("min_busy_wait", made.min_busy_wait);
    read_time("max_busy_wait", made.max_busy_wait);
    read_time("connect_timeout", made.connect_timeout);
    made.min_replicas = reader.number("min_replicas", 0, most_replicas).value_or(0);
    read_time("replica_timeout", made.replica_timeout);
    made.fencing = reader.boolean("fencing").value_or(false);
    reader.finish();
    return made;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
