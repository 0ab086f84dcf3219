#include "../environment.hpp"

#include "../run_options.hpp"

#include <core/windows/wide.hpp>

#include <windows.h>

namespace holdfast::cli {

/// Not by getenv: the C runtime puts what the code page does not have into letters that look like it, which is another
/// directory.
std::string url_in_environment() {
    constexpr std::size_t longest_value = 32767;
    std::wstring found(longest_value, L'\0');
    found.resize(::GetEnvironmentVariableW(L"HOLDFAST_URL", found.data(), static_cast<DWORD>(found.size())));
    auto text = core::to_utf8(found);
    if (!text) throw usage_error("HOLDFAST_URL is not valid UTF-16");
    return std::move(*text);
}

}  // namespace holdfast::cli
