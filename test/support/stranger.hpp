// A server that is not the one that was expected.
#ifndef HOLDFAST_TEST_SUPPORT_STRANGER_HPP
#define HOLDFAST_TEST_SUPPORT_STRANGER_HPP

#include <support/loopback.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::test {

/// Accepts connections, answers the first words of each with the same text, and nothing else.
class stranger {
public:
    explicit stranger(std::string answer) : answer_(std::move(answer)) {
        const loopback_listener made = listen_on_loopback(16);
        listener_ = made.descriptor;
        port_ = made.port;
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
