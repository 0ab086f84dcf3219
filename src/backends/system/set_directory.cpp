#include <backends/system/published_file.hpp>
#include <backends/system/set_directory.hpp>
#include <names/hash.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

constexpr off_t page = 4096;

/// How long `names` and `clean` wait for the directory's lock.
constexpr std::chrono::seconds inspection_patience{5};
/// How long the last one of a process to leave waits for the directory's lock, which others have for microseconds.
constexpr std::chrono::milliseconds leaving_patience{20};
constexpr std::chrono::microseconds leaving_pause{100};
// A set may be removed while we look for a place in it.
constexpr int most_attempts = 8;

/// What a slot serves; the following pages have 32 of these each, a bucket.
struct entry {
    std::array<std::uint8_t, 32> hash{};
    std::int32_t max_count = 0;
    std::uint32_t length = 0;
    std::array<char, 88> name{};
};
static_assert(sizeof(entry) * layout::bucket_slots == page);

using bucket = std::array<entry, layout::bucket_slots>;

bool read_all(int file, void* to, std::size_t size, off_t at) noexcept {
    return ::pread(file, to, size, at) == static_cast<ssize_t>(size);
}

bool write_all(int file, const void* from, std::size_t size, off_t at) noexcept {
    return ::pwrite(file, from, size, at) == static_cast<ssize_t>(size);
}

off_t place_of(int slot) noexcept {
    return page + static_cast<off_t>(sizeof(entry)) * slot;
}

std::string default_path(system::scope scope) {
    return scope == scope::machine ? "/dev/shm/holdfast-all" : "/dev/shm/holdfast-" + std::to_string(::geteuid());
}

failure make_failure(errc code, int native, std::string text) {
    return {code, native, std::move(text)};
}

}  // namespace

/// The directory, open and locked.
class set_directory::locked_directory {
public:
    explicit locked_directory(const set_directory& of) : of_(of) { open(); }
    locked_directory(const locked_directory&) = delete;
    locked_directory& operator=(const locked_directory&) = delete;
    ~locked_directory() {
        // A child forked in this moment has the descriptor as well, for a moment: so not by closing alone.
        if (result_ == resolution::found) ::flock(descriptor_.get(), LOCK_UN);
    }

    resolution result() const noexcept { return result_; }
    const failure& why() const noexcept { return why_; }
    const struct stat& status() const noexcept { return status_; }

private:
    void open() {
        const char* const path = of_.path_.c_str();
        const auto try_open = [&] {
            return descriptor_.open_with([&] { return ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); });
        };
        if (try_open() < 0 && errno == ENOENT) {
            const bool everybody = of_.scope_ == scope::machine;
            if (::mkdir(path, 0700) == 0) {
                // Whatever the umask takes away: everybody, but nobody may remove what is another's.
                if (everybody) ::chmod(path, 01777);
                // There may have been another one, which was deleted while it was used.
                remove_orphans(of_.path_);
            } else if (errno != EEXIST) {
                why_ = of_.explain(errno, "cannot make the directory '" + of_.path_ + "'");
                return;
            }
            try_open();
        }
        if (descriptor_.get() < 0) {
            why_ = of_.explain(errno, "cannot open the directory '" + of_.path_ + "'");
            return;
        }
        if (::fstat(descriptor_.get(), &status_) != 0) {
            why_ = of_.explain(errno, "cannot look at '" + of_.path_ + "'");
            return;
        }
        if (!check()) return;
        if (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) == 0) {
            result_ = resolution::found;
        } else if (errno == EWOULDBLOCK || errno == EINTR) {
            result_ = resolution::busy;
        } else {
            why_ = of_.explain(errno, "cannot lock the directory '" + of_.path_ + "'");
        }
    }

    bool check() {
        const bool others_write = (status_.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        std::string wrong;
        if (of_.scope_ == scope::user) {
            if (status_.st_uid != ::geteuid()) {
                wrong = "belongs to user " + std::to_string(status_.st_uid);
            } else if (others_write) {
                wrong = "can be written to by others; put that right with chmod 700";
            }
        } else if ((status_.st_mode & S_IWOTH) != 0 && (status_.st_mode & S_ISVTX) == 0) {
            wrong = "lets everybody remove what is another's; put that right with chmod +t";
        }
        if (wrong.empty()) return true;
        why_ = make_failure(errc::permission, 0, "the directory '" + of_.path_ + "' " + wrong);
        return false;
    }

    const set_directory& of_;
    core::forked_descriptor descriptor_;
    resolution result_ = resolution::failed;
    failure why_;
    struct stat status_ {};
};

