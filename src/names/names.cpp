// Every backend but files and Postgres.
#include "names/names.hpp"

#include "names/encoding.hpp"
#include "names/hash.hpp"
#include "names/safe_name.hpp"
#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

void require_at_most(std::size_t max_units, std::string_view name, const char* what) {
    if (name.size() <= max_units) return;  // No text has more units than bytes.
    const std::size_t units = utf16_length(name);
    if (units <= max_units) return;
    throw error(errc::invalid_name, std::string("the exact name has ") + std::to_string(units) + " UTF-16 units; " +
                                        what + " takes at most " + std::to_string(max_units));
}

void require_not_empty(std::string_view name, const char* what) {
    if (name.empty()) throw error(errc::invalid_name, std::string("the exact name is empty; ") + what + " needs one");
}

/// True for what no ZooKeeper path may hold. Outside the BMP all are: the units there are surrogates.
bool zookeeper_forbids(char32_t code_point) noexcept {
    return code_point <= 0x1F || (code_point >= 0x7F && code_point <= 0x9F) ||
           (code_point >= 0xD800 && code_point <= 0xF8FF) || code_point >= 0xFFF0;
}

/// Empty when @p path is valid; otherwise what is wrong with it.
std::string zookeeper_path_fault(std::string_view path) {
    if (path.empty() || path.front() != '/') return "must start with '/'";
    if (path == "/") return {};
    if (path.back() == '/') return "must not end with '/'";
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view segment = path.substr(at, end - at);
        if (segment.empty()) return "must not hold '//'";
        if (segment == "." || segment == "..") return "must not hold '.' or '..' as a segment";
        at = end + 1;
    }
    std::string fault;
    for_each_code_point(path, [&](char32_t code_point, std::string_view) {
        if (!zookeeper_forbids(code_point)) return true;
        std::string digits;
        append_short_hex(digits, code_point);
        digits.insert(0, digits.size() < 4 ? 4 - digits.size() : 0, '0');
        fault = "must not hold the character U+" + digits;
        return false;
    });
    return fault;
}

/** What .NET's Azure client leaves of a blob's name on its way into a URL: no slashes at the ends, no `.` segments, and
   no
    `..` with the segment before it.

    `./a` and `a` are one blob for .NET, so they are for us.
*/
std::string normalized_blob_name(std::string_view name) {
    std::vector<std::string_view> segments;
    const std::size_t begin = std::min(name.find_first_not_of('/'), name.size());
    const std::size_t end_of_name = name.find_last_not_of('/') + 1;
    for (std::size_t at = begin; at <= end_of_name;) {
        const std::size_t end = std::min(name.find('/', at), end_of_name);
        const std::string_view segment = name.substr(at, end - at);
        if (segment == "..") {
            if (segments.empty()) {
                throw error(errc::invalid_name, "the name leads out of its container; use one with fewer '..'");
            }
            segments.pop_back();
        } else if (segment != ".") {
            segments.push_back(segment);
        }
        at = end + 1;
    }
    std::string result;
    result.reserve(name.size());
    for (std::size_t i = 0; i < segments.size(); ++i) result.append(i > 0 ? "/" : "").append(segments[i]);
    return result;
}

}  // namespace

std::string system_object(std::string_view name, mode how) {
    constexpr std::string_view prefix = "Global\\";
    constexpr std::size_t max_units = 260;

    require_utf8(name);
    if (how == mode::exact) {
        require_at_most(max_units, name, "a kernel object");
        if (!name.starts_with(prefix)) {
            throw error(errc::invalid_name, "an exact name of a kernel object must start with 'Global\\'");
        }
        const std::string_view rest = name.substr(prefix.size());
        if (rest.empty()) throw error(errc::invalid_name, "the exact name has nothing after 'Global\\'");
        if (rest.find('\\') != std::string_view::npos) {
            throw error(errc::invalid_name, "an exact name of a kernel object must not hold '\\' after 'Global\\'");
        }
        return std::string(name);
    }
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    std::string converted = name.empty() ? "EMPTY" : std::string(name);
    std::replace(converted.begin(), converted.end(), '\\', '_');
    return std::string(prefix) + to_safe_name(name, converted, max_units - prefix.size());
}

std::string mysql(std::string_view name, mode how) {
    constexpr std::size_t max_units = 64;

    require_utf8(name);
    std::string lower = to_lower(name);
    if (how == mode::exact) {
        require_not_empty(name, "MySQL");
        require_at_most(max_units, name, "MySQL");
        if (lower != name) {
            throw error(errc::invalid_name,
                        "the exact name has upper-case letters, which MySQL would not tell from "
                        "lower-case ones; write it in lower case");
        }
        return lower;
    }
    return to_safe_name(name, name.empty() ? "__empty__" : lower, max_units, [](std::string_view original) {
        const sha512_digest digest = sha512(original);
        return little_endian_base32(std::span(digest).first<20>(), letter_case::lower);
    });
}

