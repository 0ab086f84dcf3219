// Links that hold nothing, waiting for their next command.
#ifndef HOLDFAST_CORE_LINK_POOL_HPP
#define HOLDFAST_CORE_LINK_POOL_HPP

#include <core/link.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

/** A provider's idle links, of the kinds that say `link::reusable`; the one used last is used next, so that surplus
   ones grow old.

    Thread safety: safe.
*/
class link_pool {
public:
    explicit link_pool(std::size_t most_idle = 16) noexcept : most_idle_(most_idle) {}

    /// Null when none is idle.
    std::unique_ptr<link> take();
    /// Destroys the link instead when it cannot be used again or enough are idle.
    void put(std::unique_ptr<link> returned);
    std::size_t idle() const;

private:
    const std::size_t most_idle_;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<link>> links_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
