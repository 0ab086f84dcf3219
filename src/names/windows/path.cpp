#include <core/windows/wide.hpp>

#include "names/path.hpp"

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace names {

const char path_separator = '\\';

std::string full_path(std::string_view path, errc code) {
    // What .NET asks, too. It also makes `\` of `/`.
    const std::wstring given = core::to_wide(path, code);
    std::wstring full(::GetFullPathNameW(given.c_str(), 0, nullptr, nullptr), L'\0');
    const DWORD size = ::GetFullPathNameW(given.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr);
    if (size == 0 || size >= full.size()) {
        throw error(code, "the path '" + std::string(path) + "' is none: " + core::system_message(::GetLastError()));
    }
    full.resize(size);
    auto made = core::to_utf8(full);
    if (!made) {
        throw error(code,
                    "the path '" + std::string(path) +
                        "' is relative, and the current directory's name is not valid UTF-16; give an absolute path");
    }
    return std::move(*made);
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
