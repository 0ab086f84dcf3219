// Stands between a client and a server, and loses what a test wants lost.
#ifndef HOLDFAST_TEST_SUPPORT_TCP_PROXY_HPP
#define HOLDFAST_TEST_SUPPORT_TCP_PROXY_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace holdfast::test {

/// Forwards connections of the loopback address to a port there.
class tcp_proxy {
public:
    explicit tcp_proxy(std::uint16_t to);
    tcp_proxy(const tcp_proxy&) = delete;
    tcp_proxy& operator=(const tcp_proxy&) = delete;
    ~tcp_proxy();

    std::uint16_t port() const noexcept { return port_; }

    /// What the server answers to the next request is lost, and all connections with it; then new ones are not accepted
    /// for as long as this says. Answers to earlier requests pass.
    void cut_at_next_answer(std::chrono::milliseconds away) {
        away_ = away;
        cut_ = true;
    }
    /// The same with the next bytes that a client sends, a moment after it has sent them.
    void cut_at_next_request(std::chrono::milliseconds away) {
        away_ = away;
        cut_request_ = true;
    }
    int cuts() const noexcept { return cuts_; }

    /// Present connections stay, and nothing comes through them any more, without an error. New ones work.
    void silence() { silence_ = true; }
    /// Another server has the address from now on; connections that stand are cut.
    void lead_to(std::uint16_t to);

private:
    void run();
    void rouse() noexcept;

    std::atomic<std::uint16_t> to_;
    std::uint16_t port_ = 0;
    int listener_ = -1;
    int news_ = -1;
    std::atomic<bool> over_{false};
    std::atomic<bool> cut_{false};
    std::atomic<bool> cut_request_{false};
    std::atomic<bool> silence_{false};
    std::atomic<std::chrono::milliseconds> away_{};
    std::atomic<int> cuts_{0};
    std::thread thread_;
};

}  // namespace holdfast::test

#endif