set_directory::set_directory(const options& opts)
    : scope_(opts.scope),
      path_(opts.directory.empty() ? default_path(opts.scope) : opts.directory),
      generation_(core::fork_generation()) {}

set_directory::~set_directory() {
    if (generation_ != core::fork_generation()) return;
    try {
        for (auto& known : sets_) {
            for (auto& each : known) {
                if (each != nullptr && each->remove_if_abandoned()) each.reset();
            }
        }
        const auto none = [](const auto& known) {
            return std::all_of(known.begin(), known.end(), [](const auto& each) { return each == nullptr; });
        };
        if (none(sets_[0]) && none(sets_[1])) return;
        // Another process that leaves in this moment must not see us use what it looks at: else both would leave it.
        // What is left all the same is removed by the next one.
        const auto deadline = boottime::now() + leaving_patience;
        for (;;) {
            const locked_directory where(*this);
            if (where.result() == resolution::found) {
                for (const auto kind : {set_kind::tickets, set_kind::readers}) remove_unused(where, kind);
                for (auto& known : sets_) known.clear();
                return;
            }
            if (where.result() == resolution::failed || boottime::now() >= deadline) return;
            std::this_thread::sleep_for(leaving_pause);
        }
    } catch (...) {
        // No memory: what we leave is removed by the next process.
    }
}

failure set_directory::explain(int error, const std::string& step) const {
    errc code = errc::unavailable;
    std::string advice;
    switch (error) {
        case EACCES:
        case EPERM: code = errc::permission; break;
        case ELOOP:
            code = errc::permission;
            advice = "; a symbolic link is not followed";
            break;
        case ENOTDIR: code = errc::invalid_state; break;
        case ENOENT:
            code = errc::invalid_options;
            advice = "; its parent directory must be there";
            break;
        case ENAMETOOLONG: code = errc::invalid_options; break;
        case ENOSYS:
            code = errc::unsupported;
            advice = "; this kernel, or its sandbox, has no System V semaphores";
            break;
        default: break;
    }
    return make_failure(code, error, step + ": " + std::generic_category().message(error) + advice);
}

set_identity set_directory::identity(const locked_directory& where, set_kind kind, int ordinal) const noexcept {
    const mode_t mode = scope_ == scope::machine ? 0666 : 0600;
    return {kind, ordinal, where.status().st_dev, where.status().st_ino, mode};
}

std::string set_directory::path_of(set_kind kind, int ordinal) const {
    return path_ + (kind == set_kind::tickets ? "/tickets-" : "/readers-") + std::to_string(ordinal);
}

