#include <backends/file/lock_directory.hpp>

#include <fcntl.h>

#include <cerrno>

namespace holdfast {
inline namespace v0 {
namespace file {

std::shared_ptr<const lock_directory> lock_directory::open(const std::string& path) {
    auto made = std::make_shared<lock_directory>();
    const int found =
        made->descriptor_.open_with([&path] { return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); });
    return found < 0 ? nullptr : made;
}

std::shared_ptr<const lock_directory> known_directory::find(const std::string& path) {
    const std::lock_guard guard(mutex_);
    if (found_ == nullptr) found_ = lock_directory::open(path);
    return found_;
}

void known_directory::forget(const lock_directory& stale) noexcept {
    const std::lock_guard guard(mutex_);
    if (found_.get() == &stale) found_.reset();
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
