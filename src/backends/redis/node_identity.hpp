// Which node of a cluster is expected at an address.
#ifndef HOLDFAST_BACKENDS_REDIS_NODE_IDENTITY_HPP
#define HOLDFAST_BACKENDS_REDIS_NODE_IDENTITY_HPP

#include <holdfast/config.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** An address may be given to another Redis once its node is gone, and what that one grants is no lock of the cluster.

    Thread safety: safe.
*/
class node_identity {
public:
    /// @param id empty: whoever is there
    void expect(std::string_view id) {
        const std::lock_guard guard(mutex_);
        if (id == id_) return;
        id_ = id;
        was_another_ = false;
        version_.fetch_add(1, std::memory_order_release);
    }
    /// Whether who says that it is @p id may be believed. @param id empty: it does not say
    bool is(std::string_view id) {
        const std::lock_guard guard(mutex_);
        was_another_ = !id_.empty() && !id.empty() && id != id_;
        return !was_another_;
    }
    /// The last one who was there was another one.
    bool was_another() const {
        const std::lock_guard guard(mutex_);
        return was_another_;
    }
    /// Grows whenever another one is expected than before.
    unsigned version() const noexcept { return version_.load(std::memory_order_acquire); }

private:
    mutable std::mutex mutex_;
    std::string id_;
    bool was_another_ = false;
    std::atomic<unsigned> version_{0};
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
