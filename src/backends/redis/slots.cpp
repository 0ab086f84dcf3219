#include <backends/redis/slots.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

constexpr std::array<std::uint16_t, 256> crc_table = [] {
    std::array<std::uint16_t, 256> made{};
    for (unsigned byte = 0; byte < made.size(); ++byte) {
        unsigned value = byte << 8;
        for (int bit = 0; bit < 8; ++bit) value = (value & 0x8000U) != 0 ? (value << 1) ^ 0x1021U : value << 1;
        made[byte] = static_cast<std::uint16_t>(value);
    }
    return made;
}();

/// The whole of @p text as a number up to @p most.
template <class Number>
std::optional<Number> number_from(std::string_view text, Number most) {
    Number value{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() || value > most) {
        return std::nullopt;
    }
    return value;
}

bool is_host(std::string_view text) noexcept {
    return text.size() <= 255 && text.find('\0') == std::string_view::npos;
}

}  // namespace

std::uint16_t crc16(std::string_view text) noexcept {
    unsigned value = 0;
    for (const char each : text) {
        value = ((value << 8) & 0xffffU) ^ crc_table[((value >> 8) ^ static_cast<unsigned char>(each)) & 0xffU];
    }
    return static_cast<std::uint16_t>(value);
}

std::string_view hashed_part(std::string_view key) noexcept {
    const auto open = key.find('{');
    if (open == std::string_view::npos) return key;
    const auto close = key.find('}', open + 1);
    if (close == std::string_view::npos || close == open + 1) return key;
    return key.substr(open + 1, close - open - 1);
}

std::string tag_of(unsigned slot) {
    static const std::vector<std::uint32_t> table = [] {
        constexpr std::uint32_t none = 0xffffffffU;
        std::vector<std::uint32_t> made(slot_count, none);
        unsigned left = slot_count;
        for (std::uint32_t number = 0; left > 0; ++number) {
            std::uint32_t& tag = made[crc16(std::to_string(number)) % slot_count];
            if (tag != none) continue;
            tag = number;
            --left;
        }
        return made;
    }();
    return std::to_string(table[slot]);
}

std::optional<redirection> redirection_from(std::string_view error) {
    redirection made;
    if (error.starts_with("ASK ")) {
        made.asking = true;
    } else if (!error.starts_with("MOVED ")) {
        return std::nullopt;
    }
    error.remove_prefix(error.find(' ') + 1);
    const auto space = error.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const auto slot = number_from<unsigned>(error.substr(0, space), slot_count - 1);
    const std::string_view where = error.substr(space + 1);
    // An IPv6 address is written without brackets here.
    const auto colon = where.rfind(':');
    if (!slot || colon == std::string_view::npos) return std::nullopt;
    const auto port = number_from<std::uint16_t>(where.substr(colon + 1), 65535);
    if (!port || *port == 0 || !is_host(where.substr(0, colon))) return std::nullopt;
    made.slot = *slot;
    made.where.host = where.substr(0, colon);
    made.where.port = *port;
    return made;
}

std::vector<slot_range> ranges_from(const redisReply& answer) {
    std::vector<slot_range> found;
    if (!is_array(answer) || size_of(answer) > slot_count) return found;
    std::vector<bool> named(slot_count);
    for (std::size_t at = 0; at < size_of(answer); ++at) {
        const redisReply& one = element_of(answer, at);
        if (!is_array(one) || size_of(one) < 3 || !is_integer(element_of(one, 0)) || !is_integer(element_of(one, 1))) {
            continue;
        }
        const long long first = integer_of(element_of(one, 0));
        const long long last = integer_of(element_of(one, 1));
        const redisReply& master = element_of(one, 2);
        if (first < 0 || first > last || last >= slot_count || !is_array(master) || size_of(master) < 2) continue;
        const redisReply& port = element_of(master, 1);
        // Where the host is not known it is null, or "?".
        std::string_view host = text_of(element_of(master, 0));
        if (host == "?") host = {};
        if (!is_host(host) || !is_integer(port) || integer_of(port) < 1 || integer_of(port) > 65535) continue;
        // No node says so; and to go through them all again and again would take minutes.
        for (auto slot = static_cast<std::size_t>(first); slot <= static_cast<std::size_t>(last); ++slot) {
            if (named[slot]) return {};
            named[slot] = true;
        }
        slot_range& made = found.emplace_back();
        made.first = static_cast<unsigned>(first);
        made.last = static_cast<unsigned>(last);
        made.master.host = host;
        made.master.port = static_cast<std::uint16_t>(integer_of(port));
        if (size_of(master) > 2) made.id = text_of(element_of(master, 2));
    }
    return found;
}

std::map<std::string, std::uint64_t, std::less<>> epochs_from(const redisReply& answer) {
    // ID ADDRESS FLAGS MASTER PING PONG EPOCH LINK SLOTS...
    constexpr int epoch_field = 6;
    std::map<std::string, std::uint64_t, std::less<>> found;
    if (is_error(answer)) return found;
    const std::string_view text = text_of(answer);
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        at = end + 1;
        const std::string_view id = line.substr(0, line.find(' '));
        for (int field = 0; field < epoch_field; ++field) {
            const auto space = line.find(' ');
            line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
        }
        const auto epoch = number_from<std::uint64_t>(line.substr(0, line.find(' ')), UINT64_MAX);
        if (epoch && !id.empty()) found.emplace(id, *epoch);
    }
    return found;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
