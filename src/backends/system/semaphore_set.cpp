#include <backends/system/semaphore_set.hpp>
#include <core/hot.hpp>
#include <core/thread.hpp>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

// A stop of value 0 is nobody's; of 1 somebody's, and ends the wait; of 2 it lets the wait be.
constexpr short ended = 1;
constexpr short armed = 2;

// A stop that had to be looked for so long is one of few that are left: others shall find it.
constexpr int scarce_after = 8;

/// Sets younger than this may be in the middle of being made, by a process that uses another directory.
constexpr time_t making_time = 2;

union control {
    int value;
    semid_ds* status;
    unsigned short* values;
    seminfo* info;
};

sembuf change(int index, int by, int flags) noexcept {
    return {static_cast<unsigned short>(index), static_cast<short>(by), static_cast<short>(flags)};
}

bool all_values(int id, std::vector<unsigned short>& found) {
    control argument{};
    argument.values = found.data();
    return ::semctl(id, 0, GETALL, argument) == 0;
}

bool looks_like(const semid_ds& status, const set_identity& who) noexcept {
    return status.sem_perm.__key == IPC_PRIVATE && (status.sem_perm.mode & 0777) == who.mode &&
           static_cast<int>(status.sem_nsems) == layout::of(who.kind, who.ordinal).size();
}

bool has_marks(const std::vector<unsigned short>& values, const set_identity& who) noexcept {
    const auto marks = who.marks();
    return std::equal(marks.begin(), marks.end(), values.begin());
}

}  // namespace

layout layout::of(set_kind kind, int ordinal) noexcept {
    layout made;
    // 64 names, 256, 1,024, 4,096, and so on with 8,192: at most 32,000 semaphores (SEMMSL).
    made.buckets = ordinal < 4 ? 2 << (2 * ordinal) : 256;
    made.per_slot = kind == set_kind::tickets ? 2 : 3;
    made.stops = ordinal == 0 ? 128 : 512;
    return made;
}

std::array<unsigned short, layout::marks> set_identity::marks() const noexcept {
    const auto part = [](std::uint64_t of, int which) {
        return static_cast<unsigned short>((of >> (15 * which)) & 0x7fff);
    };
    // "Holdfast's set", version 1; then what it is; then whose.
    return {0x4866,
            0x7331,
            static_cast<unsigned short>(1 + 2 * static_cast<unsigned>(ordinal) + static_cast<unsigned>(kind)),
            part(static_cast<std::uint64_t>(device), 0),
            part(static_cast<std::uint64_t>(device), 1),
            part(static_cast<std::uint64_t>(inode), 0),
            part(static_cast<std::uint64_t>(inode), 1),
            part(static_cast<std::uint64_t>(inode), 2)};
}

int make_set(const set_identity& who) {
    std::vector<unsigned short> values(static_cast<std::size_t>(layout::of(who.kind, who.ordinal).size()));
    const auto marks = who.marks();
    std::copy(marks.begin(), marks.end(), values.begin());
    const int id = ::semget(IPC_PRIVATE, static_cast<int>(values.size()), IPC_CREAT | static_cast<int>(who.mode));
    if (id < 0) return -1;
    // All at once, so that a set is either blank or known for ours, whenever we die. Safe as long as nobody knows of
    // the set: later it would erase what the kernel keeps of a holder, to undo when it dies.
    control argument{};
    argument.values = values.data();
    if (::semctl(id, 0, SETALL, argument) == 0) return id;
    const int error = errno;
    ::semctl(id, 0, IPC_RMID);
    errno = error;
    return -1;
}

bool is_set(int id, const set_identity& who) noexcept {
    semid_ds status{};
    control argument{};
    argument.status = &status;
    if (::semctl(id, 0, IPC_STAT, argument) != 0 || !looks_like(status, who)) return false;
    const auto marks = who.marks();
    for (int index = 0; index < layout::marks; ++index) {
        if (::semctl(id, index, GETVAL) != marks[static_cast<std::size_t>(index)]) return false;
    }
    return true;
}

