#include <core/windows/wide.hpp>

#include <limits>
#include <system_error>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace core {

std::wstring to_wide(std::string_view text, errc code) {
    if (text.empty()) return {};
    const int bytes = text.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) / 2
                          ? static_cast<int>(text.size())
                          : 0;
    const int units = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), bytes, nullptr, 0);
    if (units <= 0) throw error(code, "a name or path is not valid UTF-8, or far too long");
    std::wstring made(static_cast<std::size_t>(units), L'\0');
    ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), bytes, made.data(), units);
    return made;
}

std::optional<std::string> to_utf8(std::wstring_view text) {
    if (text.empty()) return std::string();
    const int units = static_cast<int>(text.size());
    const int bytes =
        ::WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text.data(), units, nullptr, 0, nullptr, nullptr);
    if (bytes <= 0) return std::nullopt;
    std::string made(static_cast<std::size_t>(bytes), '\0');
    ::WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text.data(), units, made.data(), bytes, nullptr, nullptr);
    return made;
}

std::string system_message(unsigned long number) {
    std::string text = std::system_category().message(static_cast<int>(number));
    while (!text.empty() && (text.back() == '.' || text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
        text.pop_back();
    }
    return text + " (" + std::to_string(number) + ")";
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
