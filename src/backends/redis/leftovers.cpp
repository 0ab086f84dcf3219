#include <backends/redis/leftovers.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// What is more than this many ends with its time: a server that is away for long must not fill our memory.
constexpr std::size_t most = 1000;
constexpr std::chrono::milliseconds between_sweeps{50};

}  // namespace

bool leftovers::take_back(std::size_t at, const std::string& owner, std::string text, const script& which,
                          boottime::time_point until, bool again) {
    const std::lock_guard guard(mutex_);
    if (channels_.empty()) channels_ = over_();
    sweep(boottime::now());
    const auto still_asks = [&](const item& each) {
        return each.at == at && each.owner == owner && !channels_[at]->is_done(*each.asked);
    };
    if (std::any_of(items_.begin(), items_.end(), still_asks)) return true;
    if (items_.size() >= most) return false;
    items_.push_back({at, owner, channels_[at]->submit_lasting(std::move(text), which, until), until, again});
    count_ = items_.size();
    return true;
}

bool leftovers::owes(std::size_t at, const std::string& owner) {
    if (count_ == 0) return false;
    const std::lock_guard guard(mutex_);
    const auto now = boottime::now();
    sweep(now);
    return std::any_of(items_.begin(), items_.end(), [&](const item& each) {
        return each.at == at && each.owner == owner && !is_settled(each, now);
    });
}

void leftovers::confirm(std::size_t at, const std::string& owner) {
    const std::lock_guard guard(mutex_);
    for (item& each : items_) {
        if (each.at == at && each.owner == owner) each.again = false;
    }
    sweep_at_ = {};
}

void leftovers::sweep(boottime::time_point now) {
    if (now < sweep_at_) return;
    std::erase_if(items_, [&](const item& each) { return is_settled(each, now); });
    count_ = items_.size();
    sweep_at_ = now + between_sweeps;
}

/// What was sent over a connection that was lost may arrive after what was sent later.
bool leftovers::is_settled(const item& one, boottime::time_point now) const {
    return now >= one.until || (!one.again && channels_[one.at]->is_done(*one.asked) && one.asked->losses == 0);
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
