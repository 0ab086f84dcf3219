// The directory in which sets of semaphores are published, and the names that their slots serve.
#ifndef HOLDFAST_BACKENDS_SYSTEM_SET_DIRECTORY_HPP
#define HOLDFAST_BACKENDS_SYSTEM_SET_DIRECTORY_HPP

#include <backends/system/semaphore_set.hpp>

#include <holdfast/backends/system.hpp>

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>

namespace holdfast {
inline namespace v0 {
namespace system {

/** Where names become slots.

    Everything that changes what is published, or which slot serves which name, happens under a flock(2) of the
    directory. A slot that any process uses keeps its name; one that nobody uses is given to the next name.

    Thread safety: safe.
*/
class set_directory {
public:
    explicit set_directory(const options& opts);
    set_directory(const set_directory&) = delete;
    set_directory& operator=(const set_directory&) = delete;
    /// Removes the sets that nobody uses any more.
    ~set_directory();

    enum class resolution {
        found,
        /// Another process is changing the directory; it will be done in a moment.
        busy,
        failed,
    };
    /** The slot that serves @p mapped, found or made.

        @param max_count the number of tickets, if the slot is new
    */
    resolution find(set_kind kind, const std::string& mapped, int max_count, std::shared_ptr<slot>& found,
                    failure& why);

    /// One name that is in use.
    struct used_name {
        set_kind kind = set_kind::tickets;
        /// The first 88 bytes of the mapped name; the rest is known to its users only.
        std::string mapped;
        bool whole = true;
        int max_count = 1;
        int semaphores = 0;
        int first = 0;
        int users = 0;
    };
    /// All names in use. Waits for the directory's lock. Throws @ref error.
    std::vector<used_name> names();
    /// Removes sets that nobody uses, and those that no file publishes any more. @return how many. Throws @ref error.
    int clean();

    const std::string& path() const noexcept { return path_; }

private:
    struct published;
    class locked_directory;
    using digest = std::array<std::uint8_t, 32>;

    std::unique_ptr<locked_directory> lock_or_throw() const;
    set_identity identity(const locked_directory& where, set_kind kind, int ordinal) const noexcept;
    std::string path_of(set_kind kind, int ordinal) const;
    std::shared_ptr<open_set> set_at(const locked_directory& where, set_kind kind, int ordinal, bool make,
                                     failure& why);
    std::shared_ptr<open_set> read(const set_identity& who, std::unique_ptr<core::forked_descriptor> file,
                                   failure& why) const;
    int publish(const set_identity& who, int file, bool interrupted, failure& why) const;
    bool claim(open_set& in, int index, const digest& hash, const std::string& mapped, int max_count,
               failure& why) const;
    int remove_unused(const locked_directory& where, set_kind kind);
    failure explain(int error, const std::string& step) const;

    const system::scope scope_;
    const std::string path_;
    const unsigned generation_;

    std::mutex mutex_;
    std::unordered_map<std::string, std::weak_ptr<slot>> slots_;
    std::size_t sweep_at_ = 64;
    std::array<std::vector<std::shared_ptr<open_set>>, 2> sets_;
};

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
