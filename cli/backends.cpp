// Compiled into each of the two programs, with what each of them links.
#include "backends.hpp"

#include <holdfast/holdfast.hpp>

#include <algorithm>
#include <climits>

#include <unistd.h>

namespace holdfast::cli {

provider open_provider(const std::string& address) {
    return holdfast::open(address);
}

std::string program_path() {
    char path[PATH_MAX];
    const auto size = ::readlink("/proc/self/exe", path, sizeof path);
    return std::string(path, size > 0 ? static_cast<std::size_t>(size) : 0);
}

#if defined(HOLDFAST_CLI_DRIVERS_FROM_BIN)

void use_drivers_for(const std::string& address, const program_arguments& all) {
    const auto known = default_registry().schemes();
    const std::string scheme = address.substr(0, address.find(':'));
    if (std::find(known.begin(), known.end(), scheme) != known.end()) return;
    const std::string self = program_path();
    if (self.empty()) return;
    const std::string directory = self.substr(0, self.rfind('/') + 1);
    // Beside us in a build tree. If neither is there, this program says what it has.
    for (const char* const place : {HOLDFAST_CLI_DRIVERS_FROM_BIN, "holdfast-drivers"}) {
        ::execv((directory + place).c_str(), all.values);
    }
}

#else

void use_drivers_for(const std::string&, const program_arguments&) {}

#endif

}  // namespace holdfast::cli
