// Sets of the kernel's semaphores (semop(2)): what they are made of, and one that this process uses.
#ifndef HOLDFAST_BACKENDS_SYSTEM_SEMAPHORE_SET_HPP
#define HOLDFAST_BACKENDS_SYSTEM_SEMAPHORE_SET_HPP

#include <core/fork.hpp>

#include <holdfast/error.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/sem.h>
#include <sys/types.h>

namespace holdfast {
inline namespace v0 {
namespace system {

/// Why something could not be done.
struct failure {
    errc code = errc::unavailable;
    int native_code = 0;
    std::string text = {};
};

/// The most that a semaphore of the kernel counts (SEMVMX).
constexpr int most_tickets = 32767;

/// What the slots of a set are for. Readers and writers need operations on two semaphores at once, for which the kernel
/// locks the whole set; so they have sets of their own, and the others keep a lock for each semaphore.
enum class set_kind : std::uint32_t {
    /// Locks and semaphores.
    tickets,
    /// Reader-writer locks.
    readers,
};

/** Which semaphore of a set is what. Part of the protocol between Holdfast processes: see docs/wire.md.

        marks | stops | slot 0 | slot 1 | ...

    A slot serves one name: of `tickets` a count of free tickets, of `readers` a gate and a count of free places; last
   in each, the number of processes that use it. Sets grow with their ordinal: few processes need many names, and what a
    set costs at a process's end grows with its size.
*/
struct layout {
    /// What the first semaphores of a set hold, so that nobody takes another program's set for ours.
    static constexpr int marks = 8;
    /// Names whose hash leads to one bucket share its slots.
    static constexpr int bucket_slots = 32;
    static constexpr int most_sets = 8;

    int buckets = 0;
    int per_slot = 0;
    int stops = 0;

    static layout of(set_kind kind, int ordinal) noexcept;

    int slots() const noexcept { return buckets * bucket_slots; }
    int size() const noexcept { return marks + stops + slots() * per_slot; }
    int first_of(int slot) const noexcept { return marks + stops + slot * per_slot; }
    /// The count of a slot's users.
    int users_of(int slot) const noexcept { return first_of(slot) + per_slot - 1; }
};

/// What a set is told from others by.
struct set_identity {
    set_kind kind = set_kind::tickets;
    int ordinal = 0;
    /// Of the directory that publishes it.
    dev_t device = 0;
    ino_t inode = 0;
    /// Access rights: 0600 or 0666.
    mode_t mode = 0600;

    std::array<unsigned short, layout::marks> marks() const noexcept;
};

/// A new set that nobody knows of yet. -1 and errno when there is none to be had.
int make_set(const set_identity& who);
/// Whether @p id is a set with these marks, size and rights, and no key.
bool is_set(int id, const set_identity& who) noexcept;
/// Whether nobody uses any slot of it, nor waits.
bool is_unused(int id, const set_identity& who);
/** Removes this user's sets with these marks but @p but, and their like.

    @param unfinished also those that nobody has ever used or marked: a process died in the middle of making one
*/
int remove_strays(const set_identity& who, int but, bool unfinished);

/// Removes a set of this user's that has our first marks, whatever directory it is of. @return whether it did
bool remove_if_ours(int id) noexcept;

/** A set that this process uses, and the published file that it was found in.

    Thread safety: safe.
*/
class open_set : public std::enable_shared_from_this<open_set> {
public:
    /// @param file open for reading and writing, with a shared flock(2)
    open_set(int id, const set_identity& who, std::unique_ptr<core::forked_descriptor> file);
    open_set(const open_set&) = delete;
    open_set& operator=(const open_set&) = delete;
    /// As `remove_if_abandoned`, or else `retire`.
    ~open_set();

    /// Gives back what only this process's waits need. No other thread may use the set any more.
    void retire() noexcept;
    /// The same where the file was deleted, and then removes the set if no other process uses it. @return whether it
    /// was deleted
    bool remove_if_abandoned();

    int id() const noexcept { return id_; }
    const set_identity& identity() const noexcept { return who_; }
    const layout& arrangement() const noexcept { return layout_; }
    int file() const noexcept { return file_->get(); }

    /// The set has been removed, or its file deleted: nothing in it excludes anybody any more.
    bool is_gone() const noexcept { return gone_.load(std::memory_order_acquire); }
    /// Looks whether it is.
    bool look() noexcept;

    /// semtimedop(2). 0, or the errno; EIDRM, whichever way the kernel says it, when the set is gone.
    int operate(sembuf* operations, std::size_t count, const timespec* limit = nullptr) noexcept;
    /// -1 when the set is gone.
    int value(int index) const noexcept;

    /** A semaphore that ends one wait at a time; none when too many processes wait that can be interrupted.

        The wait begins with the two operations of `stop_condition`, which let it pass as long as nobody calls `stop`,
        and end it with EAGAIN afterwards. The kernel decides whether the wait or its end came first.
    */
    std::optional<int> take_stop() noexcept;
    static std::array<sembuf, 2> stop_condition(int index) noexcept;
    void stop(int index) noexcept;
    /// After a `stop`: lets the next wait be.
    void rearm(int index) noexcept;
    /// @pre not stopped, or armed again
    void return_stop(int index) noexcept;

    /// Calls @p removed, from a thread of its own, once the set is gone; until the result is destroyed. Null where
    /// there is no thread to be had.
    std::shared_ptr<void> on_removal(std::function<void()> removed);

private:
    /// The mutex is held.
    std::optional<int> take_new_stop() noexcept;
    void give_back(int index) noexcept;
    void stand_sentinel(int index) noexcept;

    const int id_;
    const set_identity who_;
    const layout layout_;
    const unsigned generation_;
    const std::unique_ptr<core::forked_descriptor> file_;
    std::atomic<bool> gone_{false};

    std::mutex mutex_;
    /// Taken from the set, and not in use: most waits are one after the other.
    std::optional<int> idle_stop_;
    /// Few are left.
    bool scarce_ = false;
    std::vector<std::pair<std::size_t, std::function<void()>>> on_removal_;
    std::size_t next_id_ = 1;
    std::thread sentinel_;
    int sentinel_stop_ = -1;
};

/// One name's semaphores, as long as this process uses them.
struct slot {
    slot(std::shared_ptr<open_set> in, int index, int count) noexcept;
    slot(const slot&) = delete;
    slot& operator=(const slot&) = delete;
    ~slot();

    const std::shared_ptr<open_set> set;
    const int first;
    const int users;
    /// Of tickets, as all its users agree.
    const int max_count;
    const unsigned generation;
};

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
