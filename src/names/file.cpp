// Lock files.
#include "names/encoding.hpp"
#include "names/hash.hpp"
#include "names/names.hpp"
#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <span>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

constexpr char separator = '/';

struct free_memory {
    void operator()(char* memory) const noexcept { std::free(memory); }
};

/** What .NET's Path.GetFullPath makes of a path: absolute, without `.`, `..` and doubled separators, and with a
   separator at the end if there was one (`/a/` stays, but `/a/.` is `/a`). `..` takes the previous name away, symbolic
   link or not.
*/
std::string full_path(std::string_view path, errc code) {
    std::string absolute;
    if (path.front() != separator) {
        const std::unique_ptr<char, free_memory> current(::getcwd(nullptr, 0));
        if (!current) {
            throw error(code, "the path '" + std::string(path) +
                                  "' is relative, and there is no current directory any more; give an absolute path");
        }
        absolute.append(current.get()).append(1, separator);
    }
    absolute.append(path);

    std::string result;
    result.reserve(absolute.size());
    const std::string_view rest = absolute;
    for (std::size_t at = 0; at < rest.size();) {
        // Here rest[at] is a separator; take it with the name that follows.
        const std::size_t end = std::min(rest.find(separator, at + 1), rest.size());
        const std::string_view name = rest.substr(at + 1, end - at - 1);
        if (name == "..") {
            result.resize(result.empty() ? 0 : result.rfind(separator));
        } else if (name != "." && (!name.empty() || end == rest.size())) {
            result.append(1, separator).append(name);
        }
        at = end;
    }
    if (result.empty()) result = separator;
    return result;
}

}  // namespace

std::string file_name(std::string_view name) {
    constexpr std::size_t max_prefix_units = 27;
    constexpr std::size_t hashed_bytes = 20;
    constexpr std::string_view extension = ".lock";

    require_utf8(name);
    std::string result;
    result.reserve(3 * max_prefix_units + 32 + extension.size());
    std::size_t units = 0;
    for_each_code_point(name, [&](char32_t code_point, std::string_view bytes) {
        if (is_letter_or_digit(code_point)) {
            result += bytes;
            ++units;
        } else {
            // Each half of a pair becomes an underscore of its own.
            const std::size_t count = std::min(utf16_units(code_point), max_prefix_units - units);
            result.append(count, '_');
            units += count;
        }
        return units < max_prefix_units;
    });
    const sha512_digest digest = sha512(name);
    result += little_endian_base32(std::span(digest).first<hashed_bytes>(), letter_case::upper);
    result += extension;
    return result;
}

std::string file_path(std::string_view directory, std::string_view name) {
    if (directory.empty()) throw error(errc::invalid_options, "the directory of lock files is empty; give a path");
    if (directory.find('\0') != std::string_view::npos) {
        throw error(errc::invalid_options, "the directory of lock files holds a NUL character, which no path can");
    }
    std::string path = full_path(directory, errc::invalid_options);
    if (path.back() != separator) path += separator;
    path += file_name(name);
    return path;
}

std::string exact_file_path(std::string_view path) {
    require_utf8(path);
    if (path.empty()) throw error(errc::invalid_name, "the path of the lock file is empty; give the path of a file");
    if (path.find('\0') != std::string_view::npos) {
        throw error(errc::invalid_name, "the path of the lock file holds a NUL character, which no path can");
    }
    std::string full = full_path(path, errc::invalid_name);
    if (full.back() == separator) {
        throw error(errc::invalid_name, "'" + std::string(path) + "' is a directory; give the path of a file");
    }
    return full;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
