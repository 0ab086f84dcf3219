#include <holdfast/error.hpp>
#include <holdfast/url.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

namespace holdfast {
inline namespace v0 {
namespace {

// Errors never quote what stands in a URL beyond its scheme and its options' names: the rest may be a secret.
[[noreturn]] void refuse(const std::string& message) {
    throw error(errc::invalid_options, "URL: " + message);
}

bool is_alpha(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string decoded(std::string_view text, const char* part) {
    std::string plain;
    plain.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (i + 2 >= text.size() || high < 0 || low < 0) {
            refuse(std::string("a '%' in its ") + part +
                   " must be followed by two hexadecimal digits; write %25 for '%'");
        }
        const char byte = static_cast<char>(high * 16 + low);
        if (byte == '\0') refuse(std::string("%00 in its ") + part + " is not allowed");
        plain += byte;
        i += 2;
    }
    return plain;
}

std::string lower(std::string_view text) {
    std::string made(text);
    std::transform(made.begin(), made.end(), made.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return made;
}

/// @param what names it at the beginning of a sentence
int whole_number(std::string_view text, const std::string& what, int least, int most) {
    int value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || value < least || value > most) {
        refuse(what + " is a number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
}

/// Whether all that stands behind a colon in @p hosts is a number, as ports are. Else it is a password, likely.
bool has_ports_only(std::string_view hosts) {
    for (;;) {
        const auto comma = hosts.find(',');
        const std::string_view one = hosts.substr(0, comma);
        const auto colon = one.find(':', one.starts_with('[') ? one.find(']') : 0);
        if (colon != std::string_view::npos &&
            one.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
            return false;
        }
        if (comma == std::string_view::npos) return true;
        hosts.remove_prefix(comma + 1);
    }
}

bool is_secret(std::string_view option) {
    const std::string name = lower(option);
    for (const char* word : {"pass", "pwd", "secret", "token", "key", "credential", "auth", "sas", "sig"}) {
        if (name.find(word) != std::string::npos) return true;
    }
    return false;
}

}  // namespace

url url::parse(std::string_view text) {
    url made;
    const auto colon = text.find(':');
    if (text.empty()) refuse("it is empty; write for instance file:///var/lock/app");
    if (colon == std::string_view::npos || colon == 0) {
        refuse("it has no scheme; write for instance file:///var/lock/app");
    }
    const std::string_view scheme = text.substr(0, colon);
    const auto legal = [](char c) { return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; };
    if (!is_alpha(scheme.front()) || !std::all_of(scheme.begin(), scheme.end(), legal)) {
        refuse("its scheme, the part before the first ':', must be letters, digits, '+', '-' and '.'");
    }
    made.scheme_ = lower(scheme);
    const auto unprintable = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
    };
    if (std::any_of(text.begin(), text.end(), unprintable)) {
        refuse("it holds a control character; write it as %xx");
    }

    std::string_view rest = text.substr(colon + 1);
    if (const auto hash = rest.find('#'); hash != std::string_view::npos) {
        refuse("it holds a '#'; write %23 for one that belongs to a value");
    }
    std::string_view query;
    if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
        query = rest.substr(mark + 1);
        rest = rest.substr(0, mark);
    }
    if (rest.substr(0, 2) == "//") {
        made.has_authority_ = true;
        rest.remove_prefix(2);
        const auto slash = rest.find('/');
        std::string_view authority = rest.substr(0, slash);
        rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
        if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
            std::string_view who = authority.substr(0, at);
            authority.remove_prefix(at + 1);
            // There, unlike elsewhere, several hosts with a password each would be one host with a long password.
            if (made.scheme_.starts_with("redis") && who.find_first_of("@,") != std::string_view::npos) {
                refuse(
                    "user and password stand there once, before the first host; in them write %40 for '@' and %2C for "
                    "','");
            }
            if (const auto split = who.find(':'); split != std::string_view::npos) {
                made.password_ = decoded(who.substr(split + 1), "password");
                who = who.substr(0, split);
            }
            made.user_ = decoded(who, "user name");
        }
        // More likely a password with a slash than a path with an '@', and then the rest of it would be shown.
        if (!authority.empty() && (!made.user_ || made.password_) && rest.find('@') != std::string_view::npos) {
            refuse("there is a '/' before its '@'; write %2F for one in a password, %40 for an '@' in a path");
        }
        if (!made.user_ && query.find('@') != std::string_view::npos && !has_ports_only(authority)) {
            refuse("there is a '?' before its '@'; write %3F for one in a password");
        }
        made.authority_ = decoded(authority, "host");
    }
    made.path_ = decoded(rest, "path");

    while (!query.empty()) {
        const auto end = query.find('&');
        const std::string_view item = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
        if (item.empty()) continue;
        const auto equals = item.find('=');
        const std::string_view name = item.substr(0, equals);
        option one;
        one.name = decoded(name, "option's name");
        if (equals != std::string_view::npos) one.value = decoded(item.substr(equals + 1), "option's value");
        if (one.name.empty()) refuse("an option has no name before its '='");
        // One that is written %40 is meant.
        if (name.find('@') != std::string_view::npos) {
            refuse("an option's name holds an '@'; write %3F for a '?' in a password");
        }
        for (const option& other : made.options_) {
            if (other.name == one.name) refuse("the option '" + one.name + "' stands there twice");
        }
        made.options_.push_back(std::move(one));
    }
    return made;
}

std::string url::masked() const {
    std::string text = scheme_ + ':';
    if (has_authority_) {
        text += "//";
        if (user_) text += *user_;
        if (password_) text += ":***";
        if (user_ || password_) text += '@';
        text += authority_;
    }
    const auto at = has_authority_ ? std::string::npos : path_.rfind('@');
    // Where the slashes were forgotten, what is in front of an '@' is a user and a password all the same.
    text += at == std::string::npos ? path_ : "***" + path_.substr(at);
    char separator = '?';
    for (const option& each : options_) {
        text += separator + each.name + '=' + (is_secret(each.name) ? "***" : each.value);
        separator = '&';
    }
    return text;
}

option_reader::option_reader(const url& source) : source_(source), taken_(source.options().size(), false) {}

const url::option* option_reader::take(std::string_view name) {
    known_.emplace_back(name);
    const auto& all = source_.options();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].name != name) continue;
        taken_[i] = true;
        return &all[i];
    }
    return nullptr;
}

