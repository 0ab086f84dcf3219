#include "../environment.hpp"

#include <core/windows/wide.hpp>

#include <windows.h>

namespace holdfast::cli {

/// Not by getenv: the C runtime puts what the code page does not have into letters that look like it, which is another
/// directory.
std::optional<std::string> environment_text(const char* variable) {
    // As long as a value can be, with the zero at its end.
    std::wstring found(32768, L'\0');
    found.resize(
        ::GetEnvironmentVariableW(core::to_wide(variable).c_str(), found.data(), static_cast<DWORD>(found.size())));
    return core::to_utf8(found);
}

bool is_in_environment(const char* variable) noexcept {
    return ::GetEnvironmentVariableA(variable, nullptr, 0) != 0;
}

}  // namespace holdfast::cli
