#include <core/link_pool.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

std::unique_ptr<link> link_pool::take() {
    const std::lock_guard guard(mutex_);
    if (links_.empty()) return nullptr;
    auto taken = std::move(links_.back());
    links_.pop_back();
    return taken;
}

void link_pool::put(std::unique_ptr<link> returned) {
    if (returned == nullptr || !returned->reusable()) return;
    const std::lock_guard guard(mutex_);
    if (links_.size() < most_idle_) links_.push_back(std::move(returned));
}

std::size_t link_pool::idle() const {
    const std::lock_guard guard(mutex_);
    return links_.size();
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
