// Where lock files are when no URL says so.
#ifndef HOLDFAST_CLI_DEFAULT_DIRECTORY_HPP
#define HOLDFAST_CLI_DEFAULT_DIRECTORY_HPP

#include <stdexcept>
#include <string>

namespace holdfast::cli {

/// There is no directory that can be trusted.
class directory_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/** The directory of this user's lock files, made where it is missing: `holdfast-<uid>` in the first of /run/lock,
    /var/lock and /tmp that exists and lets us make it.

    It depends on the user and the machine only. XDG_RUNTIME_DIR and TMPDIR differ between cron, ssh, sudo and systemd,
    and are deleted at logout: two jobs would use two directories and not exclude each other. For the same reason one
   that is there already, but cannot be trusted (a symbolic link, another owner, others may write), is an error and no
   reason to go on to the next.

    @throws directory_error
*/
std::string default_lock_directory();

/** The same, without making it.

    `default_lock_directory` takes the first base in which its directory is or can be made; whether it may be trusted is
    for that to say.
*/
std::string usual_lock_directory();

}  // namespace holdfast::cli

#endif