bool is_unused(int id, const set_identity& who) {
    const layout arrangement = layout::of(who.kind, who.ordinal);
    std::vector<unsigned short> values(static_cast<std::size_t>(arrangement.size()));
    if (!all_values(id, values)) return false;
    const auto stops = values.begin() + layout::marks;
    if (std::any_of(stops, stops + arrangement.stops, [](unsigned short each) { return each != 0; })) return false;
    for (int index = 0; index < arrangement.slots(); ++index) {
        if (values[static_cast<std::size_t>(arrangement.users_of(index))] != 0) return false;
    }
    return true;
}

int remove_strays(const set_identity& who, int but, bool unfinished) {
    seminfo limits{};
    control argument{};
    argument.info = &limits;
    const int highest = ::semctl(0, 0, SEM_INFO, argument);
    std::vector<unsigned short> values(static_cast<std::size_t>(layout::of(who.kind, who.ordinal).size()));
    int removed = 0;
    for (int at = 0; at <= highest; ++at) {
        semid_ds status{};
        argument.status = &status;
        const int id = ::semctl(at, 0, SEM_STAT, argument);
        if (id < 0 || id == but || status.sem_perm.cuid != ::geteuid() || !looks_like(status, who)) continue;
        if (!all_values(id, values)) continue;
        const bool blank = std::all_of(values.begin(), values.end(), [](unsigned short each) { return each == 0; }) &&
                           status.sem_otime == 0 && status.sem_ctime + making_time < ::time(nullptr);
        if (!has_marks(values, who) && !(unfinished && blank)) continue;
        if (::semctl(id, 0, IPC_RMID) == 0) ++removed;
    }
    return removed;
}

bool remove_if_ours(int id) noexcept {
    semid_ds status{};
    control argument{};
    argument.status = &status;
    if (::semctl(id, 0, IPC_STAT, argument) != 0 || status.sem_perm.__key != IPC_PRIVATE ||
        status.sem_perm.cuid != ::geteuid()) {
        return false;
    }
    const auto marks = set_identity().marks();
    return ::semctl(id, 0, GETVAL) == marks[0] && ::semctl(id, 1, GETVAL) == marks[1] && ::semctl(id, 0, IPC_RMID) == 0;
}

open_set::open_set(int id, const set_identity& who, std::unique_ptr<core::forked_descriptor> file)
    : id_(id),
      who_(who),
      layout_(layout::of(who.kind, who.ordinal)),
      generation_(core::fork_generation()),
      file_(std::move(file)) {}

open_set::~open_set() {
    if (generation_ != core::fork_generation()) {
        // Its thread is not in this process.
        if (sentinel_.joinable()) sentinel_.detach();
        return;
    }
    try {
        if (remove_if_abandoned()) return;
    } catch (...) {
        // No memory to look: then it stays.
    }
    retire();
}

void open_set::retire() noexcept {
    if (sentinel_.joinable()) {
        give_back(sentinel_stop_);
        sentinel_.join();
    }
    if (idle_stop_) give_back(*std::exchange(idle_stop_, std::nullopt));
}

bool open_set::look() noexcept {
    struct stat found {};
    const bool deleted = ::fstat(file(), &found) != 0 || found.st_nlink == 0;
    if (deleted || value(0) != who_.marks()[0]) gone_.store(true, std::memory_order_release);
    return !is_gone();
}

bool open_set::remove_if_abandoned() {
    struct stat found {};
    if (::fstat(file(), &found) != 0 || found.st_nlink != 0) return false;
    retire();
    // Nobody can open the file any more, so nobody can come to use the set.
    if (::flock(file(), LOCK_EX | LOCK_NB) == 0 && is_unused(id_, who_)) ::semctl(id_, 0, IPC_RMID);
    return true;
}

HOLDFAST_HOT int open_set::operate(sembuf* operations, std::size_t count, const timespec* limit) noexcept {
    const int status = limit == nullptr ? ::semop(id_, operations, count) : ::semtimedop(id_, operations, count, limit);
    if (status == 0) return 0;
    if (errno != EIDRM && errno != EINVAL) return errno;
    gone_.store(true, std::memory_order_release);
    return EIDRM;
}

