#include <backends/postgres/connection.hpp>
#include <backends/postgres/fencing.hpp>
#include <backends/postgres/options.hpp>
#include <backends/postgres/statements.hpp>
#include <core/thread.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

using core::session_verb;
using core::verdict;

constexpr int oldest_version = 100000;

std::string name_of(std::size_t statement) {
    return "holdfast_" + std::to_string(statement);
}

template <class Integer>
void append_big_endian(std::string& to, Integer value) {
    for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8) {
        to += static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 0xFF);
    }
}

std::uint64_t big_endian(const char* bytes, int size) noexcept {
    std::uint64_t made = 0;
    for (int i = 0; i < size; ++i) made = made << 8 | static_cast<unsigned char>(bytes[i]);
    return made;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    return text;
}

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

errc code_of(std::string_view sqlstate) noexcept {
    const std::string_view group = sqlstate.substr(0, 2);
    if (sqlstate == "55P03") return errc::timed_out;
    if (sqlstate == "40P01") return errc::deadlock;
    if (sqlstate == "42501" || group == "28") return errc::permission;
    // Among them settings that are none, or have no such value.
    if (group == "3D" || sqlstate == "42P01" || sqlstate == "42602" || sqlstate == "42704" || sqlstate == "22023") {
        return errc::invalid_options;
    }
    if (sqlstate == "25006" || sqlstate == "42883" || sqlstate == "0A000") return errc::unsupported;
    if (group == "53" || group == "57" || group == "08" || group == "58" || sqlstate.empty()) return errc::unavailable;
    return errc::protocol;
}

std::string without_details(std::string_view message, std::string& sqlstate) {
    std::string made;
    while (!message.empty()) {
        const auto end = message.find('\n');
        std::string line(message.substr(0, end));
        message = end == std::string_view::npos ? std::string_view() : message.substr(end + 1);
        if (line.starts_with("LOCATION:")) continue;
        for (const std::string_view severity : {"FATAL:  ", "ERROR:  "}) {
            const auto at = line.find(severity);
            if (at == std::string::npos || line.size() < at + severity.size() + 6) continue;
            sqlstate = line.substr(at + severity.size(), 5);
            line.erase(at + severity.size(), 7);
        }
        made += (made.empty() ? "" : "\n") + line;
    }
    return std::string(trimmed(made));
}

errc code_of_refusal(std::string_view sqlstate, std::string_view text) noexcept {
    // What libpq says, untranslated, of options that it does not understand. It has no number for that.
    constexpr std::string_view mistakes[] = {"invalid ", "definition of service", "service file", "could not match"};
    const bool mistake = sqlstate.empty() && std::any_of(std::begin(mistakes), std::end(mistakes),
                                                         [&](std::string_view each) { return text.starts_with(each); });
    return mistake ? errc::invalid_options : code_of(sqlstate);
}

/// A statement's arguments, in binary form.
struct connection::parameters {
    template <class Integer>
    void add(Integer value) {
        append_big_endian(bytes, value);
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(sizeof value);
    }
    void add(std::string_view text) {
        bytes += text;
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(text.size());
    }
    /// One dimension, no nulls, counted from 1.
    template <class Integer>
    void add_array(const std::vector<Integer>& values, Oid type) {
        const std::size_t before = bytes.size();
        append_big_endian(bytes, std::int32_t{1});
        append_big_endian(bytes, std::int32_t{0});
        append_big_endian(bytes, static_cast<std::int32_t>(type));
        append_big_endian(bytes, static_cast<std::int32_t>(values.size()));
        append_big_endian(bytes, std::int32_t{1});
        for (const Integer each : values) {
            append_big_endian(bytes, static_cast<std::int32_t>(sizeof each));
            append_big_endian(bytes, each);
        }
        sizes.at(static_cast<std::size_t>(count++)) = static_cast<int>(bytes.size() - before);
    }

    std::string bytes;
    std::array<int, 4> sizes{};
    int count = 0;
};

/// Runs @p call, in which libpq may close its socket or open another: no fork sees it in between.
template <class Call>
auto connection::with_socket(Call call) {
    const core::no_fork_here no_fork;
    const auto result = call();
    if (const int now = ::PQsocket(connection_); now != socket_.get()) {
        // The one before is closed already.
        socket_.release();
        if (now >= 0) socket_.reset(now);
    }
    return result;
}

