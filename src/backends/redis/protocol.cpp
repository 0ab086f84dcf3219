#include <backends/redis/protocol.hpp>

#include <holdfast/error.hpp>

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <new>
#include <utility>

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

// Not hiredis's formatter: it prints each length by a general format into a buffer that grows word by word, which was a
// third of what a pair of asynchronous calls cost the client.
void format(std::string& into, std::span<const std::string_view> words) {
    // A mark, the longest number and the line's end.
    constexpr std::size_t longest_head = 1 + std::numeric_limits<std::size_t>::digits10 + 1 + 2;
    std::size_t size = longest_head;
    for (const std::string_view word : words) size += longest_head + word.size() + 2;
    into.resize(size);
    char* at = into.data();
    const auto end_line = [&at] {
        *at++ = '\r';
        *at++ = '\n';
    };
    const auto add_head = [&at, &end_line](char mark, std::size_t number) {
        *at++ = mark;
        // Nearly all have one or two digits, and the general way costs more than the rest of a word.
        if (number >= 100) {
            at = std::to_chars(at, at + longest_head, number).ptr;
        } else {
            if (number >= 10) *at++ = static_cast<char>('0' + number / 10);
            *at++ = static_cast<char>('0' + number % 10);
        }
        end_line();
    };
    add_head('*', words.size());
    for (const std::string_view word : words) {
        add_head('$', word.size());
        at += word.copy(at, word.size());
        end_line();
    }
    into.resize(static_cast<std::size_t>(at - into.data()));
}

std::string format(std::span<const std::string_view> words) {
    std::string made;
    format(made, words);
    return made;
}

std::vector<std::string_view> words_of(std::string_view command) {
    static constexpr std::string_view line_end = "\r\n";
    const auto take_head = [&command] {
        std::size_t number = 0;
        std::from_chars(command.data() + 1, command.data() + command.size(), number);
        command.remove_prefix(command.find(line_end) + line_end.size());
        return number;
    };
    std::vector<std::string_view> words(take_head());
    for (std::string_view& word : words) {
        const std::size_t size = take_head();
        word = command.substr(0, size);
        command.remove_prefix(size + line_end.size());
    }
    return words;
}

void reply_reader::deleter::operator()(redisReader* reader) const noexcept {
    redisReaderFree(reader);
}

/// Of one reply.
struct reply_reader::bounds {
    explicit bounds(const redisReplyObjectFunctions& parser) : own(parser) {}

    /// Refuses before there is an object for each element.
    static void* create_array(const redisReadTask* task, int elements) {
        auto* const self = static_cast<bounds*>(task->privdata);
        const auto more = static_cast<std::size_t>(std::max(elements, 0));
        self->exceeded = self->exceeded || more > self->most_elements - self->elements;
        if (self->exceeded) return nullptr;
        self->elements += more;
        return self->create(task, elements);
    }

    redisReplyObjectFunctions own;
    void* (*create)(const redisReadTask*, int) = std::exchange(own.createArray, &create_array);
    std::size_t most_bytes = std::size_t{256} << 10;
    std::size_t most_elements = 4096;
    std::size_t elements = 0;
    bool exceeded = false;
};

reply_reader::reply_reader() : reader_(redisReaderCreate()) {
    if (reader_ == nullptr) throw std::bad_alloc();
    bounds_ = std::make_shared<bounds>(*reader_->fn);
    reader_->fn = &bounds_->own;
    reader_->privdata = bounds_.get();
}

void reply_reader::trust() noexcept {
    bounds_->most_bytes = std::size_t{64} << 20;
    bounds_->most_elements = std::size_t{1} << 20;
}

void reply_reader::feed(const char* bytes, std::size_t size) {
    if (redisReaderFeed(reader_.get(), bytes, size) != REDIS_OK) throw std::bad_alloc();
}

reply_value reply_reader::next() {
    void* made = nullptr;
    const bool done = redisReaderGetReply(reader_.get(), &made) == REDIS_OK;
    // What has not come to an end stays in the parser's buffer.
    if (bounds_->exceeded || (done && made == nullptr && full())) {
        throw error(errc::protocol, "what answers there says more than a Redis server has to say");
    }
    if (!done) {
        if (reader_->err == REDIS_ERR_OOM) throw std::bad_alloc();
        throw error(errc::protocol, "what answers there does not speak the Redis protocol");
    }
    if (made != nullptr) bounds_->elements = 0;
    return reply_value(static_cast<redisReply*>(made));
}

bool reply_reader::full() const noexcept {
    return reader_->len - reader_->pos > bounds_->most_bytes;
}

bool reply_reader::empty() const noexcept {
    return reader_->pos == reader_->len && reader_->ridx == -1;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
