// What the command's exit status says. docs/run.md has the same table for users.
#ifndef HOLDFAST_CLI_EXIT_CODES_HPP
#define HOLDFAST_CLI_EXIT_CODES_HPP

#include <holdfast/error.hpp>

namespace holdfast::cli::exit_code {

// 64 to 78 are those of sysexits.h. A status of ours cannot be told from the same status of the command that was run,
// so all of them stay out of the range that programs commonly use for themselves.

inline constexpr int success = 0;
/// The command line is wrong, or a name cannot be used.
inline constexpr int usage = 64;
/// The backend cannot be reached, or cannot do what was asked.
inline constexpr int unavailable = 69;
/// A fault of holdfast's own; also: somebody killed its guardian, and the command with it.
inline constexpr int internal = 70;
/// The operating system refused a process, a descriptor or memory.
inline constexpr int os_error = 71;
/// The directory for lock files cannot be made, or must not be trusted.
inline constexpr int cannot_create = 73;
/// What was asked for cannot be written.
inline constexpr int io = 74;
/// Somebody else held the lock until the timeout. `-E` sets another; flock(1) has 1, which many commands return too.
inline constexpr int conflict = 75;
/// The server broke its protocol.
inline constexpr int protocol = 76;
/// The backend refused access.
inline constexpr int permission = 77;
/// The URL or one of its options is not usable.
inline constexpr int configuration = 78;
/// The lock was lost while the command ran, so the command was ended.
inline constexpr int lost = 79;
/// The command was found and could not be executed.
inline constexpr int not_executable = 126;
/// The command was not found.
inline constexpr int not_found = 127;
/// Added to a signal's number, as a shell shows it. holdfast dies of the same signal rather than exit with this, except
/// where that is impossible (process 1 of a container).
inline constexpr int signal_base = 128;

/// What a lock's failure comes to.
int of(const error& failure);

}  // namespace holdfast::cli::exit_code

#endif