connection::connection(const options& opts)
    : pooler_(opts.pooler),
      lost_after_(opts.lost_after),
      sequence_(opts.fencing_sequence),
      transactions_(opts.transaction_scope),
      prepared_(statement_count, false) {
    const keepalive_times times(lost_after_);
    const std::string user_timeout = std::to_string(lost_after_.count());
    const std::string application = "holdfast/" + program_name() + "/" + std::to_string(::getpid());
    const char* const given = opts.connection.empty() ? nullptr : opts.connection.c_str();
    // What comes before the connection string can be set otherwise there. Without GSS encryption, which nearly nobody
    // has, libpq need not look for its tickets, which blocks.
    const std::array<std::array<const char*, 2>, 8> settings{{{"fallback_application_name", application.c_str()},
                                                              {"keepalives_idle", times.idle.c_str()},
                                                              {"keepalives_interval", times.interval.c_str()},
                                                              {"keepalives_count", "3"},
                                                              {"tcp_user_timeout", user_timeout.c_str()},
                                                              {"gssencmode", "disable"},
                                                              {"dbname", given},
                                                              {nullptr, nullptr}}};
    std::array<const char*, settings.size()> keywords{};
    std::array<const char*, settings.size()> values{};
    for (std::size_t i = 0; i < settings.size(); ++i) {
        keywords.at(i) = settings.at(i)[0];
        values.at(i) = settings.at(i)[1];
    }
    if (const connect_limit limit = limit_of_connecting(opts); limit.hosts > 1) {
        time_per_host_ = limit.whole / limit.hosts;
    }
    start(keywords.data(), values.data(), true);
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
    const auto parts = [](const char* list) {
        std::vector<std::string> made;
        std::string_view rest = list == nullptr ? "" : list;
        while (!rest.empty()) {
            const auto comma = rest.find(',');
            made.emplace_back(rest.substr(0, comma));
            rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
            if (rest.empty() && comma != std::string_view::npos) made.emplace_back();
        }
        return made;
    };
    const std::unique_ptr<PQconninfoOption, decltype(&::PQconninfoFree)> all(::PQconninfo(connection_),
                                                                             &::PQconninfoFree);
    if (all == nullptr) return false;
    std::map<std::string, std::string> settings;
    for (const PQconninfoOption* each = all.get(); each->keyword != nullptr; ++each) {
        if (each->val != nullptr) settings.emplace(each->keyword, each->val);
    }
    const auto list = [&](const char* name) {
        const auto found = settings.find(name);
        return found == settings.end() ? std::vector<std::string>() : parts(found->second.c_str());
    };
    const auto hosts = list("host");
    const auto addresses = list("hostaddr");
    const auto ports = list("port");
    const std::size_t count = std::max(hosts.size(), addresses.size());
    const std::string port = ::PQport(connection_);
    std::size_t at = 0;
    const auto is_present = [&](std::size_t number) {
        const bool name = number < hosts.size() && hosts[number] == ::PQhost(connection_);
        const bool address = number < addresses.size() && addresses[number] == ::PQhostaddr(connection_);
        const std::string& its = ports.size() == 1 ? ports.front() : number < ports.size() ? ports[number] : port;
        return (name || address) && (its == port || its.empty());
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

connection::~connection() {
    if (connection_ == nullptr) return;
    const core::no_fork_here no_fork;
    socket_.release();
    ::PQfinish(connection_);
}

void connection::abandon() noexcept {
    // The fork has closed its socket. PQfinish would send a word of farewell to whatever has its number now.
    connection_ = nullptr;
}

/** The server takes requests to cancel also when it has no room for a connection. libpq blocks until one is answered,
   so a thread of its own waits for that; it has nothing of ours.
*/
void connection::interrupt() noexcept {
    if (connection_ == nullptr || interrupting()) return;
    try {
        const std::shared_ptr<PGcancel> request(::PQgetCancel(connection_), [](PGcancel* made) {
            if (made != nullptr) ::PQfreeCancel(made);
        });
        if (request == nullptr) return;
        interrupting_ = std::make_shared<std::atomic<bool>>(true);
        try {
            core::start_thread("holdfast-cancel", [request, under_way = interrupting_] {
                std::array<char, 256> why{};
                ::PQcancel(request.get(), why.data(), static_cast<int>(why.size()));
                *under_way = false;
            }).detach();
        } catch (...) {
            interrupting_.reset();
        }
    } catch (...) {
        // Without memory or threads it has no effect.
    }
}

void connection::end(core::reply why) noexcept {
    if (state_ == state::ended) return;
    ending_ = std::move(why);
    ending_.result = opened_ ? verdict::link_lost : verdict::failed;
    state_ = state::ended;
    events_ = 0;
    batch_.clear();
    const core::no_fork_here no_fork;
    socket_.release();
    ::PQfinish(connection_);
    connection_ = nullptr;
}

void connection::fail(errc code, std::string text) {
    core::reply why;
    why.code = code;
    why.text = std::move(text);
    end(std::move(why));
}

/// The connection is over, or never came to be; libpq or the server says why.
void connection::lose() {
    std::string sqlstate = error_state_.empty() ? said_state_ : error_state_;
    std::string text = error_text_.empty() ? said_ : error_text_;
    if (text.empty()) text = without_details(::PQerrorMessage(connection_), sqlstate);
    lacked_room_ = !opened_ && sqlstate.starts_with("53");
    const bool no_password = !opened_ && ::PQconnectionNeedsPassword(connection_) == 1;
    const errc code = no_password ? errc::permission : opened_ ? errc::unavailable : code_of_refusal(sqlstate, text);
    if (!sqlstate.empty()) text = sqlstate + ": " + text;
    fail(code == errc::timed_out ? errc::unavailable : code, std::move(text));
}

void connection::advance() {
    if (state_ == state::connecting && !opened_ && sent_.empty()) {
        connect();
    } else if (state_ != state::ended) {
        read();
    }
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

bool connection::send(std::size_t number, const parameters& with, purpose what) {
    const statement& which = statement_at(number);
    const std::string name = name_of(number);
    // A pooler's next session would not know it.
    if (!transactions_ && !prepared_[number]) {
        if (::PQsendPrepare(connection_, name.c_str(), which.text, which.count, which.types.data()) == 0) return false;
        sent_.push_back({purpose::prepare, number});
    }
    std::array<const char*, 4> values{};
    std::array<int, 4> formats{};
    const char* at = with.bytes.data();
    for (int i = 0; i < with.count; ++i) {
        const auto each = static_cast<std::size_t>(i);
        values.at(each) = at;
        formats.at(each) = 1;
        at += with.sizes.at(each);
    }
    const int sent = transactions_ ? ::PQsendQueryParams(connection_, which.text, which.count, which.types.data(),
                                                         values.data(), with.sizes.data(), formats.data(), 1)
                                   : ::PQsendQueryPrepared(connection_, name.c_str(), with.count, values.data(),
                                                           with.sizes.data(), formats.data(), 1);
    if (sent == 0) return false;
    sent_.push_back({what, number});
    return true;
}

void connection::submit(const batch& requests) {
    batch_ = requests;
    failed_ = failed_before_answer_ = false;
    granted_ = false;
    drawing_.clear();
    if (transactions_) {
        submit_transaction();
        return;
    }
    const bool fencing = !sequence_.empty();
    const core::session_request& first = *batch_.front();
    parameters with;
    std::size_t number = ping;
    bool sent = true;
    const auto add_key = [&with](const core::claim& who) {
        const key which = key_of(who);
        if (which.pair) {
            with.add(which.high());
            with.add(which.low());
        } else {
            with.add(static_cast<std::int64_t>(which.bits));
        }
    };
    switch (first.what) {
        case session_verb::try_acquire:
        case session_verb::release:
            if (batch_.size() == 1) {
                const bool drawing = fencing && first.what == session_verb::try_acquire;
                number = variant(first.what == session_verb::release ? unlock
                                 : drawing                           ? try_lock_with_token
                                                                     : try_lock,
                                 first.who);
                add_key(first.who);
                if (drawing) with.add(std::string_view(sequence_));
            } else {
                number = fencing ? batch_with_tokens : batch_statement;
                std::vector<std::int16_t> ops;
                std::vector<std::int64_t> keys;
                for (const auto& each : batch_) {
                    const std::size_t kind = each->what == session_verb::release ? unlock : try_lock;
                    ops.push_back(static_cast<std::int16_t>(variant(kind, each->who)));
                    keys.push_back(static_cast<std::int64_t>(key_of(each->who).bits));
                }
                with.add_array(ops, oid_int2);
                with.add_array(keys, oid_int8);
                if (fencing) with.add(std::string_view(sequence_));
            }
            break;
        case session_verb::wait:
            if (first.limit.count() >= 0) {
                parameters limited;
                limited.add(std::string_view(std::to_string(first.limit.count())));
                sent = send(limit, limited, purpose::limit);
            }
            number = variant(lock, first.who);
            add_key(first.who);
            break;
        case session_verb::probe: number = holdings; break;
        case session_verb::look_for_waiters: {
            const key which = key_of(first.who);
            number = fencing ? waiters_with_token : waiters;
            with.add(static_cast<std::int16_t>(which.pair ? 2 : 1));
            with.add(static_cast<std::int64_t>(which.bits));
            if (fencing) with.add(std::string_view(sequence_));
            break;
        }
        case session_verb::cancel:
            number = cancel;
            with.add(static_cast<std::int32_t>(first.target));
            break;
        case session_verb::ping: number = ping; break;
    }
    state_ = state::busy;
    sent = sent && send(number, with);
    // It comes to this only once the lock is granted; one trip for both.
    if (first.what == session_verb::wait && fencing) {
        drawing_ = batch_;
        sent = sent && send_draw();
    }
    if (!sent) {
        lose();
        return;
    }
    flush();
}

/// The lock of a transaction: taken with it, and freed with its end. Never more than one in a batch.
void connection::submit_transaction() {
    const core::session_request& first = *batch_.front();
    parameters with;
    bool sent = true;
    switch (first.what) {
        case session_verb::try_acquire:
        case session_verb::wait: {
            const bool waits = first.what == session_verb::wait;
            parameters limited;
            limited.add(std::string_view(std::to_string(waits && first.limit.count() >= 0 ? first.limit.count() : 0)));
            limited.add(static_cast<std::int32_t>(lost_after_.count()));
            sent = send(begin_transaction, {}, purpose::limit) && send(settle_transaction, limited, purpose::settle) &&
                   // Who wants to cancel has to know at once whose wait it is.
                   ::PQsendFlushRequest(connection_) == 1;
            const key which = key_of(first.who);
            if (which.pair) {
                with.add(which.high());
                with.add(which.low());
            } else {
                with.add(static_cast<std::int64_t>(which.bits));
            }
            sent = sent && send(variant(waits ? lock_transaction : try_transaction, first.who), with);
            break;
        }
        case session_verb::release: sent = send(end_transaction, with, purpose::rollback); break;
        case session_verb::cancel:
            with.add(static_cast<std::int32_t>(first.target));
            sent = send(cancel, with);
            break;
        case session_verb::probe:
        case session_verb::look_for_waiters:
        case session_verb::ping: sent = send(ping, with); break;
    }
    state_ = state::busy;
    if (sent) {
        flush();
    } else {
        lose();
    }
}

/// The sync has come.
void connection::complete_transaction() {
    core::session_request& asked = *batch_.front();
    const bool acquires = asked.what == session_verb::try_acquire || asked.what == session_verb::wait;
    if (failed_ && (rolling_back_ || keeps_)) {
        // Whatever fails in a transaction has ended it, and what it kept.
        lose();
        return;
    }
    if (failed_) {
        const errc code = code_of(error_state_);
        asked.answer = core::reply{};
        asked.answer.result = code == errc::timed_out  ? verdict::timed_out
                              : code == errc::deadlock ? verdict::deadlock
                                                       : verdict::failed;
        asked.answer.code = code;
        if (code != errc::timed_out) asked.answer.text = error_state_ + ": " + error_text_;
        error_state_.clear();
        error_text_.clear();
        failed_ = false;
    } else if (asked.what == session_verb::release) {
        asked.answer = core::reply{};
        asked.answer.result = verdict::released;
        keeps_ = false;
    } else if (asked.what == session_verb::probe || asked.what == session_verb::look_for_waiters) {
        asked.answer.result = asked.what == session_verb::probe && keeps_ ? verdict::granted : verdict::not_held;
    }
    if (acquires && asked.answer.result == verdict::granted) keeps_ = true;
    if (acquires && !keeps_ && !std::exchange(rolling_back_, true)) {
        if (send(end_transaction, {}, purpose::rollback)) {
            flush();
        } else {
            lose();
        }
        return;
    }
    rolling_back_ = false;
    batch_.clear();
    state_ = state::ready;
}

/// A token for each of `drawing_`.
bool connection::send_draw() {
    parameters with;
    with.add(static_cast<std::int32_t>(drawing_.size()));
    with.add(std::string_view(sequence_));
    return send(draw, with, purpose::draw);
}

/// Ends the pipeline's present transaction, and sends.
void connection::flush() {
    const int left = with_socket([this] { return ::PQpipelineSync(connection_) == 0 ? -1 : ::PQflush(connection_); });
    if (left < 0) {
        lose();
        return;
    }
    events_ = static_cast<short>(left == 0 ? POLLIN : POLLIN | POLLOUT);
}

void connection::read() {
    if ((events_ & POLLOUT) != 0) {
        const int left = with_socket([this] { return ::PQflush(connection_); });
        events_ = static_cast<short>(left == 0 ? POLLIN : POLLIN | POLLOUT);
    }
    const bool alive = with_socket([this] { return ::PQconsumeInput(connection_); }) == 1;
    // Also where no answer is due: looking is what makes libpq read the server's last words.
    while (::PQisBusy(connection_) == 0 && !sent_.empty()) {
        PGresult* const result = ::PQgetResult(connection_);
        if (result == nullptr) {
            // The end of one query's results.
            if (::PQstatus(connection_) == CONNECTION_BAD) break;
            continue;
        }
        const bool last = ::PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!last) take(*result);
        ::PQclear(result);
        if (last) {
            sent_.clear();
            complete();
            break;
        }
        if (state_ == state::ended) return;
    }
    if (state_ != state::ended && (!alive || ::PQstatus(connection_) == CONNECTION_BAD)) lose();
}

void connection::take(const PGresult& result) {
    // Every query has exactly one result; the sync is not among them.
    const query asked = sent_.front();
    if (sent_.size() > 1) sent_.pop_front();
    switch (::PQresultStatus(&result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
            if (asked.what == purpose::prepare) prepared_[asked.statement] = true;
            if (asked.what == purpose::setup) take_setup(result);
            if (asked.what == purpose::sequence) take_sequence(result);
            if (asked.what == purpose::answer) take_answers(result);
            if (asked.what == purpose::draw) take_tokens(result);
            if (asked.what == purpose::settle) {
                session_ =
                    static_cast<std::int64_t>(big_endian(::PQgetvalue(&result, 0, 0), ::PQgetlength(&result, 0, 0)));
            }
            return;
        case PGRES_PIPELINE_ABORTED: return;
        default:
            take_error(result);
            failed_before_answer_ = asked.what != purpose::answer && !granted_;
            return;
    }
}

void connection::take_error(const PGresult& result) {
    if (std::exchange(failed_, true)) return;
    const char* const sqlstate = ::PQresultErrorField(&result, PG_DIAG_SQLSTATE);
    const char* const text = ::PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
    const char* const hint = ::PQresultErrorField(&result, PG_DIAG_MESSAGE_HINT);
    error_state_ = sqlstate == nullptr ? "" : sqlstate;
    error_text_ = text == nullptr ? std::string(trimmed(::PQresultErrorMessage(&result))) : text;
    if (hint != nullptr) error_text_ += std::string(" (") + hint + ')';
}

void connection::take_answers(const PGresult& result) {
    const auto truth = [&result](int row) {
        return ::PQgetisnull(&result, row, 0) == 0 && ::PQgetlength(&result, row, 0) == 1 &&
               ::PQgetvalue(&result, row, 0)[0] != 0;
    };
    const auto holds = [&result](const core::claim& who) {
        const key which = key_of(who);
        for (int row = 0; row < ::PQntuples(&result); ++row) {
            const bool pair = big_endian(::PQgetvalue(&result, row, 0), ::PQgetlength(&result, row, 0)) == 2;
            const bool reader = ::PQgetvalue(&result, row, 2)[0] != 0;
            const key held{pair, big_endian(::PQgetvalue(&result, row, 1), ::PQgetlength(&result, row, 1))};
            if (held == which && reader == shared(who)) return true;
        }
        return false;
    };
    const bool fencing = !sequence_.empty();
    const auto number = [&result](int at) {
        return big_endian(::PQgetvalue(&result, at, 0), ::PQgetlength(&result, at, 0));
    };
    int row = 0;
    for (const auto& each : batch_) {
        core::reply& answer = each->answer;
        answer = core::reply{};
        switch (each->what) {
            case session_verb::try_acquire:
            case session_verb::look_for_waiters:
                if (fencing) {
                    const bool granted = ::PQgetisnull(&result, row, 0) == 0;
                    answer.result = granted ? verdict::granted : verdict::refused;
                    if (granted) answer.token = number(row);
                } else {
                    answer.result = truth(row) ? verdict::granted : verdict::refused;
                }
                break;
            case session_verb::wait:
                answer.result = verdict::granted;
                // Without a token to come, nothing but the question tells what an error after this has left.
                granted_ = fencing;
                break;
            case session_verb::release:
                // A number beside others' tokens, else a boolean.
                answer.result = number(row) != 0 ? verdict::released : verdict::not_held;
                if (answer.result == verdict::not_held)
                    answer.text = "the server says that this session does not hold it";
                break;
            case session_verb::probe:
                if (transactions_) break;
                answer.result = holds(each->who) ? verdict::granted : verdict::not_held;
                break;
            case session_verb::cancel:
            case session_verb::ping: answer.result = verdict::granted; break;
        }
        ++row;
    }
}

void connection::take_tokens(const PGresult& result) {
    for (std::size_t row = 0; row < drawing_.size(); ++row) {
        const int at = static_cast<int>(row);
        drawing_[row]->answer.token = big_endian(::PQgetvalue(&result, at, 0), ::PQgetlength(&result, at, 0));
    }
}

/** For what a question has just found to be granted, after a doubtful end.

    False: there is nothing to draw.
*/
bool connection::draw_for_the_found() {
    if (sequence_.empty() || granted_ || batch_.front()->what != session_verb::probe) return false;
    // Whoever only wants to give back needs none.
    std::copy_if(batch_.begin(), batch_.end(), std::back_inserter(drawing_),
                 [](const auto& each) { return each->answer.result == verdict::granted && each->owner != nullptr; });
    if (drawing_.empty()) return false;
    granted_ = true;
    if (send_draw()) {
        flush();
    } else {
        lose();
    }
    return true;
}

/// The sync has come: the batch is answered, or failed as a whole.
void connection::complete() {
    if (state_ == state::ended) return;
    if (!opened_) {
        if (failed_) {
            lose();
            return;
        }
        opened_ = true;
        said_.clear();
        said_state_.clear();
        state_ = state::ready;
        return;
    }
    if (transactions_) {
        complete_transaction();
        return;
    }
    if (giving_back_ && failed_) {
        // Only its end is sure to give back what it may hold.
        lose();
        return;
    }
    if (!giving_back_ && failed_ && !is_settled()) {
        give_all_back();
        return;
    }
    if (!failed_ && !giving_back_ && draw_for_the_found()) return;
    if (failed_ || giving_back_) answer_failed();
    failed_ = giving_back_ = false;
    batch_.clear();
    drawing_.clear();
    state_ = state::ready;
}

/// Whether the failed batch has surely left nothing behind, or can be asked about it.
bool connection::is_settled() const {
    const session_verb what = batch_.front()->what;
    // It is ours, but without the token that belongs to it.
    if (granted_) return false;
    if (failed_before_answer_ || (what != session_verb::try_acquire && what != session_verb::release)) return true;
    // A lock for which the server has no room was not granted.
    return batch_.size() == 1 && what == session_verb::try_acquire && sequence_.empty() &&
           error_state_ == out_of_memory;
}

/** After an error in a batch: nobody knows which of its tries were granted, and which locks were released before it.

    So all of them are released. That works when a question would not: a server without room for locks has none for a
    query about them either.
*/
void connection::give_all_back() {
    giving_back_ = true;
    failed_ = false;
    std::vector<std::int16_t> ops;
    std::vector<std::int64_t> keys;
    for (const auto& each : granted_ ? drawing_ : batch_) {
        ops.push_back(static_cast<std::int16_t>(variant(unlock, each->who)));
        keys.push_back(static_cast<std::int64_t>(key_of(each->who).bits));
    }
    parameters with;
    with.add_array(ops, oid_int2);
    with.add_array(keys, oid_int8);
    if (!send(batch_statement, with, purpose::give_back)) {
        lose();
        return;
    }
    flush();
}

void connection::answer_failed() {
    for (const auto& each : batch_) {
        core::reply& answer = each->answer;
        if (giving_back_ && each->what == session_verb::probe) {
            // The others have been answered well.
            if (std::find(drawing_.begin(), drawing_.end(), each) == drawing_.end()) continue;
            answer = core::reply{};
            answer.result = verdict::not_held;
            continue;
        }
        answer = core::reply{};
        if (giving_back_ && each->what == session_verb::release) {
            answer.result = verdict::released;
            continue;
        }
        answer.code = code_of(error_state_);
        // That somebody else has it is no error of the server's.
        if (answer.code != errc::timed_out) answer.text = error_state_ + ": " + error_text_;
        // An error may have come after the grant: a lock timeout does, and a cancel.
        const bool doubtful = each->what == session_verb::wait && !giving_back_ && !failed_before_answer_ &&
                              error_state_ != out_of_memory;
        answer.result = doubtful ? verdict::doubt : verdict::failed;
    }
    error_state_.clear();
    error_text_.clear();
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
