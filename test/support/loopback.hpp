// Sockets that the tests themselves listen on.
#ifndef HOLDFAST_TEST_SUPPORT_LOOPBACK_HPP
#define HOLDFAST_TEST_SUPPORT_LOOPBACK_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace holdfast::test {

inline sockaddr_in loopback(std::uint16_t port = 0) {
    sockaddr_in made{};
    made.sin_family = AF_INET;
    made.sin_port = ::htons(port);
    made.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    return made;
}

/// A socket at a port of the loopback interface that the kernel chooses. Whoever asked for it closes it.
struct loopback_listener {
    int descriptor = -1;
    std::uint16_t port = 0;
};

/// @param backlog how many connections may wait to be accepted; negative: none can be made
inline loopback_listener listen_on_loopback(int backlog) {
    loopback_listener made{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in where = loopback();
    socklen_t size = sizeof where;
    if (::bind(made.descriptor, reinterpret_cast<const sockaddr*>(&where), size) != 0 ||
        (backlog >= 0 && ::listen(made.descriptor, backlog) != 0) ||
        ::getsockname(made.descriptor, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
        const int number = errno;
        ::close(made.descriptor);
        throw std::system_error(number, std::generic_category(), "no port of the loopback interface");
    }
    made.port = ::ntohs(where.sin_port);
    return made;
}

}  // namespace holdfast::test

#endif
