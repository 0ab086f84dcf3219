#include "../backends.hpp"

#include <holdfast/holdfast.hpp>

namespace holdfast::cli {

provider open_provider(const std::string& address) {
    return holdfast::open(address);
}

// There is one program: no backend that is built for Windows needs a driver.
void use_drivers_for(const std::string&, const program_arguments&) {}

}  // namespace holdfast::cli
