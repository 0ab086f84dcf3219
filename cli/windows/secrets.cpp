#include "../secrets.hpp"

namespace holdfast::cli {

// A process's command line is a copy that it cannot change for others: see docs/windows.md.
void hide_secrets(const std::string&, char*) noexcept {}
void hide_secrets(const std::string&, const program_arguments&) noexcept {}

}  // namespace holdfast::cli
