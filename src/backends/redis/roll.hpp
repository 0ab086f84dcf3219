// Which server each of several addresses leads to.
#ifndef HOLDFAST_BACKENDS_REDIS_ROLL_HPP
#define HOLDFAST_BACKENDS_REDIS_ROLL_HPP

#include <holdfast/config.hpp>

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Two addresses of one server would give it two votes.

    Thread safety: safe.
*/
class roll {
public:
    explicit roll(std::size_t servers) : entries_(servers) {}

    /// A connection to the address leads to that server, until @ref end. @return another address that does, and then it
    /// is not entered
    std::optional<std::size_t> enter(std::size_t number, const std::string& identity) {
        const std::lock_guard guard(mutex_);
        for (std::size_t other = 0; other < entries_.size(); ++other) {
            if (other != number && entries_[other].identity == identity) return other;
        }
        entry& one = entries_[number];
        one.identity = identity;
        one.gone = false;
        ++one.connections;
        return std::nullopt;
    }
    /// A connection that was entered is over.
    void end(std::size_t number) {
        const std::lock_guard guard(mutex_);
        --entries_[number].connections;
        clear_if_gone(entries_[number]);
    }
    /// Nothing answers there now; but connections that stand go on voting.
    void leave(std::size_t number) {
        const std::lock_guard guard(mutex_);
        entries_[number].gone = true;
        clear_if_gone(entries_[number]);
    }

private:
    struct entry {
        std::string identity = {};
        std::size_t connections = 0;
        bool gone = false;
    };
    static void clear_if_gone(entry& one) {
        if (one.gone && one.connections == 0) one.identity.clear();
    }

    std::mutex mutex_;
    std::vector<entry> entries_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
