// Holdfast: locks and semaphores kept by the kernel of one machine.
#ifndef HOLDFAST_BACKENDS_SYSTEM_HPP
#define HOLDFAST_BACKENDS_SYSTEM_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <string>

namespace holdfast {
inline namespace v0 {
namespace system {

/// @brief Who shares the locks.
enum class scope {
    /// All processes of the calling process's effective user.
    user,
    /// All processes of the machine. Whoever may use such a lock can also jam it.
    machine,
};

/// @brief Whose locks they are, and where their kernel objects are published.
struct options {
    system::scope scope = system::scope::user;
    /// An absolute path. Empty: `/dev/shm/holdfast-<uid>`, or `/dev/shm/holdfast-all` for the machine. Made when
    /// missing (not its parents). One user's own must belong to them and be writable by nobody else, or
    /// `errc::permission`.
    std::string directory = {};
};

/** @brief A provider of locks kept by the kernel's semaphores (semop(2) with SEM_UNDO).

    Gives `lock`, `reader_writer_lock` and `semaphore`. First come, first served, between processes too. What a process
    holds is free as soon as the kernel has cleaned up after its death.

    @par Errors
    `errc::invalid_options` for an unusable directory name. The directory itself is looked at when a lock is acquired.
*/
HOLDFAST_API provider make_provider(const options& opts = {}, const provider_settings& settings = {});

/** @brief Serves the scheme `system`.

    `system:`, with the options `scope` (`user` or `machine`) and `directory`.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
