#include <backends/file/lock_directory.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

// As the kernel does.
constexpr int most_links = 40;

/// Closed at the end, without touching errno.
class path_step {
public:
    explicit path_step(int descriptor) noexcept : descriptor_(descriptor) {}
    path_step(path_step&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    path_step& operator=(path_step&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~path_step() {
        const int error = errno;
        if (descriptor_ >= 0) ::close(descriptor_);
        errno = error;
    }
    int get() const noexcept { return descriptor_; }
    int release() noexcept { return std::exchange(descriptor_, -1); }

private:
    int descriptor_;
};

/// Whether others may have planted @p link in the directory @p in. The kernel's own rule (proc(5),
/// fs.protected_symlinks), which not every machine has switched on; and not only for directories with a sticky bit.
bool may_be_planted(const struct stat& link, int in) noexcept {
    struct stat directory {};
    if (::fstat(in, &directory) != 0) return true;
    return (directory.st_mode & S_IWOTH) != 0 && link.st_uid != ::geteuid() && link.st_uid != directory.st_uid;
}

/// An absolute path, step by step. -1 and errno; ELOOP where it leads over a link that is not to be trusted.
int open_trusted(std::string rest) {
    const auto root = [] { return path_step(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)); };
    path_step here = root();
    int links = 0;
    while (here.get() >= 0 && !rest.empty()) {
        const auto end = rest.find('/');
        const std::string name = rest.substr(0, end);
        rest.erase(0, end == std::string::npos ? end : end + 1);
        if (name.empty() || name == ".") continue;
        path_step next(::openat(here.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        struct stat found {};
        if (next.get() < 0 || ::fstat(next.get(), &found) != 0) return -1;
        if (S_ISLNK(found.st_mode)) {
            std::array<char, PATH_MAX> target;
            const auto size = ::readlinkat(next.get(), "", target.data(), target.size());
            if (size < 0) return -1;
            if (++links > most_links || may_be_planted(found, here.get())) {
                errno = ELOOP;
                return -1;
            }
            rest.insert(0, std::string(target.data(), static_cast<std::size_t>(size)) + "/");
            if (rest.front() == '/') here = root();
        } else if (S_ISDIR(found.st_mode)) {
            here = std::move(next);
        } else {
            errno = ENOTDIR;
            return -1;
        }
    }
    return here.release();
}

}  // namespace

std::shared_ptr<const lock_directory> lock_directory::open(const std::string& path) {
    auto made = std::make_shared<lock_directory>();
    return made->descriptor_.open_with([&path] { return open_trusted(path); }) < 0 ? nullptr : made;
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
