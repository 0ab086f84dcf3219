// Holdfast: locks in files.
#ifndef HOLDFAST_BACKENDS_FILE_HPP
#define HOLDFAST_BACKENDS_FILE_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <string>

namespace holdfast {
inline namespace v0 {
namespace file {

/// @brief Where lock files are, and what becomes of them.
struct options {
    /// The directory of the lock files; made when missing (0777 & ~umask, parents too). Empty only with
    /// @ref exact_paths.
    std::string directory = {};
    /// Names are paths of lock files, used as they are. Such a file is a user's own, and never deleted unless
    /// @ref delete_exact_files is set.
    bool exact_paths = false;
    /// Directory locks: leave the file behind on release. Default false: delete it, as .NET does.
    bool keep_files = false;
    /// Exact paths: delete the file on release.
    bool delete_exact_files = false;
    /// Use file systems whose flock is not known to exclude other machines (NFS, CIFS, FUSE, ...). Default false:
    /// `errc::unsupported`.
    bool allow_remote = false;
    /// The directory is one user's own: made 0700, and refused (`errc::permission`) where it is a symbolic link,
    /// belongs to somebody else, or others may write it.
    bool private_directory = false;
};

/** @brief A provider of locks kept in files by the kernel's flock(2).

    Gives `lock` only. A lock is free the moment its holder dies; it excludes flock(1) as long as nobody deletes the
    file, and .NET's FileDistributedLock always.

    @par Errors
    `errc::invalid_options` for an empty directory. The directory itself is looked at when a lock is acquired.
*/
HOLDFAST_API provider make_provider(const options& opts, const provider_settings& settings = {});

/** @brief Serves the scheme `file`.

    `file:///var/lock/app` (directory), `file:` with names that are paths. Options: `keep`, `delete`,
    `remote`, `private` (booleans), for the fields of @ref options.
*/
HOLDFAST_API void add_to(registry& target);

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
