#include <backends/redis/cluster.hpp>

#include <algorithm>
#include <set>

namespace holdfast {
inline namespace v0 {
namespace redis {

cluster::cluster(const std::vector<server>& seeds, std::chrono::milliseconds memory)
    : memory_(memory), common_(seeds.front()), owners_(slot_count, nullptr) {
    for (const server& each : seeds) entry_at(each.address, each).seed = true;
}

/// @pre mutex_ is held
cluster::entry& cluster::entry_at(const server_address& where, const server& from) {
    const std::string& host = where.host.empty() ? from.address.host : where.host;
    entry& found = entries_[{host, where.port}];
    if (found.where == nullptr) {
        auto made = std::make_shared<server>(common_);
        made->address = {host, where.port};
        made->identity = std::make_shared<node_identity>();
        found.where = std::move(made);
    }
    return found;
}

node cluster::owner_of(unsigned slot) const {
    const std::lock_guard guard(mutex_);
    return owners_[slot] == nullptr ? nullptr : owners_[slot]->where;
}

node cluster::at(server_address where, const server& from) {
    const std::lock_guard guard(mutex_);
    return entry_at(where, from).where;
}

std::vector<node> cluster::masters() const {
    const std::lock_guard guard(mutex_);
    std::vector<node> found;
    const std::set<const entry*> all(owners_.begin(), owners_.end());
    for (const auto& [where, each] : entries_) {
        if (all.count(&each) != 0) found.push_back(each.where);
    }
    return found;
}

bool cluster::knows(const server& one) const {
    const std::lock_guard guard(mutex_);
    const auto found = entries_.find({one.address.host, one.address.port});
    return found != entries_.end() && found->second.where.get() == &one;
}

/// Leases that it granted have ended: what it claimed does not matter any more.
bool cluster::is_over(const entry& one, boottime::time_point now) const {
    return one.silent_since && now - *one.silent_since > memory_;
}

bool cluster::learn(const redisReply& slots, const redisReply* nodes, const server& from, boottime::time_point now) {
    const std::vector<slot_range> ranges = ranges_from(slots);
    if (ranges.empty()) return false;
    const auto epochs = nodes == nullptr ? decltype(epochs_from(*nodes))() : epochs_from(*nodes);
    bool changed = false;
    {
        const std::lock_guard guard(mutex_);
        for (const slot_range& each : ranges) {
            entry& claims = entry_at(each.master, from);
            const auto epoch = epochs.find(each.id);
            // Another node may have taken over the address, and is another one then.
            if (claims.id != each.id) claims.epoch = 0;
            claims.id = each.id;
            claims.where->identity->expect(each.id);
            if (epoch != epochs.end()) claims.epoch = std::max(claims.epoch, epoch->second);
            for (unsigned slot = each.first; slot <= each.last; ++slot) {
                entry*& owner = owners_[slot];
                if (owner == &claims) continue;
                if (owner != nullptr && claims.epoch < owner->epoch && !is_over(*owner, now)) continue;
                owner = &claims;
                changed = true;
            }
        }
        doubted_.store(false, std::memory_order_release);
        forget_unused();
    }
    if (changed && told_) told_();
    return true;
}

node cluster::moved(const redirection& to, const server& from, boottime::time_point now) {
    node found;
    bool changed = false;
    {
        const std::lock_guard guard(mutex_);
        entry& claims = entry_at(to.where, from);
        entry*& owner = owners_[to.slot];
        // Who is the owner himself knows best; of others it may be those who are cut off.
        const bool free = owner == nullptr || owner->where.get() == &from || is_over(*owner, now);
        if (free || claims.epoch >= owner->epoch) {
            changed = owner != &claims;
            owner = &claims;
            found = claims.where;
        }
        doubt();
    }
    if (changed && told_) told_();
    return found;
}

/// What nobody names any more. @pre mutex_ is held
void cluster::forget_unused() {
    const std::set<const entry*> used(owners_.begin(), owners_.end());
    std::erase_if(entries_, [&](const auto& each) {
        if (used.count(&each.second) != 0) return false;
        if (each.second.seed) {
            // To be asked all the same, whoever it is by now.
            each.second.where->identity->expect({});
            return false;
        }
        if (each.second.silent_since) --silent_;
        return true;
    });
}

/// Without making an address of its own, which could fail. @pre mutex_ is held
std::map<cluster::place, cluster::entry>::iterator cluster::find(const server& one) noexcept {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&one](const auto& each) { return each.second.where.get() == &one; });
}

std::map<cluster::place, cluster::entry>::const_iterator cluster::find(const server& one) const noexcept {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&one](const auto& each) { return each.second.where.get() == &one; });
}

