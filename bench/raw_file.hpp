// What the file lock costs without Holdfast: the same system calls, written down plainly.
#ifndef HOLDFAST_BENCH_RAW_FILE_HPP
#define HOLDFAST_BENCH_RAW_FILE_HPP

#include <string>

namespace holdfast::bench {

/// A lock file by path, acquired by open, flock and inode check.
class raw_file {
public:
    explicit raw_file(std::string path) : path_(std::move(path)) {}
    raw_file(const raw_file&) = delete;
    raw_file& operator=(const raw_file&) = delete;
    ~raw_file();

    /// Blocks in flock until the lock is ours.
    void acquire();
    /// .NET's order: unlink, LOCK_UN, close.
    void release_deleting();
    /// LOCK_UN, close.
    void release_kept();
    /// On one descriptor that stays open: flock, inode check; and LOCK_UN.
    void acquire_on_kept_descriptor();
    void release_on_kept_descriptor();

    /// As `acquire`, but within a minute: flock(2) has no timeout, so inotify(7) and ppoll(2) wait for the next chance.
    void acquire_in_time();

private:
    bool try_acquire();
    bool is_current() const;

    const std::string path_;
    int descriptor_ = -1;
    int events_ = -1;
};

}  // namespace holdfast::bench

#endif
