// The directory of a provider's lock files, kept open.
#ifndef HOLDFAST_BACKENDS_FILE_LOCK_DIRECTORY_HPP
#define HOLDFAST_BACKENDS_FILE_LOCK_DIRECTORY_HPP

#include <core/fork.hpp>

#include <memory>
#include <mutex>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace file {

/// A directory as it was found once, wherever its path may lead by now.
class lock_directory {
public:
    /// Null, and errno, where there is none at the absolute path @p path; ELOOP where it leads over a symbolic link
    /// that others may have planted.
    static std::shared_ptr<const lock_directory> open(const std::string& path);

    int descriptor() const noexcept { return descriptor_.get(); }

private:
    core::forked_descriptor descriptor_;
};

/** What all lock files of a provider find their directory by: the kernel looks each of them up by a shorter path then,
    which is a good part of what a lock costs.

    Thread safety: safe.
*/
class known_directory {
public:
    /// Null, and errno, where there is none at @p path.
    std::shared_ptr<const lock_directory> find(const std::string& path);
    /// The path does not lead to @p stale any more.
    void forget(const lock_directory& stale) noexcept;

private:
    std::mutex mutex_;
    std::shared_ptr<const lock_directory> found_;
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
