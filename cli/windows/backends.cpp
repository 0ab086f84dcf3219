#include "../backends.hpp"

#include <core/windows/wide.hpp>

#include <holdfast/holdfast.hpp>

#include <windows.h>

namespace holdfast::cli {

provider open_provider(const std::string& address) {
    return holdfast::open(address);
}

std::string program_path() {
    std::wstring path(32768, L'\0');
    path.resize(::GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size())));
    return core::to_utf8(path).value_or(std::string());
}

// There is one program: no backend that is built for Windows needs a driver.
void use_drivers_for(const std::string&, const program_arguments&) {}

}  // namespace holdfast::cli
