// What is written to a Redis server, and what is read from it, by hiredis's parser.
#ifndef HOLDFAST_BACKENDS_REDIS_PROTOCOL_HPP
#define HOLDFAST_BACKENDS_REDIS_PROTOCOL_HPP

#include <holdfast/config.hpp>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;
struct redisReply;

namespace holdfast {
inline namespace v0 {
namespace redis {

struct reply_deleter {
    void operator()(redisReply* reply) const noexcept;
};
/// One reply of the server.
using reply_value = std::unique_ptr<redisReply, reply_deleter>;

bool is_integer(const redisReply& reply) noexcept;
bool is_status(const redisReply& reply) noexcept;
bool is_nil(const redisReply& reply) noexcept;
bool is_error(const redisReply& reply) noexcept;
bool is_array(const redisReply& reply) noexcept;
long long integer_of(const redisReply& reply) noexcept;
/// The text of a string, a status or an error.
std::string_view text_of(const redisReply& reply) noexcept;
std::size_t size_of(const redisReply& reply) noexcept;
/// @pre is_array, index < size_of
const redisReply& element_of(const redisReply& reply, std::size_t index) noexcept;

/// A command as it goes over the wire: an array of strings of any bytes (redis.io/docs/reference/protocol-spec).
std::string format(std::span<const std::string_view> words);
/// The same in place of what @p into was, whose room is used again.
void format(std::string& into, std::span<const std::string_view> words);
inline std::string format(std::initializer_list<std::string_view> words) {
    return format(std::span(words.begin(), words.size()));
}
/// The words of what `format` has made.
std::vector<std::string_view> words_of(std::string_view command);

/** Puts bytes together to replies.

    Whatever answers at an address may say anything, for ever. Until it has shown that it is the server that is meant, a
    reply may be of 256 KiB with 4,096 elements; then of 64 MiB with a million.
*/
class reply_reader {
public:
    reply_reader();

    /// From now on for replies of the server that is meant.
    void trust() noexcept;
    void feed(const char* bytes, std::size_t size);
    /// The next whole reply; null when there is none yet.
    /// Throws @ref error with `errc::protocol` for what no Redis server says, and for a reply that is too large.
    reply_value next();
    /// More than the largest reply: what is here is to be looked at before more is read.
    bool full() const noexcept;
    /// Nothing is left over, not even the beginning of a reply.
    bool empty() const noexcept;

private:
    struct deleter {
        void operator()(redisReader* reader) const noexcept;
    };
    struct bounds;

    // Where the parser finds it, wherever the reader is moved to.
    std::shared_ptr<bounds> bounds_;
    std::unique_ptr<redisReader, deleter> reader_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
