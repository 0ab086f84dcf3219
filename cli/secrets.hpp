// Passwords in URLs, and who could see them.
#ifndef HOLDFAST_CLI_SECRETS_HPP
#define HOLDFAST_CLI_SECRETS_HPP

#include "backends.hpp"

#include <string>

namespace holdfast::cli {

/** Hides what may be a password in @p url from ps(1), and from core dumps.

    @param argument where it stands in argv; null: nowhere
*/
void hide_secrets(const std::string& url, char* argument) noexcept;

/// The same for every argument that is @p url, or an option with it.
void hide_secrets(const std::string& url, const program_arguments& all) noexcept;

}  // namespace holdfast::cli

#endif
