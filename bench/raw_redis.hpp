// What locks in Redis cost without Holdfast: the same commands, sent by as little as can send them.
#ifndef HOLDFAST_BENCH_RAW_REDIS_HPP
#define HOLDFAST_BENCH_RAW_REDIS_HPP

#include "measure.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <span>
#include <string>
#include <string_view>

struct redisContext;
struct redisReader;
struct redisReply;

namespace holdfast::bench {

// All of them are for a server that a `redis://` URL without user, password and database names, and throw where it
// cannot be had.

/// What the exchanges cost at the least: a blocking socket, bytes made beforehand, replies of one line.
class raw_redis {
public:
    explicit raw_redis(const std::string& url);

    bool try_acquire() { return ask(acquire_)[0] == '+'; }
    void release() { ask(release_); }
    // In two parts, so that several servers work at the same time.
    void begin_acquire();
    void begin_release();
    void await_answer() { read_line(); }
    void subscribe();
    void await_message();

    /// -1 where it does not tell.
    int server_process();

private:
    const std::string& ask(const std::string& bytes);
    void read_line();

    boost::asio::io_context io_;
    boost::asio::ip::tcp::socket socket_;
    std::string buffer_;
    std::string line_;
    std::string acquire_;
    std::string release_;
};

/// What they cost with the client library: hiredis' blocking calls.
class hiredis_client {
public:
    explicit hiredis_client(const std::string& url);

    void pair();
    /// The script that @ref pair releases by.
    const std::string& hash() const noexcept { return hash_; }

private:
    struct closer {
        void operator()(redisContext* context) const noexcept;
        void operator()(redisReply* reply) const noexcept;
    };
    using answer = std::unique_ptr<redisReply, closer>;

    answer ask(std::span<const std::string_view> command);

    std::unique_ptr<redisContext, closer> context_;
    std::string hash_;
};

/// What they cost in a coroutine: Asio's socket, hiredis' formatter and reader.
class hiredis_coroutine {
public:
    hiredis_coroutine(const std::string& url, boost::asio::io_context& io);

    /// Runs @p io until that many pairs have been made.
    samples pairs(int count);

private:
    struct closer {
        void operator()(redisReader* reader) const noexcept;
    };

    boost::asio::io_context& io_;
    boost::asio::ip::tcp::socket socket_;
    std::unique_ptr<redisReader, closer> reader_;
    const std::string hash_;
};

}  // namespace holdfast::bench

#endif
