#include <backends/redis/connection.hpp>
#include <backends/redis/sentinels.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

std::string message_of(int number) {
    return std::generic_category().message(number);
}

/// Notices a peer that is gone without a word in about half a minute.
void keep_alive(int socket) noexcept {
    const int on = 1;
    const int idle = 15;
    const int interval = 5;
    const int count = 3;
    const unsigned unacknowledged = 10000;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
}

}  // namespace

std::string server::text() const {
    if (sentinels != nullptr) return "master '" + master_name + "'";
    if (!address.socket_path.empty()) return "unix:" + address.socket_path;
    const bool v6 = address.host.find(':') != std::string::npos;
    return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::vector<server> voters(std::vector<server> all, std::chrono::milliseconds memory) {
    const auto common = std::make_shared<roll>(memory);
    for (std::size_t number = 0; number < all.size(); ++number) {
        all[number].roll = common;
        all[number].number = number;
    }
    return all;
}

namespace {

/// @param quoted what to add to the meaning
failure meaning_of(std::string_view text, std::string_view quoted) {
    struct row {
        const char* word;
        errc code;
        bool transient;
        const char* meaning;
    };
    static constexpr row rows[] = {
        {"WRONGTYPE", errc::invalid_name, false, "the key holds something else than a lock of this kind"},
        {"NOPERM", errc::permission, false, "the user's rights (ACL) do not allow it"},
        {"NOAUTH", errc::permission, false, "the server wants a password"},
        {"WRONGPASS", errc::permission, false, "the user name or the password is wrong"},
        {"OOM", errc::unavailable, false, "the server is out of memory (maxmemory)"},
        {"READONLY", errc::unavailable, true, "the server is a replica; locks need the master"},
        {"LOADING", errc::unavailable, true, "the server is still loading its data"},
        {"MASTERDOWN", errc::unavailable, true, "the server has lost its master"},
        {"NOREPLICAS", errc::unavailable, true, "the server has too few replicas (min-replicas-to-write)"},
        {"MISCONF", errc::unavailable, false, "the server cannot save its data and refuses writes"},
        {"BUSY", errc::unavailable, true, "the server is busy with somebody's script"},
        {"TRYAGAIN", errc::unavailable, true, "the cluster is moving the key"},
        {"CLUSTERDOWN", errc::unavailable, true, "the cluster is down"},
        {"MOVED", errc::unsupported, false, "the server is part of a cluster (redis+cluster:)"},
        {"ASK", errc::unsupported, false, "the server is part of a cluster (redis+cluster:)"},
        {"CROSSSLOT", errc::unsupported, false, "the keys are in different slots of the cluster"},
        {"ERR Script attempted to access a non local key", errc::unavailable, true, "the cluster is moving the key"},
        {"ERR This instance has cluster support disabled", errc::unsupported, false,
         "the server is no node of a cluster (redis:)"},
        {"ERR max number of clients", errc::unavailable, true, "the server takes no more connections"},
        {"ERR Client sent AUTH", errc::permission, false, "the server has no password"},
        {"ERR AUTH <password> called", errc::permission, false, "the server has no password"},
        {"ERR invalid password", errc::permission, false, "the password is wrong"},
        {"ERR value is not an integer", errc::invalid_options, false,
         "the fencing counter's key (see docs/backends/redis.md) holds something else"},
        {"ERR DB index", errc::invalid_options, false, "the server has no database of that number"},
        {"DENIED", errc::permission, false, "the server is in protected mode"},
    };
    for (const row& each : rows) {
        if (!text.starts_with(each.word)) continue;
        return {each.code, 0, std::string(each.meaning) + ": " + std::string(quoted), each.transient};
    }
    return {errc::unavailable, 0, std::string(quoted), false};
}

}  // namespace

std::string_view cause_of(std::string_view text) noexcept {
    // Servers before 7 put the place in the script before what they say, sometimes with the mark of an error:
    // ERR Error running script (call to f_6b1b...): @user_script:1: -READONLY You can't write against a read only
    // replica.
    constexpr std::string_view place = "@user_script";
    const auto at = text.starts_with("ERR Error running script") ? text.rfind(place) : std::string_view::npos;
    if (at == std::string_view::npos) return text;
    const auto begin = text.find_first_not_of(":0123456789 -", at + place.size());
    return begin == std::string_view::npos ? text : text.substr(begin);
}

failure failure_of(std::string_view text) {
    return meaning_of(cause_of(text), text);
}

failure secretive_failure_of(std::string_view text) {
    const std::string_view word = text.substr(0, text.find(' '));
    const bool is_code =
        !word.empty() && word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos;
    return meaning_of(cause_of(text), is_code && word.size() < 20 ? word : "an error");
}

connection::connection(const server& to, resolver& names, core::notifier* on_name_found, std::function<void()> closing)
    : server_(to),
      names_(names),
      closing_(std::move(closing)),
      open_by_(boottime::now() + to.connect_timeout),
      on_name_found_(on_name_found) {
    if (server_.sentinels == nullptr) {
        go_to(server_.address);
    } else if (const auto known = server_.sentinels->known()) {
        go_to(*known);
    } else {
        stage_ = stage::locating;
        guide_ = std::make_unique<guide>(*server_.sentinels, names_, on_name_found_, closing_);
    }
}

void connection::go_to(const server_address& where) {
    place_ = where;
    stage_ = stage::naming;
    if (place_.socket_path.empty()) {
        lookup_ = names_.ask(place_.host, place_.port, on_name_found_);
        return;
    }
    socket_address made;
    auto& path = reinterpret_cast<sockaddr_un&>(made.bytes);
    path.sun_family = AF_UNIX;
    // Its length was checked with the options.
    std::memcpy(path.sun_path, place_.socket_path.data(), place_.socket_path.size());
    made.size = static_cast<socklen_t>(sizeof path);
    addresses_.push_back(made);
    stage_ = stage::connecting;
}

void connection::locate(boottime::time_point now) {
    switch (guide_->drive(now)) {
        case guide::status::looking: return;
        case guide::status::found: go_to(guide_->where()); break;
        case guide::status::failed:
            fail(guide_->why().code, "no sentinel tells where " + server_.text() + " is: " + guide_->why().text,
                 guide_->why().transient);
            break;
    }
    guide_.reset();
}

int connection::descriptor() const noexcept {
    return guide_ != nullptr ? guide_->descriptor() : socket_.get();
}

boottime::time_point connection::opening_until() const noexcept {
    return guide_ != nullptr ? std::min(open_by_, guide_->until()) : open_by_;
}

connection::~connection() {
    hush();
    leave_roll();
}

void connection::hush() noexcept {
    on_name_found_ = nullptr;
    if (lookup_ != nullptr) lookup_->abandon();
    if (guide_ != nullptr) guide_->hush();
}

connection::status connection::drive(boottime::time_point now, bool read) {
    if (status_ == status::failed) return status_;
    if (stage_ == stage::locating) locate(now);
    if (status_ != status::failed && stage_ > stage::naming && has_moved()) return status_;
    if (stage_ == stage::open && is_another_node()) return status_;
    if (status_ == status::opening && stage_ == stage::naming) {
        std::string failed;
        if (lookup_->take(addresses_, failed)) {
            lookup_.reset();
            stage_ = stage::connecting;
            if (addresses_.empty()) fail(errc::unavailable, "cannot find " + place_.host + ": " + failed);
        }
    }
    if (status_ == status::opening && stage_ == stage::connecting) {
        if (socket_.get() < 0) {
            begin_connect(now);
        } else if (end_connect(now)) {
            begin_talk();
        }
    }
    if (status_ != status::failed && stage_ >= stage::securing) {
        const bool opening = stage_ != stage::open;
        if (flush() && (read || opening) && fill(MSG_DONTWAIT)) {
            if (stage_ == stage::greeting) hear_greeting();
        }
        // What a handshake, or a greeting after it, has to say.
        if (status_ != status::failed && opening) flush();
    }
    if (status_ == status::opening && now >= open_by_) {
        fail(errc::unavailable, "cannot connect to " + server_.text() + ": no answer in time" +
                                    (stage_ == stage::securing ? " to the beginning of TLS" : ""));
    }
    return status_;
}

/// Begins with the next of the host's addresses.
void connection::begin_connect(boottime::time_point now) {
    int number = ECONNREFUSED;
    while (next_address_ < addresses_.size()) {
        const socket_address& to = addresses_[next_address_++];
        const int made = socket_.open_with(
            [&to] { return ::socket(to.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); });
        if (made < 0) {
            number = errno;
            continue;
        }
        if (to.bytes.ss_family != AF_UNIX) keep_alive(made);
        if (::connect(made, reinterpret_cast<const sockaddr*>(&to.bytes), to.size) == 0) {
            begin_talk();
            return;
        }
        if (errno == EINPROGRESS) return;
        number = errno;
        socket_.reset();
    }
    (void)now;
    if (place_.socket_path.empty()) names_.forget(place_.host, place_.port);
    fail_by_errno("cannot connect to ", number);
}

/// True once the connection stands.
bool connection::end_connect(boottime::time_point now) {
    pollfd one{socket_.get(), POLLOUT, 0};
    if (::poll(&one, 1, 0) == 0) return false;
    int number = 0;
    socklen_t size = sizeof number;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    if (number == 0) return true;
    closing_();
    socket_.reset();
    if (next_address_ < addresses_.size()) {
        begin_connect(now);
        return false;
    }
    names_.forget(place_.host, place_.port);
    fail_by_errno("cannot connect to ", number);
    return false;
}

void connection::begin_talk() {
    if (server_.tls == nullptr) {
        greet();
        return;
    }
    stage_ = stage::securing;
    tls_ = std::make_unique<tls_session>(*server_.tls, place_.host);
    secure();
}

void connection::secure() {
    const auto done = tls_->shake_hands();
    // Also the alert that says why.
    tls_->take_output(out_);
    if (done == tls_session::status::done) {
        welcome_ = true;
        greet();
    } else if (done == tls_session::status::failed) {
        fail_by_tls();
    }
}

/// Nothing else may be sent before these are answered: in the wrong database, a lock would be another lock.
void connection::greet() {
    stage_ = stage::greeting;
    if (server_.password) {
        if (server_.user && !server_.user->empty()) {
            send(format({"AUTH", *server_.user, *server_.password}));
        } else {
            send(format({"AUTH", *server_.password}));
        }
        greetings_.push_back({"the server refuses the login", false});
    }
    if (server_.database != 0) {
        send(format({"SELECT", std::to_string(server_.database)}));
        greetings_.push_back({"the server refuses the database", false});
    }
    if (server_.roll != nullptr) {
        send(format({"INFO", "server"}));
        greetings_.push_back({nullptr, true});
    }
    if (server_.sentinels != nullptr) {
        send(format({"ROLE"}));
        greetings_.push_back({nullptr, false, true});
    }
    if (server_.identity != nullptr) {
        send(format({"CLUSTER", "MYID"}));
        greetings_.push_back({.refusal = nullptr, .tells_identity = false, .tells_node = true});
    }
    // Only an answer tells that the server has accepted our certificate.
    if (tls_ != nullptr && greetings_.empty()) {
        send(format({"PING"}));
        greetings_.push_back({nullptr, false});
    }
    if (!greetings_.empty()) return;
    open();
}

void connection::open() noexcept {
    in_.trust();
    stage_ = stage::open;
    status_ = status::ready;
}

void connection::hear_greeting() {
    while (!greetings_.empty()) {
        const reply_value heard = receive();
        if (heard == nullptr) return;
        welcome_ = true;
        if (is_error(*heard) && greetings_.front().refusal != nullptr) {
            const failure why = secretive_failure_of(text_of(*heard));
            fail(why.code, std::string(greetings_.front().refusal) + ": " + why.text, why.transient);
            return;
        }
        // A user that may not ask has to know by himself what his servers are.
        if (greetings_.front().tells_identity && !is_error(*heard)) identify(text_of(*heard));
        if (greetings_.front().tells_role) check_role(*heard);
        if (greetings_.front().tells_node) check_node(*heard);
        if (status_ == status::failed) return;
        greetings_.erase(greetings_.begin());
    }
    open();
}

/// Sentinels may not know yet, or an old master may have come back as a replica.
void connection::check_role(const redisReply& said) {
    // A user that may not ask learns it from READONLY.
    if (!is_array(said) || size_of(said) == 0 || text_of(element_of(said, 0)) == "master") return;
    give_up(place_.host + ":" + std::to_string(place_.port) + " is no master");
}

/// An old master that is cut off goes on answering. Who holds what is not its to say once another one is known, neither
/// from now on nor by an answer that is here already.
bool connection::has_moved() {
    if (server_.sentinels == nullptr || !server_.sentinels->have_left(place_)) return false;
    in_ = reply_reader();
    give_up("another one than " + place_.host + ":" + std::to_string(place_.port) + " is the master now");
    return true;
}

/// Whoever has its address by now does not know of any lock.
void connection::check_node(const redisReply& said) {
    if (is_error(said)) {
        const failure why = failure_from(text_of(said));
        // A user that may not ask, or a server that cannot be asked, has to be taken for the one that is meant.
        const bool may_not = text_of(said).starts_with("NOPERM");
        const bool is_said = why.transient || why.code == errc::permission || why.code == errc::unsupported;
        if (is_said && !may_not) fail(why.code, server_.text() + ": " + why.text, why.transient);
        return;
    }
    node_id_ = text_of(said);
    identity_version_ = server_.identity->version();
    if (!server_.identity->is(node_id_)) give_up("it is another node of a cluster by now: " + node_id_);
}

/// Another one is expected there than when the connection was made.
bool connection::is_another_node() {
    if (server_.identity == nullptr) return false;
    const unsigned version = server_.identity->version();
    if (version == identity_version_) return false;
    identity_version_ = version;
    if (server_.identity->is(node_id_)) return false;
    in_ = reply_reader();
    give_up("another node of the cluster has that address now");
    return true;
}

void connection::give_up(std::string why) {
    fail(errc::unavailable, server_.text() + ": " + std::move(why));
}

void connection::doubt() noexcept {
    if (server_.sentinels != nullptr) server_.sentinels->forget(place_);
}

void connection::identify(std::string_view info) {
    constexpr std::string_view field = "run_id:";
    const auto at = info.find(field);
    if (at == std::string_view::npos) return;
    const std::string_view rest = info.substr(at + field.size());
    identity_ = rest.substr(0, rest.find('\r'));
    const auto other = server_.roll->enter(server_.number, identity_, boottime::now());
    if (!other) {
        enrolled_ = server_.roll;
        number_ = server_.number;
        return;
    }
    fail(errc::invalid_options,
         "a server is listed twice: " + server_.text() + " is server " + std::to_string(*other + 1) + " of the list",
         false);
}

void connection::leave_roll() noexcept {
    // In a forked child the mutex may be held by a thread that is not there.
    if (enrolled_ != nullptr && core::fork_generation() == generation_) {
        enrolled_->end(number_, identity_, boottime::now());
    }
    enrolled_ = nullptr;
}

bool connection::flush() {
    if (!plain_.empty() && stage_ >= stage::greeting) {
        const auto done = tls_->write(plain_);
        plain_.clear();
        tls_->take_output(out_);
        if (done == tls_session::status::failed) {
            fail_by_tls();
            return false;
        }
    }
    while (written_ < out_.size()) {
        const auto size =
            ::send(socket_.get(), out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0) {
            written_ += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR) {
            fail_by_errno("lost the connection to ", errno);
            return false;
        }
    }
    out_.clear();
    written_ = 0;
    return true;
}

/// False when the connection has failed.
bool connection::take_in(const char* bytes, std::size_t size) {
    if (tls_ == nullptr) {
        in_.feed(bytes, size);
        return true;
    }
    tls_->feed(bytes, size);
    if (stage_ == stage::securing) {
        secure();
        if (stage_ == stage::securing || status_ == status::failed) return status_ != status::failed;
    }
    std::array<char, 16384> plain;
    for (;;) {
        std::size_t taken = plain.size();
        switch (tls_->read(plain.data(), taken)) {
            case tls_session::status::done: in_.feed(plain.data(), taken); break;
            case tls_session::status::more: tls_->take_output(out_); return true;
            case tls_session::status::failed: fail_by_tls(); return false;
            case tls_session::status::ended: fail_by_end(); return false;
        }
    }
}

bool connection::await_answer() {
    if (status_ != status::ready || tls_ != nullptr || written_ < out_.size()) return false;
    if (!may_sleep_) {
        const timeval longest{0, std::chrono::microseconds(longest_sleep).count()};
        if (::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest) != 0) return false;
        const int flags = ::fcntl(socket_.get(), F_GETFL);
        if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) return false;
        may_sleep_ = true;
    }
    fill(0);
    return true;
}