void cluster::nobody_answered(bool slow, boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    const auto longest = std::max<boottime::duration>(common_.connect_timeout, patience);
    if (slow) time_to_answer_ = std::min(time_to_answer_ * 2, longest);
    for (auto& [where, each] : entries_) {
        if (is_over(each, now) && each.where->identity->was_another()) each.where->identity->expect({});
    }
}

void cluster::somebody_answered() {
    const std::lock_guard guard(mutex_);
    time_to_answer_ = patience;
}

bool cluster::is_silent_for_long(const server& one, boottime::time_point now) const {
    const std::lock_guard guard(mutex_);
    const auto found = find(one);
    return found != entries_.end() && is_over(found->second, now);
}

bool cluster::has_others(const server& one) const {
    const std::lock_guard guard(mutex_);
    return std::any_of(entries_.begin(), entries_.end(),
                       [&one](const auto& each) { return each.second.where.get() != &one; });
}

void cluster::failed(const server& one, boottime::time_point since) noexcept {
    // In a forked child the mutex may be held by a thread that is not there.
    if (core::fork_generation() != generation_) return;
    const std::lock_guard guard(mutex_);
    const auto found = find(one);
    if (found == entries_.end() || found->second.silent_since) return;
    found->second.silent_since = since;
    ++silent_;
}

void cluster::answered(const server& one) {
    if (silent_.load(std::memory_order_relaxed) == 0) return;
    const std::lock_guard guard(mutex_);
    const auto found = find(one);
    if (found == entries_.end() || !found->second.silent_since) return;
    found->second.silent_since.reset();
    --silent_;
}

std::vector<node> cluster::whom_to_ask(const server* but) const {
    const std::lock_guard guard(mutex_);
    const std::set<const entry*> owners(owners_.begin(), owners_.end());
    std::vector<node> found;
    // First those that have slots and answer, last those that did not answer when they were last asked.
    for (const int rank : {0, 1, 2}) {
        for (const auto& [where, each] : entries_) {
            const bool owns = owners.count(&each) != 0;
            if (each.where.get() == but || rank != (each.silent_since ? 2 : owns ? 0 : 1)) continue;
            found.push_back(each.where);
        }
    }
    if (!found.empty() || but == nullptr) return found;
    const auto alone = entries_.find({but->address.host, but->address.port});
    if (alone != entries_.end()) found.push_back(alone->second.where);
    return found;
}

std::shared_ptr<void> cluster::take_turn(boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    if (!turn_.expired() && now < turn_until_) return nullptr;
    // Another object, so that whoever was too slow does not end it.
    auto made = std::make_shared<char>();
    turn_ = made;
    turn_until_ = now + patience;
    return made;
}

boottime::duration cluster::keep_turn(const std::shared_ptr<void>& turn, boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    if (turn_.lock() == turn) turn_until_ = now + time_to_answer_;
    return time_to_answer_;
}

void cluster::asked(const server* but, boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    asked_at_ = now;
    not_asked_ = but;
}

bool cluster::has_asked_others(const server& but, boottime::time_point since) const {
    const std::lock_guard guard(mutex_);
    return asked_at_ >= since && not_asked_ == &but;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
