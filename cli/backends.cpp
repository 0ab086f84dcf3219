// Compiled into each of the two programs, with what each of them links.
#include "backends.hpp"

#include <holdfast/holdfast.hpp>

#include <algorithm>
#include <climits>
#include <string_view>

#include <unistd.h>

namespace holdfast::cli {

provider open_provider(const std::string& address) {
    return holdfast::open(address);
}

#if defined(HOLDFAST_CLI_DRIVERS_FROM_BIN)

namespace {

/// The directory that this program is in, with a slash; empty where the system does not tell.
std::string own_directory() {
    char path[PATH_MAX];
    const auto size = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string_view text(path, size > 0 ? static_cast<std::size_t>(size) : 0);
    return std::string(text.substr(0, text.rfind('/') + 1));
}

}  // namespace

void use_drivers_for(const std::string& address, const program_arguments& all) {
    const auto known = default_registry().schemes();
    const std::string scheme = address.substr(0, address.find(':'));
    const std::string directory = own_directory();
    if (directory.empty() || std::find(known.begin(), known.end(), scheme) != known.end()) return;
    // Beside us in a build tree. If neither is there, this program says what it has.
    for (const char* const place : {HOLDFAST_CLI_DRIVERS_FROM_BIN, "holdfast-drivers"}) {
        ::execv((directory + place).c_str(), all.values);
    }
}

#else

void use_drivers_for(const std::string&, const program_arguments&) {}

#endif

}  // namespace holdfast::cli
