#include "exit_codes.hpp"

namespace holdfast::cli::exit_code {

int of(const error& failure) {
    const error_code& code = failure.boost_code();
    if (code == errc::invalid_name || code == errc::invalid_argument) return usage;
    if (code == errc::invalid_options) return configuration;
    if (code == errc::permission) return permission;
    if (code == errc::protocol) return protocol;
    if (code == errc::invalid_state) return internal;
    return unavailable;
}

}  // namespace holdfast::cli::exit_code
