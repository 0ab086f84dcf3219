// A master, its replicas and the sentinels that watch them, for tests.
#ifndef HOLDFAST_TEST_SUPPORT_REDIS_SENTINELS_HPP
#define HOLDFAST_TEST_SUPPORT_REDIS_SENTINELS_HPP

#include <support/redis_server.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

/// One master, two replicas and three sentinels that call the master "shop" and promote a replica within some seconds.
class redis_sentinels {
public:
    /// @param password what the sentinels want of their clients; empty: nothing
    /// @param options of each server and each sentinel
    explicit redis_sentinels(const std::string& password = "", const std::vector<std::string>& options = {});
    redis_sentinels(const redis_sentinels&) = delete;
    redis_sentinels& operator=(const redis_sentinels&) = delete;
    ~redis_sentinels();

    /// Of the servers, as they were at the beginning: 0 is the master.
    redis_server& server(std::size_t number) { return *servers_[number]; }
    const std::vector<std::uint16_t>& ports() const noexcept { return ports_; }
    /// The port that the sentinels name now.
    std::uint16_t master() const;
    void kill_sentinel(std::size_t number);

private:
    std::string socket_of(std::size_t number) const;
    void start_sentinel(std::size_t number);
    redis_reply ask(std::size_t number, const std::vector<std::string>& words) const;

    const std::string password_;
    const std::vector<std::string> options_;
    std::string directory_;
    std::vector<std::unique_ptr<redis_server>> servers_;
    std::vector<std::uint16_t> ports_;
    std::vector<pid_t> ids_;
};

}  // namespace holdfast::test

#endif
