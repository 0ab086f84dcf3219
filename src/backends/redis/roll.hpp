// Which server each of several addresses leads to.
#ifndef HOLDFAST_BACKENDS_REDIS_ROLL_HPP
#define HOLDFAST_BACKENDS_REDIS_ROLL_HPP

#include <holdfast/clock.hpp>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Two addresses of one server would give it two votes. Of connections whose answers are counted together.

    Servers may exchange their addresses. What one has said by a connection that is over may still be counted, so that
   it has no vote by another address for a while.

    Thread safety: safe.
*/
class roll {
public:
    /// @param memory how long a vote may count
    explicit roll(boottime::duration memory) : memory_(memory) {}

    /// A connection to the address leads to that server, until @ref end. @return another address that does, or did not
    /// long ago, and then it is not entered
    std::optional<std::size_t> enter(std::size_t number, const std::string& identity, boottime::time_point now) {
        const std::lock_guard guard(mutex_);
        std::erase_if(entries_, [&](const entry& each) { return each.connections == 0 && now - each.left >= memory_; });
        for (const entry& each : entries_) {
            if (each.identity == identity && each.number != number) return each.number;
        }
        auto own = find(number, identity);
        if (own == entries_.end()) own = entries_.insert(own, {number, identity});
        ++own->connections;
        return std::nullopt;
    }
    /// A connection that was entered is over.
    void end(std::size_t number, const std::string& identity, boottime::time_point now) noexcept {
        const std::lock_guard guard(mutex_);
        const auto own = find(number, identity);
        --own->connections;
        own->left = now;
    }

private:
    struct entry {
        std::size_t number;
        std::string identity;
        std::size_t connections = 0;
        /// When the last connection that is over was.
        boottime::time_point left = {};
    };
    std::vector<entry>::iterator find(std::size_t number, const std::string& identity) noexcept {
        return std::find_if(entries_.begin(), entries_.end(),
                            [&](const entry& each) { return each.number == number && each.identity == identity; });
    }

    const boottime::duration memory_;
    std::mutex mutex_;
    std::vector<entry> entries_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