set_directory::resolution set_directory::find(set_kind kind, const std::string& mapped, int max_count,
                                              std::shared_ptr<slot>& found, failure& why) {
    const std::lock_guard guard(mutex_);
    std::weak_ptr<slot>& known = slots_[mapped];
    found = known.lock();
    if (found != nullptr && !found->set->is_gone()) return resolution::found;

    const locked_directory where(*this);
    if (where.result() != resolution::found) {
        why = where.why();
        return where.result();
    }
    const digest hash = names::sha256(mapped);
    std::uint32_t number = 0;
    std::memcpy(&number, hash.data(), sizeof number);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        std::shared_ptr<open_set> home;
        int place = -1;
        bool join = false;
        int count = max_count;
        for (int ordinal = 0; ordinal <= layout::most_sets && !join; ++ordinal) {
            if (ordinal == layout::most_sets) {
                if (home != nullptr) break;
                why = make_failure(errc::unavailable, 0, "too many names are in use at once in '" + path_ + "'");
                return resolution::failed;
            }
            const bool wanted = ordinal == 0 || home == nullptr;
            why = {};
            const auto set = set_at(where, kind, ordinal, wanted, why);
            // One that is there and cannot be used may have the name: a second slot for it would not exclude anybody.
            if (set == nullptr && !why.text.empty()) return resolution::failed;
            // Those that were made later may be there although this one is not any more.
            if (set == nullptr) continue;
            const int first =
                static_cast<int>(number % static_cast<unsigned>(set->arrangement().buckets)) * layout::bucket_slots;
            bucket entries;
            if (!read_all(set->file(), &entries, sizeof entries, place_of(first))) {
                why = make_failure(errc::protocol, errno, "'" + path_of(kind, ordinal) + "' is too short");
                return resolution::failed;
            }
            for (int at = 0; at < layout::bucket_slots && !join; ++at) {
                const entry& each = entries[static_cast<std::size_t>(at)];
                const bool same = each.hash == hash;
                if (!same && home != nullptr) continue;
                const bool used = each.length != 0 && set->value(set->arrangement().users_of(first + at)) > 0;
                join = same && used;
                if (!join && (used || home != nullptr)) continue;
                home = set;
                place = first + at;
                if (join) count = each.max_count;
            }
        }
        if (!join && !claim(*home, place, hash, mapped, max_count, why)) {
            if (!home->is_gone()) return resolution::failed;
            continue;
        }
        const int users = home->arrangement().users_of(place);
        sembuf enter{static_cast<unsigned short>(users), 1, SEM_UNDO | IPC_NOWAIT};
        if (const int error = home->operate(&enter, 1); error != 0) {
            if (home->is_gone()) continue;
            why = explain(error, "cannot use the semaphores of '" + path_of(kind, home->identity().ordinal) + "'");
            return resolution::failed;
        }
        found = std::make_shared<slot>(home, place, count);
        known = found;
        if (slots_.size() >= sweep_at_) {
            std::erase_if(slots_, [](const auto& each) { return each.second.expired(); });
            sweep_at_ = 2 * slots_.size() + 64;
        }
        return resolution::found;
    }
    why = make_failure(errc::unavailable, EIDRM, "the semaphores of '" + path_ + "' are removed again and again");
    return resolution::failed;
}

/// Gives a slot that nobody uses to a name.
bool set_directory::claim(open_set& in, int index, const digest& hash, const std::string& mapped, int max_count,
                          failure& why) const {
    entry made;
    made.hash = hash;
    made.max_count = max_count;
    made.length = static_cast<std::uint32_t>(std::min<std::size_t>(mapped.size(), UINT32_MAX));
    std::copy_n(mapped.begin(), std::min(mapped.size(), made.name.size()), made.name.begin());
    if (!write_all(in.file(), &made, sizeof made, place_of(index))) {
        why = explain(errno, "cannot write '" + path_of(in.identity().kind, in.identity().ordinal) + "'");
        return false;
    }
    // By the difference and not by SETVAL, which would erase what the kernel keeps to undo.
    const auto bring = [&](int semaphore, int value) {
        const int by = value - in.value(semaphore);
        sembuf step{static_cast<unsigned short>(semaphore), static_cast<short>(by), IPC_NOWAIT};
        const int error = by == 0 ? 0 : in.operate(&step, 1);
        if (error != 0) why = explain(error, "cannot prepare the semaphores of '" + path_ + "'");
        return error == 0;
    };
    const int first = in.arrangement().first_of(index);
    if (in.identity().kind == set_kind::tickets) return bring(first, std::min(max_count, most_tickets));
    return bring(first, 1) && bring(first + 1, most_tickets);
}

