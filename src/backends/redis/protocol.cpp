#include <backends/redis/protocol.hpp>

#include <holdfast/error.hpp>

#include <hiredis/hiredis.h>

#include <new>

namespace holdfast {
inline namespace v0 {
namespace redis {

void reply_deleter::operator()(redisReply* reply) const noexcept {
    freeReplyObject(reply);
}

bool is_integer(const redisReply& reply) noexcept {
    return reply.type == REDIS_REPLY_INTEGER;
}
bool is_status(const redisReply& reply) noexcept {
    return reply.type == REDIS_REPLY_STATUS;
}
bool is_nil(const redisReply& reply) noexcept {
    return reply.type == REDIS_REPLY_NIL;
}
bool is_error(const redisReply& reply) noexcept {
    return reply.type == REDIS_REPLY_ERROR;
}
bool is_array(const redisReply& reply) noexcept {
    return reply.type == REDIS_REPLY_ARRAY;
}
long long integer_of(const redisReply& reply) noexcept {
    return reply.integer;
}
std::string_view text_of(const redisReply& reply) noexcept {
    return reply.str == nullptr ? std::string_view() : std::string_view(reply.str, reply.len);
}
std::size_t size_of(const redisReply& reply) noexcept {
    return reply.elements;
}
const redisReply& element_of(const redisReply& reply, std::size_t index) noexcept {
    return *reply.element[index];
}

std::string format(const std::vector<std::string_view>& words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    texts.reserve(words.size());
    sizes.reserve(words.size());
    for (const std::string_view word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    sds made = nullptr;
    const int size = redisFormatSdsCommandArgv(&made, static_cast<int>(words.size()), texts.data(), sizes.data());
    if (size < 0) throw std::bad_alloc();
    const std::unique_ptr<char, void (*)(sds)> owner(made, &redisFreeSdsCommand);
    return {made, static_cast<std::size_t>(size)};
}

void reply_reader::deleter::operator()(redisReader* reader) const noexcept {
    redisReaderFree(reader);
}

reply_reader::reply_reader() : reader_(redisReaderCreate()) {
    if (reader_ == nullptr) throw std::bad_alloc();
}

void reply_reader::feed(const char* bytes, std::size_t size) {
    if (redisReaderFeed(reader_.get(), bytes, size) != REDIS_OK) throw std::bad_alloc();
}

reply_value reply_reader::next() {
    void* made = nullptr;
    if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK) {
        if (reader_->err == REDIS_ERR_OOM) throw std::bad_alloc();
        throw error(errc::protocol, "what answers there does not speak the Redis protocol");
    }
    return reply_value(static_cast<redisReply*>(made));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
