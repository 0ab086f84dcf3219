#include <backends/redis/leftovers.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// What is more than this many ends with its time: a server that is away for long must not fill our memory.
constexpr std::size_t most_items = 1000;
constexpr std::chrono::milliseconds between_sweeps{50};

}  // namespace

std::shared_ptr<const request> leftovers::take_back(std::size_t at, const core::owner_id& owner, std::string text,
                                                    const script& which, boottime::time_point until,
                                                    boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    if (channels_.empty()) channels_ = over_();
    if (items_.size() >= most_items) sweep_at_ = {};
    sweep(now);
    const auto still_asks = [&](const item& each) {
        return each.at == at && each.owner == owner && !channels_[at]->is_done(*each.asked);
    };
    const auto found = std::find_if(items_.begin(), items_.end(), still_asks);
    if (found != items_.end()) return found->asked;
    if (items_.size() >= most_items) return nullptr;
    items_.push_back({at, owner, channels_[at]->submit_lasting(std::move(text), which, until), until});
    return items_.back().asked;
}

bool leftovers::is_settled(std::size_t at, const request& taken) const {
    const std::lock_guard guard(mutex_);
    return channels_[at]->is_settled(taken);
}

bool leftovers::is_unsettleable(std::size_t at, const request& taken) const {
    const std::lock_guard guard(mutex_);
    return channels_[at]->is_done(taken) && !channels_[at]->is_settled(taken);
}

void leftovers::sweep(boottime::time_point now) {
    if (now < sweep_at_) return;
    std::erase_if(items_,
                  [&](const item& each) { return now >= each.until || channels_[each.at]->is_done(*each.asked); });
    sweep_at_ = now + between_sweeps;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
