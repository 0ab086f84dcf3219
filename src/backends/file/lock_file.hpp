// One open lock file: opening, locking, checking and releasing it, without waiting.
#ifndef HOLDFAST_BACKENDS_FILE_LOCK_FILE_HPP
#define HOLDFAST_BACKENDS_FILE_LOCK_FILE_HPP

#include <backends/file/lock_directory.hpp>
#include <core/fork.hpp>

#include <holdfast/backends/file.hpp>

#include <atomic>
#include <string>

#include <sys/types.h>

namespace holdfast {
inline namespace v0 {
namespace file {

/// What went wrong, in the terms that users are told.
struct failure {
    errc code = errc::unavailable;
    int native_code = 0;
    std::string text = {};
};

/// What every lock of a provider needs to know.
struct settings {
    explicit settings(const options& from) : opts(from) {}

    /// True where releasing a lock deletes its file.
    bool deletes() const noexcept { return opts.exact_paths ? opts.delete_exact_files : !opts.keep_files; }

    const options opts;
    mutable known_directory directory;
    /// The device that was last found to have a trustworthy flock; lock files of one directory share it.
    mutable std::atomic<dev_t> trusted_device{0};
};

/** A lock file, by path.

    The lock is flock(2)'s, since that alone excludes .NET, survives any crash and lets any thread release. A file may
    be deleted by its holder, so whoever has locked one looks whether its path still leads there: if not, what was
    locked is no lock.

    Thread safety: one thread at a time; `look` and `is_kept` also beside others.
*/
class lock_file {
public:
    enum class result { locked, busy, failed };

    /// @param path outlives this object
    lock_file(const settings& how, const std::string& path) noexcept : settings_(how), path_(path) {}

    /// Opens what stands at the path now, making it if need be. @return false with `why`
    bool open(failure& why);
    /// Tries to lock what is open. `busy` also where the path leads elsewhere by now; see `look`.
    result try_lock(failure& why);
    /// Locks what is open, and stands in the kernel until it can.
    result stand_and_lock() noexcept;
    enum class standing { current, replaced, unknown };
    /// Whether the path leads to what is open; `unknown`, with errno, where it cannot be looked at.
    standing look() const noexcept;
    bool is_current() const noexcept { return look() == standing::current; }
    /// For what is locked: false once the path certainly leads elsewhere.
    bool is_kept() const noexcept;
    /// What has made `look` say `unknown`.
    failure explain_look(int error) const { return explain(error, "cannot look at"); }
    /** In .NET's order: delete the file (if it is still ours to delete), unlock, close.

        @return false when the path led elsewhere: the lock was lost before
    */
    bool release();
    /// Whether somebody waited for it when it was released, as far as that can be told.
    bool was_wanted() const noexcept { return wanted_; }
    void close() noexcept { descriptor_.reset(); }
    /// Closes what is not the lock's any more. @param locked whether it is locked all the same
    void discard(bool locked) noexcept;

    int descriptor() const noexcept { return descriptor_.get(); }
    const std::string& path() const noexcept { return path_; }

    /// Shows, or no longer shows, that somebody waits for this file, to releasers that would make no event for us.
    void announce_waiter(bool waits) noexcept;

private:
    int open_once(int flags) noexcept;
    /// What to look the file up by.
    struct place {
        int directory;
        const char* name;
    };
    place where() const noexcept;
    void forget_directory() noexcept;
    void delete_file() const noexcept;
    bool make_directory(failure& why) const;
    bool check_directory(failure& why) const;
    bool check_opened(failure& why);
    bool has_waiters() const noexcept;
    failure explain(int error, const char* step) const;

    const settings& settings_;
    const std::string& path_;
    /// The path's directory as it was; null for exact paths, and where it could not be opened.
    std::shared_ptr<const lock_directory> directory_;
    core::forked_descriptor descriptor_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    /// False where the file system says of every file that it has no link.
    bool counts_links_ = false;
    /// The path's last component is a symbolic link, in a directory that only trusted users write.
    bool follows_link_ = false;
    bool announced_ = false;
    bool wanted_ = false;
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
