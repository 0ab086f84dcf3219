#include "raw_redis.hpp"

#include <holdfast/error.hpp>
#include <holdfast/url.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <hiredis/hiredis.h>

#include <array>
#include <chrono>
#include <exception>
#include <new>
#include <tuple>
#include <utility>

namespace holdfast::bench {
namespace {

using boost::asio::ip::tcp;

// Of the same length and the same effect as ours.
constexpr std::string_view raw_key = "holdfast-bench:raw";
constexpr std::string_view raw_id = "machine_12345_0123456789abcdef0123456789abcdef_raw";
constexpr std::string_view raw_release =
    "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('del', KEYS[1]) "
    "redis.pcall('publish', ARGV[2], '') return 1";

using words = std::span<const std::string_view>;
using command_words = std::array<std::string_view, 6>;

constexpr std::array<std::string_view, 3> load_words{"SCRIPT", "LOAD", raw_release};
constexpr command_words acquire_words{"SET", raw_key, raw_id, "NX", "PX", "30000"};
constexpr command_words release_words(std::string_view hash) {
    return {"EVALSHA", hash, "1", raw_key, raw_id, raw_key};
}

std::string command(words all) {
    std::string made = "*" + std::to_string(all.size()) + "\r\n";
    for (const std::string_view word : all) {
        made += "$" + std::to_string(word.size()) + "\r\n" + std::string(word) + "\r\n";
    }
    return made;
}

struct place {
    std::string host;
    std::string port;
};

place place_of(const std::string& text) {
    const std::string where = url::parse(text).authority();
    const auto colon = where.rfind(':');
    return {where.substr(0, colon), colon == std::string::npos ? "6379" : where.substr(colon + 1)};
}

void connect(tcp::socket& socket, boost::asio::io_context& io, const std::string& text) {
    const place where = place_of(text);
    boost::asio::connect(socket, tcp::resolver(io).resolve(where.host, where.port));
    socket.set_option(tcp::no_delay(true));
}

/// A command's words as hiredis takes them.
struct arguments {
    explicit arguments(words all) : count(static_cast<int>(all.size())) {
        for (std::size_t at = 0; at < all.size(); ++at) {
            texts[at] = all[at].data();
            sizes[at] = all[at].size();
        }
    }

    std::array<const char*, std::tuple_size_v<command_words>> texts{};
    std::array<std::size_t, std::tuple_size_v<command_words>> sizes{};
    const int count;
};

struct formatted {
    explicit formatted(words all) {
        arguments from(all);
        size = ::redisFormatCommandArgv(&bytes, from.count, from.texts.data(), from.sizes.data());
        if (size < 0) throw std::bad_alloc();
    }
    formatted(const formatted&) = delete;
    formatted& operator=(const formatted&) = delete;
    ~formatted() { ::redisFreeCommand(bytes); }

    char* bytes = nullptr;
    long long size = 0;
};

boost::asio::awaitable<void> make_pairs(tcp::socket& socket, redisReader& reader, const std::string& hash, int count,
                                        samples& taken) {
    const std::array<command_words, 2> commands{acquire_words, release_words(hash)};
    std::array<char, 4096> room;
    for (int made = 0; made < count; ++made) {
        const auto from = std::chrono::steady_clock::now();
        for (const command_words& all : commands) {
            const formatted request(all);
            co_await boost::asio::async_write(
                socket, boost::asio::buffer(request.bytes, static_cast<std::size_t>(request.size)),
                boost::asio::use_awaitable);
            void* reply = nullptr;
            while (reply == nullptr) {
                const auto got = co_await socket.async_read_some(boost::asio::buffer(room), boost::asio::use_awaitable);
                if (::redisReaderFeed(&reader, room.data(), got) != REDIS_OK ||
                    ::redisReaderGetReply(&reader, &reply) != REDIS_OK) {
                    throw error(errc::protocol, "hiredis cannot read the reply");
                }
            }
            ::freeReplyObject(reply);
        }
        taken.push_back(us_since(from));
    }
}

}  // namespace

raw_redis::raw_redis(const std::string& url) : socket_(io_) {
    connect(socket_, io_, url);
    ask(command(load_words));
    acquire_ = command(acquire_words);
    release_ = command(release_words(line_));
}

void raw_redis::begin_acquire() {
    boost::asio::write(socket_, boost::asio::buffer(acquire_));
}

void raw_redis::begin_release() {
    boost::asio::write(socket_, boost::asio::buffer(release_));
}

void raw_redis::subscribe() {
    ask(command(std::array<std::string_view, 2>{"SUBSCRIBE", raw_key}));
    for (int lines = 0; lines < 5; ++lines) read_line();
}

void raw_redis::await_message() {
    for (int lines = 0; lines < 7; ++lines) read_line();
}

int raw_redis::server_process() {
    boost::asio::write(socket_, boost::asio::buffer(command(std::array<std::string_view, 2>{"INFO", "server"})));
    int found = -1;
    read_line();
    if (line_[0] != '$') return found;
    constexpr std::string_view field = "process_id:";
    for (auto left = std::stol(line_.substr(1)) + 2; left > 0; left -= static_cast<long>(line_.size()) + 2) {
        read_line();
        if (line_.starts_with(field)) found = std::stoi(line_.substr(field.size()));
    }
    return found;
}

const std::string& raw_redis::ask(const std::string& bytes) {
    boost::asio::write(socket_, boost::asio::buffer(bytes));
    read_line();
    // The one reply with a second line is SCRIPT LOAD's.
    if (line_[0] == '$' && line_ != "$-1") read_line();
    return line_;
}

void raw_redis::read_line() {
    const auto size = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(buffer_), "\r\n");
    line_ = buffer_.substr(0, size - 2);
    buffer_.erase(0, size);
}

hiredis_client::hiredis_client(const std::string& url) {
    const place where = place_of(url);
    context_.reset(::redisConnect(where.host.c_str(), std::stoi(where.port)));
    if (context_ == nullptr || context_->err != 0) throw error(errc::unavailable, "hiredis cannot connect");
    const answer made = ask(load_words);
    hash_.assign(made->str, made->len);
}

void hiredis_client::pair() {
    ask(acquire_words);
    ask(release_words(hash_));
}

void hiredis_client::closer::operator()(redisContext* context) const noexcept {
    ::redisFree(context);
}

void hiredis_client::closer::operator()(redisReply* reply) const noexcept {
    ::freeReplyObject(reply);
}

hiredis_client::answer hiredis_client::ask(std::span<const std::string_view> command) {
    arguments all(command);
    answer made(
        static_cast<redisReply*>(::redisCommandArgv(context_.get(), all.count, all.texts.data(), all.sizes.data())));
    if (made == nullptr) throw error(errc::unavailable, context_->errstr);
    return made;
}

hiredis_coroutine::hiredis_coroutine(const std::string& url, boost::asio::io_context& io)
    : io_(io), socket_(io), reader_(::redisReaderCreate()), hash_(hiredis_client(url).hash()) {
    if (reader_ == nullptr) throw std::bad_alloc();
    connect(socket_, io, url);
}

void hiredis_coroutine::closer::operator()(redisReader* reader) const noexcept {
    ::redisReaderFree(reader);
}

samples hiredis_coroutine::pairs(int count) {
    samples taken;
    boost::asio::co_spawn(io_, make_pairs(socket_, *reader_, hash_, count, taken),
                          [](const std::exception_ptr& thrown) {
                              if (thrown) std::rethrow_exception(thrown);
                          });
    io_.restart();
    io_.run();
    return taken;
}

}  // namespace holdfast::bench
