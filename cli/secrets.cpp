#include "secrets.hpp"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include <sys/prctl.h>

namespace holdfast::cli {
namespace {

bool has_secret(std::string_view url) noexcept {
    return url.starts_with('@') || url.find('@') != std::string_view::npos ||
           (url.find('?') != std::string_view::npos && !url.starts_with("file:"));
}

}  // namespace

void hide_secrets(const std::string& url, char* argument) noexcept {
    if (argument != nullptr && *argument != '@' && has_secret(argument)) {
        char* const rest = std::strchr(argument, ':');
        for (char* at = rest == nullptr ? argument : rest + 1; *at != '\0'; ++at) *at = '*';
    }
    const char* const environment = std::getenv("HOLDFAST_URL");
    if (has_secret(url) || (environment != nullptr && has_secret(environment))) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

void hide_secrets(const std::string& url, const program_arguments& all) noexcept {
    hide_secrets(url, nullptr);
    for (int at = 1; at < all.count; ++at) {
        char* const argument = all.values[at];
        const std::string_view text = argument;
        if (!url.empty() && text.ends_with(url) && (text.size() == url.size() || text.starts_with("--url="))) {
            hide_secrets(url, argument + (text.size() - url.size()));
        }
    }
}

}  // namespace holdfast::cli
