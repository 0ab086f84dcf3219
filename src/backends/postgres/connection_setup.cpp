// How a connection comes about: hosts, the session's settings, and who is at the other end.
#include <backends/postgres/connection.hpp>
#include <backends/postgres/fencing.hpp>
#include <backends/postgres/options.hpp>
#include <backends/postgres/statements.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

constexpr int oldest_version = 100000;

/// When TCP asks whether the other end is there, so that three questions without an answer take as long as wanted.
struct keepalive_times {
    explicit keepalive_times(std::chrono::milliseconds whole) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(whole).count();
        idle = std::to_string(std::max<std::int64_t>(seconds / 2, 1));
        interval = std::to_string(std::max<std::int64_t>(seconds / 6, 1));
    }

    std::string idle;
    std::string interval;
};

std::string program_name() {
    std::ifstream in("/proc/self/comm");
    std::string name;
    std::getline(in, name);
    return name.empty() ? "program" : name;
}

}  // namespace

connection::connection(const options& opts, std::shared_ptr<core::resolver> names)
    : connection(opts, target_of_connecting(opts), std::move(names)) {}

connection::connection(const options& opts, const connect_target& target, std::shared_ptr<core::resolver> names)
    : given_(opts.connection),
      names_(std::move(names)),
      pooler_(opts.pooler),
      lost_after_(opts.lost_after),
      time_to_connect_(limit_of_connecting(opts, target).whole),
      sequence_(opts.fencing_sequence),
      transactions_(opts.transaction_scope),
      prepared_(statement_count, false) {
    if (auto wanted = hosts_to_look_up(target); !wanted.empty()) {
        try {
            lookup_ = std::make_unique<host_lookup>(*names_, std::move(wanted));
            find_hosts();
        } catch (const std::exception& broken) {
            // Connections are made where nothing may be thrown.
            fail(errc::unavailable, broken.what());
        }
        return;
    }
    if (const int hosts = limit_of_connecting(opts, target).hosts; hosts > 1) time_per_host_ = time_to_connect_ / hosts;
    begin({});
}

/// Begins to connect once all names have been looked up.
void connection::find_hosts() {
    located_hosts found;
    if (!lookup_->take(found)) {
        events_ = POLLIN;
        return;
    }
    if (found.count == 0) {
        fail(errc::unavailable, std::move(found.missing));
        return;
    }
    if (found.count > 1) time_per_host_ = time_to_connect_ / found.count;
    begin(found);
}

void connection::begin(const located_hosts& at) {
    const keepalive_times times(lost_after_);
    const std::string user_timeout = std::to_string(lost_after_.count());
    const std::string application = "holdfast/" + program_name() + "/" + std::to_string(::getpid());
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    const auto set = [&](const char* keyword, const char* value) {
        keywords.push_back(keyword);
        values.push_back(value);
    };
    // What comes before the connection string can be set otherwise there. Without GSS encryption, which nearly nobody
    // has, libpq need not look for its tickets, which blocks.
    set("fallback_application_name", application.c_str());
    set("keepalives_idle", times.idle.c_str());
    set("keepalives_interval", times.interval.c_str());
    set("keepalives_count", "3");
    set("tcp_user_timeout", user_timeout.c_str());
    set("gssencmode", "disable");
    if (!given_.empty()) set("dbname", given_.c_str());
    if (at.count > 0) {
        set("host", at.names.c_str());
        set("hostaddr", at.addresses.c_str());
        set("port", at.ports.c_str());
    }
    set(nullptr, nullptr);
    start(keywords.data(), values.data(), true);
}

int connection::descriptor() const noexcept {
    if (connection_ != nullptr) return ::PQsocket(connection_);
    return lookup_ != nullptr ? lookup_->descriptor() : -1;
}

