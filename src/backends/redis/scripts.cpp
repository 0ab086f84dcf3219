#include <backends/redis/protocol.hpp>
#include <backends/redis/scripts.hpp>
#include <names/hash.hpp>

#include <boost/container/small_vector.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

std::string hash_of(std::string_view source) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : names::sha1(source)) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

// Whether an id, or the mark of a waiting writer, is ours.
const char* const one_heard = R"(
local function heard(id) return string.find(id, '_hf1', 1, true) and 1 or 0 end
)";

// Of many holders any may be the one to leave; more than a few are not looked at.
const char* const all_heard = R"(
local function all_heard(ids)
    for _, id in ipairs(ids) do
        if heard(id) == 0 then return 0 end
    end
    return 1
end
)";

// A member in a key without an expiry would be there for ever, so whoever cannot set one takes its member back.
const char* const keep = R"(
local function keep(key, expiry)
    local done = redis.pcall('pttl', key)
    if type(done) == 'number' and done < tonumber(expiry) then done = redis.pcall('pexpire', key, expiry) end
    return type(done) == 'table' and done.err and done
end
)";

// By the server's clock, in milliseconds and fractions of them, as .NET counts.
const char* const server_now = R"(
local time = redis.call('time')
local now = time[1] * 1000 + time[2] / 1000
)";

// Tells whoever waits. The third argument: in a cluster, by a sharded channel, which servers before Redis 7 do not
// know. Users without the right to publish must still be able to release: pcall, and only after the key is gone.
const char* const announcement = R"(
if ARGV[2] ~= '' and not (ARGV[3] and type(redis.pcall('spublish', ARGV[2], '')) == 'number') then
    redis.pcall('publish', ARGV[2], '')
end
)";

}  // namespace

script::script(std::string source) : source_(std::move(source)), hash_(hash_of(source_)) {}

void script::call(std::string& into, std::span<const std::string_view> keys,
                  std::span<const std::string_view> arguments, std::string_view last_key) const {
    const std::string count = std::to_string(keys.size() + (last_key.empty() ? 0 : 1));
    // Most fit on the stack: this is done for every acquire and release.
    boost::container::small_vector<std::string_view, 16> words{"EVALSHA", hash_, count};
    words.insert(words.end(), keys.begin(), keys.end());
    if (!last_key.empty()) words.push_back(last_key);
    words.insert(words.end(), arguments.begin(), arguments.end());
    format(into, words);
}

std::string script::with_source(const std::string& call) const {
    constexpr std::string_view command = "$7\r\nEVALSHA\r\n";
    constexpr std::size_t hash_size = sizeof "$40\r\n" - 1 + 40 + 2;
    const auto count_end = call.find('\n') + 1;
    return call.substr(0, count_end) + "$4\r\nEVAL\r\n$" + std::to_string(source_.size()) + "\r\n" + source_ + "\r\n" +
           call.substr(count_end + command.size() + hash_size);
}

const script& scripts::lock_acquire() {
    static const script made(std::string(one_heard) + R"(
local holder = redis.call('get', KEYS[1])
if not holder then
    local token = KEYS[2] and redis.call('incr', KEYS[2])
    redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
    return {1, token}
end
if holder == ARGV[1] then
    local token = KEYS[2] and redis.call('incr', KEYS[2])
    redis.call('pexpire', KEYS[1], ARGV[2])
    return {1, token}
end
return {0, redis.call('pttl', KEYS[1]), heard(holder)}
)");
    return made;
}

const script& scripts::lock_renew() {
    static const script made(R"(
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end
return 0
)");
    return made;
}

// One key of a stranger's type must not keep the others from being renewed. Any other error ends the script, and each
// of them is renewed alone then.
const script& scripts::locks_renew() {
    static const script made(R"(
local function renew(key, id)
    local holder = redis.pcall('get', key)
    if type(holder) == 'table' then return holder end
    if holder ~= id then return 0 end
    return redis.pcall('pexpire', key, ARGV[1])
end
local answers = {}
for at, key in ipairs(KEYS) do
    local answer = renew(key, ARGV[at + 1])
    if type(answer) == 'table' then
        if not string.find(answer.err, 'WRONGTYPE', 1, true) then return answer end
        answer = -1
    end
    answers[at] = answer
end
return answers
)");
    return made;
}

const script& scripts::lock_release() {
    static const script made(std::string(R"(
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1])
)") + announcement + R"(
return 1
)");
    return made;
}

const script& scripts::read_acquire() {
    static const script made(std::string(one_heard) + keep + R"(
local again = ARGV[3] == '1' and redis.call('sismember', KEYS[2], ARGV[1]) == 1
if not again then
    local writer = redis.call('get', KEYS[1])
    if writer then return {0, redis.call('pttl', KEYS[1]), heard(writer)} end
end
local token = KEYS[3] and redis.call('incr', KEYS[3])
local added = redis.call('sadd', KEYS[2], ARGV[1])
local wrong = keep(KEYS[2], ARGV[2])
if wrong then
    if added == 1 then redis.pcall('srem', KEYS[2], ARGV[1]) end
    return wrong
end
return {1, token}
)");
    return made;
}

