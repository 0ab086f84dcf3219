// The variables of our environment.
#ifndef HOLDFAST_CLI_ENVIRONMENT_HPP
#define HOLDFAST_CLI_ENVIRONMENT_HPP

#include <optional>
#include <string>

namespace holdfast::cli {

/// What @p variable says, as UTF-8; empty where it is not set. Nothing where it is no text, which only Windows tells.
std::optional<std::string> environment_text(const char* variable);

/// Whether it is set, be it to nothing.
bool is_in_environment(const char* variable) noexcept;

}  // namespace holdfast::cli

#endif
