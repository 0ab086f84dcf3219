// A system whose name servers do not answer.
#ifndef HOLDFAST_TEST_SUPPORT_SILENT_NAMES_HPP
#define HOLDFAST_TEST_SUPPORT_SILENT_NAMES_HPP

#include <support/second_process.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

namespace holdfast::test {

/** From now on this process looks up names in vain, for 20 s each. For children, and root.

    A mount namespace with an /etc/resolv.conf of its own; what is asked goes to a socket here that nobody reads.
*/
class silent_names {
public:
    silent_names() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_port = htons(53);
        here.sin_addr.s_addr = ::inet_addr("127.9.53.1");
        require(::bind(socket_, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0, "no silent name server");
        const std::string file = directory_ / "resolv.conf";
        std::ofstream(file) << "nameserver 127.9.53.1\noptions timeout:10 attempts:2\n";
        require(::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                    ::mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0,
                "no mount namespace");
    }
    silent_names(const silent_names&) = delete;
    silent_names& operator=(const silent_names&) = delete;
    ~silent_names() { ::close(socket_); }

private:
    const temporary_directory directory_;
    const int socket_;
};

}  // namespace holdfast::test

#endif