bool connection::fill(int flags) {
    std::array<char, 16384> buffer;
    for (;;) {
        const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), flags);
        if (size > 0) {
            heard_ = true;
            if (!take_in(buffer.data(), static_cast<std::size_t>(size))) return true;
            // One that leaves room has taken all there was. Who never ends must not be listened to for ever.
            if (in_.full() || size < static_cast<ssize_t>(buffer.size())) return true;
            flags = MSG_DONTWAIT;
        } else if (size == 0) {
            fail_by_end();
            return true;
        } else if (errno == EAGAIN || (errno == EINTR && flags == 0)) {
            return true;
        } else if (errno != EINTR) {
            fail_by_errno("lost the connection to ", errno);
            return true;
        }
    }
}

reply_value connection::receive() {
    try {
        reply_value said = in_.next();
        if (said != nullptr && stage_ == stage::open && !is_error(*said)) has_served_ = true;
        return said;
    } catch (const error& wrong) {
        fail(errc::protocol, server_.text() + ": " + wrong.diag().message, false);
        return nullptr;
    }
}

/// What is no Redis may speak before it is asked: then that is taken for the answer to the login, and the answer to the
/// login, with the password in it, for that to something else.
failure connection::failure_from(std::string_view text) const {
    // Whoever says so is a Redis, and it tells which command it is that the user may not use.
    const bool is_known = text.starts_with("NOPERM");
    const bool perhaps_to_login = !is_known && (!has_served_ || text.find("AUTH") != std::string_view::npos);
    return server_.password && perhaps_to_login ? secretive_failure_of(text) : failure_of(text);
}