int open_set::value(int index) const noexcept {
    return ::semctl(id_, index, GETVAL);
}

std::optional<int> open_set::take_stop() noexcept {
    const std::lock_guard guard(mutex_);
    return idle_stop_ ? std::exchange(idle_stop_, std::nullopt) : take_new_stop();
}

std::optional<int> open_set::take_new_stop() noexcept {
    // Each process begins elsewhere, so that mostly the first one is free.
    const auto offset = static_cast<int>(static_cast<unsigned>(::getpid()) * 7U % static_cast<unsigned>(layout_.stops));
    for (int at = 0; at < layout_.stops && !is_gone(); ++at) {
        const int index = layout::marks + (offset + at) % layout_.stops;
        if (value(index) != 0) continue;
        std::array<sembuf, 2> take{change(index, 0, IPC_NOWAIT), change(index, armed, SEM_UNDO)};
        if (operate(take.data(), take.size()) != 0) continue;
        scarce_ = at >= scarce_after;
        return index;
    }
    scarce_ = true;
    return std::nullopt;
}

void open_set::give_back(int index) noexcept {
    sembuf give = change(index, -armed, SEM_UNDO | IPC_NOWAIT);
    operate(&give, 1);
}

void open_set::rearm(int index) noexcept {
    sembuf again = change(index, armed - ended, SEM_UNDO);
    operate(&again, 1);
}

void open_set::return_stop(int index) noexcept {
    const std::lock_guard guard(mutex_);
    if (idle_stop_ || scarce_) {
        give_back(index);
    } else {
        idle_stop_ = index;
    }
}

std::array<sembuf, 2> open_set::stop_condition(int index) noexcept {
    return {change(index, -armed, IPC_NOWAIT), change(index, armed, 0)};
}

void open_set::stop(int index) noexcept {
    sembuf end = change(index, ended - armed, SEM_UNDO | IPC_NOWAIT);
    operate(&end, 1);
}

std::shared_ptr<void> open_set::on_removal(std::function<void()> removed) {
    const std::lock_guard guard(mutex_);
    if (!sentinel_.joinable()) {
        const auto taken = take_new_stop();
        if (!taken) return nullptr;
        sentinel_stop_ = *taken;
        try {
            sentinel_ = core::start_thread("holdfast-sets", [this, index = sentinel_stop_] { stand_sentinel(index); });
        } catch (const std::system_error&) {
            // Told by the caller: a loss is then seen by looking only.
        }
        if (!sentinel_.joinable()) {
            give_back(sentinel_stop_);
            return nullptr;
        }
    }
    const std::size_t id = next_id_++;
    on_removal_.emplace_back(id, std::move(removed));
    return {static_cast<void*>(this), [self = shared_from_this(), id](void*) {
                // In a forked child the mutex may be somebody's who is not there.
                if (self->generation_ != core::fork_generation()) return;
                const std::lock_guard inner(self->mutex_);
                std::erase_if(self->on_removal_, [id](const auto& each) { return each.first == id; });
            }};
}

/// Waits until its stop is given back, or the set is gone. Waiting for one semaphore to be zero does not make the
/// kernel lock the whole set, unlike the waits that a stop can end.
void open_set::stand_sentinel(int index) noexcept {
    sembuf until_zero = change(index, 0, 0);
    int status = 0;
    do {
        status = operate(&until_zero, 1);
    } while (status == EINTR);
    if (status != EIDRM) return;
    const std::lock_guard guard(mutex_);
    for (const auto& each : on_removal_) each.second();
}

slot::slot(std::shared_ptr<open_set> in, int index, int count) noexcept
    : set(std::move(in)),
      first(set->arrangement().first_of(index)),
      users(set->arrangement().users_of(index)),
      max_count(count),
      generation(core::fork_generation()) {}

slot::~slot() {
    if (generation != core::fork_generation()) return;
    sembuf leave = change(users, -1, SEM_UNDO | IPC_NOWAIT);
    set->operate(&leave, 1);
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
