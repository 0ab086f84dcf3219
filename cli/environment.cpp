#include "environment.hpp"

#include <cstdlib>

namespace holdfast::cli {

std::optional<std::string> environment_text(const char* variable) {
    const char* const found = std::getenv(variable);
    return found == nullptr ? "" : found;
}

}  // namespace holdfast::cli