/// Null without a text in @p why when there is none, and none was to be made.
std::shared_ptr<open_set> set_directory::set_at(const locked_directory& where, set_kind kind, int ordinal, bool make,
                                                failure& why) {
    auto& known = sets_[static_cast<std::size_t>(kind)];
    const auto at = static_cast<std::size_t>(ordinal);
    if (known.size() <= at) known.resize(at + 1);
    if (known[at] != nullptr && known[at]->look()) return known[at];
    known[at].reset();
    const set_identity who = identity(where, kind, ordinal);
    const std::string path = path_of(kind, ordinal);
    auto file = std::make_unique<core::forked_descriptor>();
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    file->open_with([&] { return ::open(path.c_str(), flags); });
    if (file->get() < 0 && errno == ENOENT) {
        if (!make) return nullptr;
        file->open_with([&] { return ::open(path.c_str(), flags | O_CREAT | O_EXCL, who.mode); });
        // Against the umask.
        if (file->get() >= 0) ::fchmod(file->get(), who.mode);
    }
    if (file->get() < 0) {
        why = explain(errno, "cannot open '" + path + "'");
        return nullptr;
    }
    known[at] = read(who, std::move(file), why);
    return known[at];
}

std::shared_ptr<open_set> set_directory::read(const set_identity& who, std::unique_ptr<core::forked_descriptor> file,
                                              failure& why) const {
    const std::string path = path_of(who.kind, who.ordinal);
    struct stat status {};
    if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
        (scope_ == scope::user && status.st_uid != ::geteuid())) {
        why = make_failure(errc::permission, 0, "'" + path + "' is not a file that Holdfast has made; remove it");
        return nullptr;
    }
    header here;
    if (!look_at_place(here)) {
        why = make_failure(errc::unsupported, errno,
                           "cannot tell the IPC namespace and the boot, for which /proc is needed");
        return nullptr;
    }
    header there;
    const bool whole = read_all(file->get(), &there, sizeof there, 0) && there.magic == file_magic;
    // Whoever uses the set has a shared lock of the file, wherever it may be.
    const bool alone = ::flock(file->get(), LOCK_EX | LOCK_NB) == 0;
    int id = -1;
    if (whole && there.version == file_version && there.boot == here.boot &&
        there.ipc_namespace == here.ipc_namespace &&
        status.st_size == place_of(layout::of(who.kind, who.ordinal).slots())) {
        if (there.state == is_published && is_set(there.id, who)) id = there.id;
    } else if (!alone) {
        std::string text = "'" + path + "' is damaged, while processes use it; end them, then remove it";
        errc code = errc::protocol;
        if (whole && there.version != file_version) {
            text = "'" + path + "' is in use by another version of Holdfast, which this one does not understand";
        } else if (whole && there.boot == here.boot && there.ipc_namespace != here.ipc_namespace) {
            text = "'" + path +
                   "' is in use in another IPC namespace (a container?), whose semaphores cannot be reached from here; "
                   "share the namespace, or use a directory of its own";
            code = errc::unsupported;
        } else if (whole && there.boot != here.boot) {
            text = "'" + path + "' is in use by another machine; use a directory that only this one has";
            code = errc::unsupported;
        }
        why = make_failure(code, 0, text);
        return nullptr;
    }
    if (id < 0) id = publish(who, file->get(), whole && there.state == being_made, why);
    ::flock(file->get(), LOCK_SH | LOCK_NB);
    if (id < 0) return nullptr;
    return std::make_shared<open_set>(id, who, std::move(file));
}

/// Makes a set, and the file say so. -1 when it cannot be.
int set_directory::publish(const set_identity& who, int file, bool interrupted, failure& why) const {
    const std::string path = path_of(who.kind, who.ordinal);
    header made;
    look_at_place(made);
    if (::ftruncate(file, 0) != 0 || ::ftruncate(file, place_of(layout::of(who.kind, who.ordinal).slots())) != 0 ||
        !write_all(file, &made, sizeof made, 0)) {
        why = explain(errno, "cannot write '" + path + "'");
        return -1;
    }
    // Whoever uses one that no file names any more would not exclude those who use the new one: it learns of it now.
    remove_strays(who, -1, interrupted);
    made.id = make_set(who);
    if (made.id < 0) {
        why = explain(errno, "cannot make a set of semaphores");
        if (errno == ENOSPC) {
            why.text +=
                "; the kernel's limits are reached (kernel.sem, see ipcs -ls): raise them, or remove sets that "
                "nobody uses (ipcs -s, ipcrm -s)";
        }
        return -1;
    }
    made.state = is_published;
    if (!write_all(file, &made, sizeof made, 0)) {
        why = explain(errno, "cannot write '" + path + "'");
        ::semctl(made.id, 0, IPC_RMID);
        return -1;
    }
    return made.id;
}

