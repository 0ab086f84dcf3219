// Holdfast: locks and semaphores kept by the kernel of one machine.
#ifndef HOLDFAST_BACKENDS_SYSTEM_HPP
#define HOLDFAST_BACKENDS_SYSTEM_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <chrono>
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
#if defined(_WIN32)
    /// What there is: .NET's locks are the machine's.
    usual = machine,
#else
    usual = user,
#endif
};

/// @brief Whose locks they are, and where their kernel objects are published.
struct options {
    /// Default: `user`; on Windows `machine`, and nothing else.
    system::scope scope = system::scope::usual;
    /// An absolute path. Empty: `/dev/shm/holdfast-<uid>`, or `/dev/shm/holdfast-all` for the machine. Made when
    /// missing (not its parents). One user's own must belong to them and be writable by nobody else, or
    /// `errc::permission`. Not on Windows.
    std::string directory = {};
    /// Windows only: names are those of the kernel objects, such as `Global\\orders`, and used as they are.
    bool exact_names = false;
    /// Windows only: how often a waiter looks whether the holder has died. `max()`: never.
    std::chrono::milliseconds abandonment_check = std::chrono::milliseconds(2000);
};

/** @brief A provider of locks kept by the kernel's semaphores (semop(2) with SEM_UNDO).

    Gives `lock`, `reader_writer_lock` and `semaphore`. First come, first served, between processes too. What a process
    holds is free as soon as the kernel has cleaned up after its death.

    On Windows these are the named events and semaphores of .NET's WaitHandle locks: `lock` and `semaphore`. What a
    process held is free once its waiters have looked again, which they do together, every two seconds.

    @par Errors
    `errc::invalid_options` for an unusable directory name. The directory itself is looked at when a lock is acquired.
*/
HOLDFAST_API provider make_provider(const options& opts = {}, const provider_settings& settings = {});

/** @brief Serves the scheme `system`.

    `system:`, with the options `scope` (`user` or `machine`) and `directory`; on Windows `exact_names` and
    `abandonment_check`.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
