// The variables of our environment.
#ifndef HOLDFAST_CLI_ENVIRONMENT_HPP
#define HOLDFAST_CLI_ENVIRONMENT_HPP

#include <string>

namespace holdfast::cli {

/// HOLDFAST_URL, as UTF-8; empty where it is not set. @throws usage_error when it is no text
std::string url_in_environment();

}  // namespace holdfast::cli

#endif
