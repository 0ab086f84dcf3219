// A held lock, as far as whoever supervises the command has to know it.
#ifndef HOLDFAST_CLI_WATCHED_LOCK_HPP
#define HOLDFAST_CLI_WATCHED_LOCK_HPP

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

namespace holdfast::cli {

using nanoseconds = std::chrono::nanoseconds;

/// What the supervision wants to know of a held lock.
struct watched_lock {
    std::string name;
    /// Stopped when the lock is lost; asking arms the detection. Empty: the backend cannot tell.
    std::function<std::stop_token()> lost_token;
    /// A look. Empty where `lost_token` is.
    std::function<bool()> is_lost;
    /// On CLOCK_BOOTTIME; `nanoseconds::max()` where the lock does not end by itself.
    std::function<nanoseconds()> valid_until;
};

}  // namespace holdfast::cli

#endif