const script& scripts::read_renew() {
    static const script made(R"(
if redis.call('sismember', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[2]) then redis.call('pexpire', KEYS[1], ARGV[2]) end
return 1
)");
    return made;
}

const script& scripts::read_confirm() {
    static const script made(R"(
if redis.call('sismember', KEYS[1], ARGV[1]) == 0 then return 0 end
return redis.call('pexpire', KEYS[1], math.max(redis.call('pttl', KEYS[1]), tonumber(ARGV[2])))
)");
    return made;
}

// In a slot that is moving, a node may not say that a key is gone: pcall, because the reader has left by then.
const script& scripts::read_release() {
    static const script made(std::string(R"(
if redis.call('srem', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.pcall('exists', KEYS[1]) == 1 then return 1 end
)") + announcement + R"(
return 1
)");
    return made;
}

const script& scripts::write_acquire() {
    static const script made(std::string(one_heard) + all_heard + R"(
local writer = redis.call('get', KEYS[1])
if writer == ARGV[1] then
    local token = KEYS[3] and redis.call('incr', KEYS[3])
    redis.call('pexpire', KEYS[1], ARGV[2])
    return {1, token}
end
local mark = ARGV[1] .. '_WRITERWAITING'
if writer and writer ~= mark then return {0, redis.call('pttl', KEYS[1]), heard(writer)} end
local readers = redis.call('scard', KEYS[2])
if readers == 0 then
    local token = KEYS[3] and redis.call('incr', KEYS[3])
    redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
    return {1, token}
end
if writer then
    redis.call('pexpire', KEYS[1], ARGV[2])
elseif ARGV[3] == '1' then
    redis.call('set', KEYS[1], mark, 'px', ARGV[2])
end
local known = readers <= 8 and all_heard(redis.call('smembers', KEYS[2])) or 0
return {0, redis.call('pttl', KEYS[2]), known}
)");
    return made;
}

const script& scripts::write_release() {
    static const script made(std::string(R"(
local writer = redis.call('get', KEYS[1])
if writer ~= ARGV[1] and writer ~= ARGV[1] .. '_WRITERWAITING' then return 0 end
redis.call('del', KEYS[1])
)") + announcement + R"(
return writer == ARGV[1] and 1 or 0
)");
    return made;
}

const script& scripts::write_withdraw() {
    static const script made(std::string(R"(
if redis.call('get', KEYS[1]) ~= ARGV[1] .. '_WRITERWAITING' then return 0 end
redis.call('del', KEYS[1])
)") + announcement + R"(
return 1
)");
    return made;
}

const script& scripts::ticket_acquire() {
    static const script made(std::string(one_heard) + all_heard + keep + server_now + R"(
redis.call('zremrangebyscore', KEYS[1], '-inf', now)
local again = ARGV[5] == '1' and redis.call('zscore', KEYS[1], ARGV[1])
if not again and redis.call('zcard', KEYS[1]) >= tonumber(ARGV[3]) then
    local first = redis.call('zrange', KEYS[1], 0, 0, 'withscores')
    local known = redis.call('zcard', KEYS[1]) <= 8 and all_heard(redis.call('zrange', KEYS[1], 0, -1)) or 0
    return {0, math.ceil(tonumber(first[2]) - now), known}
end
local token = KEYS[2] and redis.call('incr', KEYS[2])
local added = redis.call('zadd', KEYS[1], now + ARGV[2], ARGV[1])
local wrong = keep(KEYS[1], ARGV[4])
if wrong then
    if added == 1 then redis.pcall('zrem', KEYS[1], ARGV[1]) end
    return wrong
end
return {1, token}
)");
    return made;
}

const script& scripts::ticket_renew() {
    static const script made(std::string(server_now) + R"(
local changed = redis.call('zadd', KEYS[1], 'xx', 'ch', now + ARGV[2], ARGV[1])
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[3]) then redis.call('pexpire', KEYS[1], ARGV[3]) end
return changed
)");
    return made;
}

const script& scripts::ticket_release() {
    static const script made(std::string(R"(
if redis.call('zrem', KEYS[1], ARGV[1]) == 0 then return 0 end
)") + announcement + R"(
return 1
)");
    return made;
}

const script& scripts::ticket_count() {
    static const script made(std::string(server_now) + R"(
redis.call('zremrangebyscore', KEYS[1], '-inf', now)
return math.max(0, tonumber(ARGV[1]) - redis.call('zcard', KEYS[1]))
)");
    return made;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
