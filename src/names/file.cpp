// Lock files.
#include "names/encoding.hpp"
#include "names/hash.hpp"
#include "names/names.hpp"
#include "names/path.hpp"
#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <algorithm>
#include <span>

namespace holdfast {
inline namespace v0 {
namespace names {

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
    if (path.back() != path_separator) path += path_separator;
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
    if (full.back() == path_separator) {
        throw error(errc::invalid_name, "'" + std::string(path) + "' is a directory; give the path of a file");
    }
    return full;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
