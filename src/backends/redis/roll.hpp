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
    explicit roll(std::size_t servers) : identities_(servers) {}

    /// The address leads to that server. @return another address that does, and then it is not entered
    std::optional<std::size_t> enter(std::size_t number, const std::string& identity) {
        const std::lock_guard guard(mutex_);
        for (std::size_t other = 0; other < identities_.size(); ++other) {
            if (other != number && identities_[other] == identity) return other;
        }
        identities_[number] = identity;
        return std::nullopt;
    }
    /// Nothing answers there now.
    void leave(std::size_t number) {
        const std::lock_guard guard(mutex_);
        identities_[number].clear();
    }

private:
    std::mutex mutex_;
    std::vector<std::string> identities_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
