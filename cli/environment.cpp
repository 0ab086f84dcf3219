#include "environment.hpp"

#include <cstdlib>

namespace holdfast::cli {

std::optional<std::string> environment_text(const char* variable) {
    const char* const found = std::getenv(variable);
    return found == nullptr ? "" : found;
}

bool is_in_environment(const char* variable) noexcept {
    return std::getenv(variable) != nullptr;
}

}  // namespace holdfast::cli
