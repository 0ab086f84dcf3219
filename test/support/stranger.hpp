// A server that is not the one that was expected.
#ifndef HOLDFAST_TEST_SUPPORT_STRANGER_HPP
#define HOLDFAST_TEST_SUPPORT_STRANGER_HPP

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::test {

/// Accepts connections, answers the first words of each with the same text, and nothing else.
class stranger {
public:
    explicit stranger(std::string answer) : answer_(std::move(answer)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof where;
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 || ::listen(listener_, 16) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
            throw std::runtime_error("no listener");
        }
        port_ = ntohs(where.sin_port);
        thread_ = std::thread([this] {
            std::vector<int> all;
            for (int one = 0; (one = ::accept(listener_, nullptr, nullptr)) >= 0;) {
                all.push_back(one);
                pollfd asked{one, POLLIN, 0};
                (void)::poll(&asked, 1, 2000);
                (void)!::send(one, answer_.data(), answer_.size(), MSG_NOSIGNAL);
            }
            for (const int one : all) ::close(one);
        });
    }
    stranger(const stranger&) = delete;
    stranger& operator=(const stranger&) = delete;
    ~stranger() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }

    std::uint16_t port() const noexcept { return port_; }

private:
    const std::string answer_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

}  // namespace holdfast::test

#endif