bool connection::expect_silence(bool fresh) {
    if (stage_ != stage::open || in_.empty()) return true;
    const reply_value said = receive();
    if (failure_.code == errc::protocol) return false;
    if (fresh && said != nullptr && is_error(*said)) {
        const failure why = failure_from(text_of(*said));
        fail(why.code, server_.text() + ": " + why.text, why.transient);
        return false;
    }
    talkative_ = true;
    fail(errc::protocol, server_.text() + " answers what it was not asked");
    return false;
}

short connection::poll_events() const noexcept {
    if (guide_ != nullptr) return guide_->poll_events();
    if (stage_ == stage::connecting) return POLLOUT;
    return static_cast<short>(written_ < out_.size() || !plain_.empty() ? POLLIN | POLLOUT : POLLIN);
}

void connection::fail(errc code, std::string text, bool transient, int native_code) {
    // Whatever the reason: where the master is, is to be asked again.
    if (server_.sentinels != nullptr && stage_ != stage::locating) server_.sentinels->forget(place_);
    leave_roll();
    status_ = status::failed;
    failure_ = {code, native_code, std::move(text), transient};
}

void connection::fail_by_errno(const char* what, int number) {
    fail(number == EACCES || number == EPERM ? errc::permission : errc::unavailable,
         what + server_.text() + ": " + message_of(number) + perhaps_tls(), number != EACCES && number != EPERM,
         number);
}

void connection::fail_by_end() {
    fail(errc::unavailable, "the connection to " + server_.text() + " was closed by the server" + perhaps_tls());
}

/// For the end of a connection: a server with TLS ends those that begin without.
const char* connection::perhaps_tls() const noexcept {
    const bool perhaps = stage_ >= stage::greeting && !heard_ && tls_ == nullptr && place_.socket_path.empty();
    return perhaps ? " before it said anything; perhaps the server wants TLS (rediss:)" : "";
}

void connection::fail_by_tls() {
    if (tls_->is_stranger()) {
        fail(errc::protocol, server_.text() + " does not speak TLS: " + tls_->why(), false);
    } else {
        fail(errc::permission, "no TLS connection to " + server_.text() + ": " + tls_->why(), false);
    }
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
