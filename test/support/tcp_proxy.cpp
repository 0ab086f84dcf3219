#include <support/loopback.hpp>
#include <support/tcp_proxy.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

namespace holdfast::test {
namespace {

using clock = std::chrono::steady_clock;

/// True when something was forwarded.
bool forward(int from, int to) {
    char chunk[16384];
    const auto size = ::recv(from, chunk, sizeof chunk, 0);
    return size > 0 && ::send(to, chunk, static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
}

/// True when there was something.
bool swallow(int from) {
    char chunk[16384];
    return ::recv(from, chunk, sizeof chunk, 0) > 0;
}

}  // namespace

tcp_proxy::tcp_proxy(std::uint16_t to) : to_(to) {
    news_ = ::eventfd(0, EFD_CLOEXEC);
    if (news_ < 0) throw std::runtime_error("no eventfd");
    const loopback_listener made = listen_on_loopback(64);
    listener_ = made.descriptor;
    port_ = made.port;
    thread_ = std::thread([this] { run(); });
}

void tcp_proxy::rouse() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(news_, &one, sizeof one);
}

void tcp_proxy::lead_to(std::uint16_t to) {
    to_ = to;
    rouse();
}

tcp_proxy::~tcp_proxy() {
    over_ = true;
    rouse();
    thread_.join();
    ::close(listener_);
    ::close(news_);
}

void tcp_proxy::run() {
    // From the client's end to the server's.
    std::map<int, int> pairs;
    auto closed_until = clock::now();
    // Of them those that are silent.
    std::set<int> silent;
    // Of those connections the one whose next answer is to be lost.
    int doomed = -1;
    const auto drop = [&pairs, &silent](int client) {
        silent.erase(client);
        ::close(client);
        ::close(pairs[client]);
        pairs.erase(client);
    };
    for (;;) {
        const bool accepts = clock::now() >= closed_until;
        std::vector<pollfd> all{{news_, POLLIN, 0}, {accepts ? listener_ : -1, POLLIN, 0}};
        for (const auto& [client, server] : pairs) {
            all.push_back({client, POLLIN, 0});
            all.push_back({server, POLLIN, 0});
        }
        (void)::poll(all.data(), all.size(), accepts ? -1 : 5);
        if (silence_.exchange(false)) {
            for (const auto& each : pairs) silent.insert(each.first);
        }
        if (all[0].revents != 0) {
            std::uint64_t count = 0;
            (void)!::read(news_, &count, sizeof count);
            while (!pairs.empty()) drop(pairs.begin()->first);
            doomed = -1;
            if (over_) break;
            continue;
        }
        for (std::size_t at = 2; at < all.size(); at += 2) {
            const int client = all[at].fd;
            const int server = all[at + 1].fd;
            if (silent.contains(client)) {
                if ((all[at].revents != 0 && !swallow(client)) || (all[at + 1].revents != 0 && !swallow(server))) {
                    drop(client);
                }
                continue;
            }
            const bool lose_request = all[at].revents != 0 && cut_request_.exchange(false);
            // Other servers answer first.
            if (lose_request) std::this_thread::sleep_for(std::chrono::milliseconds(50));
            if (lose_request || (all[at + 1].revents != 0 && client == doomed)) {
                ++cuts_;
                closed_until = clock::now() + away_.load();
                // Away for everybody.
                while (!pairs.empty()) drop(pairs.begin()->first);
                doomed = -1;
                break;
            }
            // Answers first: they are to earlier requests.
            const bool answers = all[at + 1].revents == 0 || forward(server, client);
            if (all[at].revents != 0 && cut_.exchange(false)) doomed = client;
            if (!answers || (all[at].revents != 0 && !forward(client, server))) {
                drop(client);
                if (client == doomed) doomed = -1;
            }
        }
        if (all[1].revents == 0 || clock::now() < closed_until) continue;
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        const sockaddr_in where = loopback(to_);
        const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client < 0 || ::connect(server, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
            if (client >= 0) ::close(client);
            ::close(server);
            continue;
        }
        pairs[client] = server;
    }
}

}  // namespace holdfast::test
