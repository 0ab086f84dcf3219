#include "command_line.hpp"

#include <algorithm>
#include <cwchar>
#include <string_view>

#include <windows.h>

namespace holdfast::cli {
namespace {

void append_argument(std::wstring& line, std::wstring_view text) {
    if (!text.empty() && text.find_first_of(L" \t\n\v\"") == std::wstring_view::npos) {
        line += text;
        return;
    }
    line += L'"';
    std::size_t backslashes = 0;
    for (const wchar_t each : text) {
        if (each == L'\\') {
            ++backslashes;
            continue;
        }
        // Before a quote, and only there, a backslash means something: there each is written twice.
        line.append(each == L'"' ? 2 * backslashes + 1 : backslashes, L'\\');
        backslashes = 0;
        line += each;
    }
    line.append(2 * backslashes, L'\\');
    line += L'"';
}

bool equal(std::wstring_view a, std::wstring_view b) {
    return ::CompareStringOrdinal(a.data(), static_cast<int>(a.size()), b.data(), static_cast<int>(b.size()), TRUE) ==
           CSTR_EQUAL;
}

}  // namespace

std::wstring command_line(const std::vector<std::wstring>& arguments) {
    std::wstring line = L"\"" + arguments.front() + L"\"";
    for (std::size_t at = 1; at < arguments.size(); ++at) {
        line += L' ';
        append_argument(line, arguments[at]);
    }
    return line;
}

std::wstring environment_block(const std::vector<std::wstring>& removed, const std::vector<std::wstring>& added) {
    std::wstring block;
    wchar_t* const all = ::GetEnvironmentStringsW();
    for (const wchar_t* each = all; each != nullptr && *each != L'\0'; each += std::wcslen(each) + 1) {
        const std::wstring_view variable = each;
        // "=C:=C:\here" is one, too: its name begins with the sign.
        const std::wstring_view name = variable.substr(0, variable.find(L'=', 1));
        const bool unwanted = std::any_of(removed.begin(), removed.end(), [&](const std::wstring& other) {
            return equal(name, other) || (other.back() == L'_' && equal(name.substr(0, other.size()), other));
        });
        if (!unwanted) block.append(variable).append(1, L'\0');
    }
    if (all != nullptr) ::FreeEnvironmentStringsW(all);
    for (const std::wstring& each : added) block.append(each).append(1, L'\0');
    return block.append(1, L'\0');
}

}  // namespace holdfast::cli
