// Private Redis servers for tests: in folders of their own, on ports that the system gave, dead with the test.
#ifndef HOLDFAST_TEST_SUPPORT_REDIS_SERVER_HPP
#define HOLDFAST_TEST_SUPPORT_REDIS_SERVER_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

/// One reply, flattened: arrays become lines.
struct redis_reply {
    bool is_error = false;
    bool is_nil = false;
    long long integer = 0;
    std::string text;
    std::vector<redis_reply> elements;
};

/// The tests' own connection, without anything of the backend's: it must be able to find the backend's mistakes.
class redis_client {
public:
    redis_client(const std::string& host, std::uint16_t port);
    explicit redis_client(const std::string& socket_path);
    redis_client(const redis_client&) = delete;
    redis_client& operator=(const redis_client&) = delete;
    ~redis_client();

    /// Throws when the connection fails.
    redis_reply operator()(const std::vector<std::string>& words);
    /// Without awaiting the reply.
    void send(const std::vector<std::string>& words);
    redis_reply receive();

private:
    std::string line();
    std::string bytes(std::size_t count);

    int socket_ = -1;
    std::string buffer_;
};

/// A redis-server. Stopped by its process id when this is destroyed; killed by the kernel when the test dies.
class redis_server {
public:
    /// Stands for the server's port among its options: {"--port", "0", "--tls-port", own_port}
    static constexpr std::string_view own_port = "its own port";

    /// @param options of redis.conf, as arguments: {"--maxmemory", "3mb"}
    explicit redis_server(const std::vector<std::string>& options = {});
    redis_server(const redis_server&) = delete;
    redis_server& operator=(const redis_server&) = delete;
    ~redis_server();

    std::uint16_t port() const noexcept { return port_; }
    const std::string& directory() const noexcept { return directory_; }
    std::string socket_path() const { return directory_ + "/redis.sock"; }
    std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
    pid_t id() const noexcept { return id_; }

    redis_reply operator()(const std::vector<std::string>& words) const;

    void signal(int number) const;
    /// SIGKILL, and gone when this returns.
    void kill();
    /// Again, on the same port and in the same folder.
    void start();
    bool runs() const noexcept { return id_ > 0; }

private:
    std::string directory_;
    std::vector<std::string> options_;
    std::uint16_t port_ = 0;
    pid_t id_ = -1;
};

}  // namespace holdfast::test

#endif
