#include "environment.hpp"

#include <cstdlib>

namespace holdfast::cli {

std::string url_in_environment() {
    const char* const found = std::getenv("HOLDFAST_URL");
    return found == nullptr ? "" : found;
}

}  // namespace holdfast::cli