/// @param expand the database's name may be a connection string
void connection::start(const char* const* keywords, const char* const* values, bool expand) {
    with_socket([&] { return connection_ = ::PQconnectStartParams(keywords, values, expand ? 1 : 0); });
    if (connection_ == nullptr) throw std::bad_alloc();
    ::PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);
    ::PQsetNoticeReceiver(
        connection_,
        [](void* self, const PGresult* notice) {
            auto& to = *static_cast<connection*>(self);
            const char* const text = ::PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
            const char* const sqlstate = ::PQresultErrorField(notice, PG_DIAG_SQLSTATE);
            to.said_ = text == nullptr ? "" : text;
            to.said_state_ = sqlstate == nullptr ? "" : sqlstate;
        },
        this);
    if (::PQstatus(connection_) == CONNECTION_BAD) {
        lose();
        return;
    }
    events_ = POLLOUT;
    count_time_of_host();
}

/** Goes on to the hosts after the present one, which has taken the connection and then said nothing.

    libpq itself only passes over hosts that cannot be reached. False: there are no others.
*/
bool connection::start_at_next_host() {
    const conninfo all(::PQconninfo(connection_));
    if (all == nullptr) return false;
    std::map<std::string, std::string> settings;
    for (const PQconninfoOption* each = all.get(); each->keyword != nullptr; ++each) {
        if (each->val != nullptr) settings.emplace(each->keyword, each->val);
    }
    const auto list = [&](const char* name) {
        const auto found = settings.find(name);
        return found == settings.end() ? std::vector<std::string>() : parts_of(found->second);
    };
    const auto hosts = list("host");
    const auto addresses = list("hostaddr");
    const auto ports = list("port");
    const std::size_t count = std::max(hosts.size(), addresses.size());
    const std::string port = ::PQport(connection_);
    std::size_t at = 0;
    const auto is_present = [&](std::size_t number) {
        // One name may stand there several times, with its addresses.
        const bool located = number < addresses.size() && !addresses[number].empty();
        const bool here = located ? addresses[number] == ::PQhostaddr(connection_)
                                  : number < hosts.size() && hosts[number] == ::PQhost(connection_);
        const std::string& its = ports.size() == 1 ? ports.front() : number < ports.size() ? ports[number] : port;
        return here && (its == port || its.empty());
    };
    while (at < count && !is_present(at)) ++at;
    if (at + 1 >= count) return false;
    for (const auto& [name, values] : {std::pair{"host", hosts}, {"hostaddr", addresses}, {"port", ports}}) {
        if (values.size() < count) continue;
        std::string rest;
        for (std::size_t i = at + 1; i < count; ++i) rest += (i == at + 1 ? "" : ",") + values[i];
        settings[name] = rest;
    }
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [name, value] : settings) {
        keywords.push_back(name.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    {
        const core::no_fork_here no_fork;
        socket_.release();
        ::PQfinish(std::exchange(connection_, nullptr));
    }
    start(keywords.data(), values.data(), false);
    return true;
}

/// Begins anew when libpq has gone on to another host.
void connection::count_time_of_host() {
    if (time_per_host_.count() == 0) return;
    std::string now_at;
    for (const char* const part : {::PQhost(connection_), ::PQhostaddr(connection_), ::PQport(connection_)}) {
        now_at.append(part == nullptr ? "" : part) += '|';
    }
    if (now_at == host_) return;
    host_ = std::move(now_at);
    give_up_host_at_ = boottime::now() + time_per_host_;
}

void connection::connect() {
    // libpq goes from a host to the next one when that fails, but has no sense of time here: a host that swallows
    // packets is made to fail.
    if (boottime::now() >= give_up_host_at_) {
        host_.clear();
        if (::PQstatus(connection_) != CONNECTION_STARTED && start_at_next_host()) return;
        ::shutdown(::PQsocket(connection_), SHUT_RDWR);
    }
    // Polling when nothing has happened yet would be an error of ours.
    pollfd polled{::PQsocket(connection_), events_, 0};
    if (::poll(&polled, 1, 0) == 0) return;
    const auto polling = with_socket([this] { return ::PQconnectPoll(connection_); });
    count_time_of_host();
    switch (polling) {
        case PGRES_POLLING_READING: events_ = POLLIN; return;
        case PGRES_POLLING_WRITING: events_ = POLLOUT; return;
        case PGRES_POLLING_OK: set_up(); return;
        case PGRES_POLLING_FAILED:
        case PGRES_POLLING_ACTIVE: lose(); return;
    }
}

void connection::set_up() {
    lookup_.reset();
    time_per_host_ = std::chrono::milliseconds(0);
    give_up_host_at_ = core::never;
    if (::PQserverVersion(connection_) < oldest_version) {
        fail(errc::unsupported, "the server is version " + std::to_string(::PQserverVersion(connection_) / 10000) +
                                    "; PostgreSQL 10 is the oldest that will do");
        return;
    }
    // The role's or the database's own limits are for statements and sessions that do something else than to hold
    // locks. A waiter that dies is noticed within a second, though its server process waits for a lock.
    std::string text = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_backend_pid()";
    // What is set for a pooler's session is set for whoever has it next; that there is one shows in the same trip.
    const std::string ours = pooler_ == pooler::session
                                 ? "true"
                                 : "pg_catalog.pg_backend_pid() = " + std::to_string(::PQbackendPID(connection_));
    const auto set = [&](std::string_view name, const std::string& value, std::string_view condition = "") {
        if (transactions_) return;
        text.append(", CASE WHEN ").append(ours).append(condition).append(" THEN pg_catalog.set_config('");
        text.append(name).append("', '").append(value).append("', false) END");
    };
    for (const char* const each : {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}) {
        set(each, "0");
    }
    // The server's end: without this it keeps the session of a machine that has vanished, and its locks, for two hours.
    const keepalive_times times(lost_after_);
    set("tcp_keepalives_idle", times.idle);
    set("tcp_keepalives_interval", times.interval);
    set("tcp_keepalives_count", "3");
    constexpr int has_tcp_user_timeout = 120000;
    if (::PQserverVersion(connection_) >= has_tcp_user_timeout) {
        set("tcp_user_timeout", std::to_string(lost_after_.count()));
    }
    constexpr int has_idle_session_timeout = 140000;
    if (::PQserverVersion(connection_) >= has_idle_session_timeout) {
        set("idle_session_timeout", "0");
        set("client_connection_check_interval", "1000", " AND pg_catalog.version() LIKE '%linux%'");
    }
    constexpr int has_transaction_timeout = 170000;
    if (::PQserverVersion(connection_) >= has_transaction_timeout) set("transaction_timeout", "0");
    if (!sequence_.empty()) {
        // Without waiting for its log to be written, the server could forget numbers that it has given out.
        set("synchronous_commit", "on", " AND pg_catalog.current_setting('synchronous_commit') = 'off'");
    }
    ::PQsetnonblocking(connection_, 1);
    if (::PQenterPipelineMode(connection_) == 0 ||
        ::PQsendQueryParams(connection_, text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0) {
        lose();
        return;
    }
    sent_.push_back({purpose::setup});
    if (!sequence_.empty()) {
        const char* const name = sequence_.c_str();
        if (::PQsendQueryParams(connection_, sequence_question, 1, nullptr, &name, nullptr, nullptr, 0) == 0) {
            lose();
            return;
        }
        sent_.push_back({purpose::sequence});
    }
    flush();
}

void connection::take_setup(const PGresult& result) {
    session_ = std::strtoll(::PQgetvalue(&result, 0, 1), nullptr, 10);
    if (::PQgetvalue(&result, 0, 0)[0] == 't') {
        fail(errc::unsupported,
             "the server is a standby, whose locks exclude nobody on the primary; connect to the primary, for "
             "instance with target_session_attrs=read-write");
    } else if (session_ != ::PQbackendPID(connection_) && pooler_ == pooler::none) {
        fail(errc::unsupported,
             "there is a connection pooler before the server; if it gives each client a session of its own, say "
             "pooler=session; with a pooler in transaction mode, pooler=transaction and transaction_scope");
    }
}

void connection::take_sequence(const PGresult& result) {
    if (auto fault = fault_in_sequence(result, sequence_)) fail(fault->code, std::move(fault->text));
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
