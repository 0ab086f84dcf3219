#include <support/redis_server.hpp>
#include <support/server_process.hpp>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error("redis: " + what + ": " + std::strerror(errno));
}

}  // namespace

redis_client::redis_client(const std::string& host, std::uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (host != "127.0.0.1") throw std::runtime_error("redis: tests use the loopback address only");
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        ::close(socket_);
        fail("cannot connect");
    }
}

redis_client::redis_client(const std::string& socket_path) {
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, socket_path.c_str(), sizeof to.sun_path - 1);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        ::close(socket_);
        fail("cannot connect");
    }
}

redis_client::~redis_client() {
    ::close(socket_);
}

redis_reply redis_client::operator()(const std::vector<std::string>& words) {
    send(words);
    return receive();
}

void redis_client::send(const std::vector<std::string>& words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    for (std::size_t sent = 0; sent < text.size();) {
        const auto size = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (size < 0) fail("cannot send");
        sent += static_cast<std::size_t>(size);
    }
}

redis_reply redis_client::receive() {
    const std::string first = line();
    redis_reply made;
    const std::string rest = first.substr(1);
    switch (first[0]) {
        case '+': made.text = rest; break;
        case '-':
            made.is_error = true;
            made.text = rest;
            break;
        case ':':
            made.integer = std::stoll(rest);
            made.text = rest;
            break;
        case '$':
            if (rest == "-1") {
                made.is_nil = true;
            } else {
                made.text = bytes(std::stoul(rest));
                bytes(2);
            }
            break;
        case '*':
            made.is_nil = rest == "-1";
            for (long long left = std::stoll(rest); left > 0; --left) made.elements.push_back(receive());
            break;
        default: throw std::runtime_error("redis: a reply that begins with " + first);
    }
    return made;
}

std::string redis_client::line() {
    for (;;) {
        const auto end = buffer_.find("\r\n");
        if (end != std::string::npos) {
            std::string found = buffer_.substr(0, end);
            buffer_.erase(0, end + 2);
            if (found.empty()) throw std::runtime_error("redis: an empty line");
            return found;
        }
        char chunk[4096];
        const auto size = ::recv(socket_, chunk, sizeof chunk, 0);
        if (size <= 0) fail("the connection has ended");
        buffer_.append(chunk, static_cast<std::size_t>(size));
    }
}

std::string redis_client::bytes(std::size_t count) {
    while (buffer_.size() < count) {
        char chunk[4096];
        const auto size = ::recv(socket_, chunk, sizeof chunk, 0);
        if (size <= 0) fail("the connection has ended");
        buffer_.append(chunk, static_cast<std::size_t>(size));
    }
    std::string found = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return found;
}

redis_server::redis_server(const std::vector<std::string>& options) : options_(options) {
    std::string place = "/tmp/holdfast-redis-XXXXXX";
    if (::mkdtemp(place.data()) == nullptr) fail("no temporary folder");
    directory_ = place;
    start();
}

redis_server::~redis_server() {
    if (runs()) kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void redis_server::start() {
    const bool fixed = port_ != 0;
    for (int round = 0; round < 5; ++round) {
        if (!fixed) port_ = static_cast<std::uint16_t>(free_port());
        std::vector<std::string> words = {"redis-server",
                                          "--port",
                                          std::to_string(port_),
                                          "--bind",
                                          "127.0.0.1",
                                          "--dir",
                                          directory_,
                                          "--unixsocket",
                                          socket_path(),
                                          "--save",
                                          "",
                                          "--appendonly",
                                          "no",
                                          "--logfile",
                                          directory_ + "/log",
                                          "--daemonize",
                                          "no",
                                          "--protected-mode",
                                          "no"};
        for (const std::string& option : options_) {
            words.push_back(option == redis_server::own_port ? std::to_string(port_) : option);
        }
        id_ = start_server(words);
        const auto until = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < until) {
            int status = 0;
            if (::waitpid(id_, &status, WNOHANG) == id_) {
                id_ = -1;
                break;
            }
            try {
                redis_client probe(socket_path());
                const redis_reply heard = probe({"PING"});
                if (!heard.is_error || heard.text.rfind("NOAUTH", 0) == 0) return;
            } catch (const std::exception&) {
                // Not yet.
            }
            std::this_thread::sleep_for(2ms);
        }
        if (runs()) kill();
    }
    std::ifstream log(directory_ + "/log");
    throw std::runtime_error("redis-server does not start: " +
                             std::string(std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()));
}

redis_reply redis_server::operator()(const std::vector<std::string>& words) const {
    redis_client client(socket_path());
    return client(words);
}

void redis_server::signal(int number) const {
    ::kill(id_, number);
}

void redis_server::kill() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    id_ = -1;
}

}  // namespace holdfast::test