int set_directory::remove_unused(const locked_directory& where, set_kind kind) {
    int removed = 0;
    auto& known = sets_[static_cast<std::size_t>(kind)];
    for (std::size_t at = 0; at < known.size(); ++at) {
        const std::string path = path_of(kind, static_cast<int>(at));
        auto& set = known[at];
        failure why;
        // What we know of it may be gone, and another set be there instead.
        if (set_at(where, kind, static_cast<int>(at), false, why) == nullptr) continue;
        if (set.use_count() != 1) continue;
        set->retire();
        struct stat ours {};
        struct stat there {};
        const bool same = ::fstat(set->file(), &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
                          ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
        const bool unused = same && !set->is_gone() && ::flock(set->file(), LOCK_EX | LOCK_NB) == 0 &&
                            is_unused(set->id(), set->identity());
        if (!unused || ::unlink(path.c_str()) != 0) {
            ::flock(set->file(), LOCK_SH | LOCK_NB);
            continue;
        }
        if (::semctl(set->id(), 0, IPC_RMID) == 0) ++removed;
        set.reset();
    }
    return removed;
}

/// Waits for those who change it, which takes them microseconds.
std::unique_ptr<set_directory::locked_directory> set_directory::lock_or_throw() const {
    const auto deadline = boottime::now() + inspection_patience;
    for (;;) {
        auto made = std::make_unique<locked_directory>(*this);
        if (made->result() == resolution::found) return made;
        if (made->result() == resolution::failed) throw error(made->why().code, made->why().text);
        if (boottime::now() >= deadline) {
            throw error(errc::unavailable, "another process has the directory '" + path_ + "' locked");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

std::vector<set_directory::used_name> set_directory::names() {
    const std::lock_guard guard(mutex_);
    std::vector<used_name> made;
    // Looking makes nothing.
    if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return made;
    const auto where = lock_or_throw();
    for (const auto kind : {set_kind::tickets, set_kind::readers}) {
        for (int ordinal = 0; ordinal < layout::most_sets; ++ordinal) {
            failure why;
            const auto set = set_at(*where, kind, ordinal, false, why);
            if (set == nullptr && why.text.empty()) continue;
            if (set == nullptr) throw error(why.code, why.text);
            for (int index = 0; index < set->arrangement().slots(); ++index) {
                const int users = set->value(set->arrangement().users_of(index));
                entry each;
                if (users <= 0 || !read_all(set->file(), &each, sizeof each, place_of(index))) continue;
                used_name found;
                found.kind = kind;
                found.whole = each.length <= each.name.size();
                found.mapped.assign(each.name.data(), std::min<std::size_t>(each.length, each.name.size()));
                found.max_count = each.max_count;
                found.semaphores = set->id();
                found.first = set->arrangement().first_of(index);
                found.users = users;
                made.push_back(std::move(found));
            }
        }
    }
    return made;
}

int set_directory::clean() {
    const std::lock_guard guard(mutex_);
    if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return 0;
    const auto where = lock_or_throw();
    int removed = 0;
    for (const auto kind : {set_kind::tickets, set_kind::readers}) {
        for (int ordinal = 0; ordinal < layout::most_sets; ++ordinal) {
            failure why;
            const auto set = set_at(*where, kind, ordinal, false, why);
            // One that is there and cannot be understood is not ours to take away.
            if (set == nullptr && !why.text.empty()) continue;
            removed += remove_strays(identity(*where, kind, ordinal), set == nullptr ? -1 : set->id(), true);
        }
        removed += remove_unused(*where, kind);
    }
    return removed;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