std::string sqlserver(std::string_view name, mode how) {
    constexpr std::size_t max_units = 255;

    require_utf8(name);
    if (how == mode::mapped) return to_safe_name(name, name, max_units);
    require_at_most(max_units, name, "SQL Server");
    return std::string(name);
}

std::string sqlserver_semaphore(std::string_view name) {
    constexpr std::size_t prefix_length = 12;

    require_utf8(name);
    std::string result;
    for_each_code_point(name, [&](char32_t code_point, std::string_view) {
        if (code_point < 0x80 && is_letter_or_digit(code_point)) {
            result += static_cast<char>(code_point);
        } else if (utf16_units(code_point) == 1) {
            append_short_hex(result, code_point);
        } else {
            append_short_hex(result, 0xD7C0 + (code_point >> 10));
            append_short_hex(result, 0xDC00 + (code_point & 0x3FF));
        }
        return result.size() < prefix_length;
    });
    // This may cut a code in two.
    result.resize(std::min(result.size(), prefix_length));
    return result + hex(sha256(name)) + "semaphore";
}

std::string oracle(std::string_view name, mode how) {
    constexpr std::size_t max_units = 128;

    require_utf8(name);
    if (how == mode::mapped) return to_safe_name(name, name.empty() ? "EMPTY" : name, max_units);
    require_not_empty(name, "Oracle");
    require_at_most(max_units, name, "Oracle");
    return std::string(name);
}

std::string redis(std::string_view name) {
    require_utf8(name);
    return std::string(name);
}

redis_rw_keys redis_rw(std::string_view name) {
    const std::string key = redis(name);
    return {key + ".readers", key + ".writer"};
}

std::string mongodb(std::string_view name) {
    require_utf8(name);
    return std::string(name);
}

std::string zookeeper(std::string_view name, std::string_view directory) {
    if (find_invalid_utf8(directory) != std::string_view::npos) {
        throw error(errc::invalid_options, "the directory is not valid UTF-8");
    }
    if (const std::string fault = zookeeper_path_fault(directory); !fault.empty()) {
        throw error(errc::invalid_options,
                    "the directory '" + std::string(directory) + "' is not a path of ZooKeeper: it " + fault);
    }
    require_utf8(name);

    const bool at_root = directory == "/";
    std::string converted;
    if (name.empty()) {
        converted = "EMPTY";
    } else if (name == "." || name == ".." || (at_root && name == "zookeeper")) {
        // The last is the server's own node.
        converted.append(name).append(1, '_');
    } else {
        converted.reserve(name.size());
        for_each_code_point(name, [&](char32_t code_point, std::string_view bytes) {
            if (code_point == U'/' || zookeeper_forbids(code_point)) {
                converted.append(utf16_units(code_point), '_');
            } else {
                converted += bytes;
            }
            return true;
        });
    }
    std::string node = to_safe_name(name, converted, std::numeric_limits<std::size_t>::max());
    // The hash can hold a slash too.
    std::replace(node.begin(), node.end(), '/', '_');
    return (at_root ? "/" : std::string(directory) + '/') + node;
}

std::string zookeeper_exact(std::string_view path) {
    require_utf8(path);
    std::string fault = zookeeper_path_fault(path);
    if (path == "/") fault = "must not be the root";
    if (!fault.empty())
        throw error(errc::invalid_name, "the exact name is not a path of a ZooKeeper node: it " + fault);
    return std::string(path);
}

std::string azure(std::string_view name, azure_service service) {
    constexpr std::size_t max_slashes = 253;

    require_utf8(name);
    std::string converted;
    if (name.empty()) {
        converted = "__EMPTY__";
    } else {
        converted.reserve(name.size());
        std::size_t slashes = 0;
        for (std::size_t at = 0; at < name.size(); ++at) {
            const bool last = at + 1 == name.size();
            const bool slash = name[at] == '/' || name[at] == '\\';
            if (slash && (++slashes > max_slashes || last)) {
                converted += "SLASH";
            } else if (name[at] == '.' && last) {
                converted += "DOT";
            } else {
                converted += name[at];
            }
        }
    }
    return normalized_blob_name(to_safe_name(name, converted, service == azure_service::emulator ? 256 : 1024));
}

std::string azure_exact(std::string_view name) {
    require_utf8(name);
    require_not_empty(name, "Azure");
    return std::string(name);
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