std::optional<std::string> option_reader::text(std::string_view name) {
    const url::option* found = take(name);
    if (found == nullptr) return std::nullopt;
    return found->value;
}

std::optional<bool> option_reader::boolean(std::string_view name) {
    const url::option* found = take(name);
    if (found == nullptr) return std::nullopt;
    const std::string& value = found->value;
    if (value.empty() || value == "true" || value == "1" || value == "yes") return true;
    if (value == "false" || value == "0" || value == "no") return false;
    refuse("the option '" + found->name + "' is true or false");
}

std::optional<int> option_reader::number(std::string_view name, int least, int most) {
    const url::option* found = take(name);
    if (found == nullptr) return std::nullopt;
    return whole_number(found->value, "the option '" + found->name + "'", least, most);
}

std::optional<std::chrono::milliseconds> option_reader::time(std::string_view name, std::chrono::milliseconds plain) {
    const url::option* found = take(name);
    if (found == nullptr) return std::nullopt;
    const std::string_view value = found->value;
    const std::string option = "the option '" + found->name + "'";
    const auto digits = std::min(value.find_first_not_of("0123456789"), value.size());
    const std::string_view unit = value.substr(digits);
    const auto scale = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : unit.empty() ? plain.count() : 0;
    if (digits == 0 || scale == 0) refuse(option + " is a time such as 500ms, 30s or 2m");
    const auto most = static_cast<int>(std::numeric_limits<int>::max() / scale);
    return std::chrono::milliseconds(scale) *
           whole_number(value.substr(0, digits), option + ", before its unit,", 0, most);
}

void option_reader::finish() const {
    const auto& all = source_.options();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (taken_[i]) continue;
        std::string known;
        for (const std::string& each : known_) known += (known.empty() ? "" : ", ") + each;
        refuse("unknown option '" + all[i].name + "' for " + source_.scheme() + ":" +
               (known.empty() ? "; it has no options" : "; there are " + known));
    }
}

}  // namespace v0
}  // namespace holdfast
