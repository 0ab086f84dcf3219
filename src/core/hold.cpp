#include <core/hold.hpp>
#include <core/hot.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

HOLDFAST_HOT hold::hold(std::shared_ptr<provider_state> provider, claim who, std::unique_ptr<link> keeper,
                        std::optional<std::uint64_t> token, boottime::time_point valid_until)
    : provider_(std::move(provider)),
      who_(std::move(who)),
      keeper_(std::move(keeper)),
      valid_until_(valid_until.time_since_epoch().count()),
      token_(token.value_or(0)),
      has_token_(token.has_value()) {}

HOLDFAST_HOT hold::~hold() {
    if (provider_->forked()) {
        if (keeper_ != nullptr) keeper_->abandon();
        // Those who wait are the parent's. To end a wait takes mutexes that its threads may have held.
        (void)audience_.release();
        return;
    }
    // Nobody can begin to watch, or renew, what is ending.
    if (is_ending()) return;
    if (provider_->traits().family == family::lease) provider_->renewals().remove(*this);
    end_watching(false).tell();
}

void hold::grant(std::optional<std::uint64_t> token, boottime::time_point valid_until) noexcept {
    token_ = token.value_or(0);
    has_token_ = token.has_value();
    valid_until_.store(valid_until.time_since_epoch().count(), std::memory_order_release);
}

boottime::time_point hold::valid_until() const noexcept {
    return boottime::time_point(boottime::duration(valid_until_.load(std::memory_order_acquire)));
}

held_state hold::look() noexcept {
    if (is_ending()) return held_state::released;
    if (was_lost()) return held_state::lost;
    // The clock before anything else: after a stop or a suspend nobody has told us yet.
    bool gone = boottime::now() >= valid_until();
    if (!gone && !provider_->forked()) {
        const std::lock_guard guard(mutex_);
        gone = keeper_ != nullptr && !is_ending() && !keeper_->keeps(who_);
    }
    if (!gone) return held_state::held;
    mark_lost();
    return is_ending() ? held_state::released : held_state::lost;
}

std::stop_token hold::lost_token() {
    {
        const std::lock_guard guard(mutex_);
        if (!listeners().loss) listeners().loss.emplace();
    }
    arm_loss();
    const std::lock_guard guard(mutex_);
    // Whoever noticed the loss before us found nobody to tell.
    if (was_lost()) audience_->loss->stop();
    return audience_->loss->token();
}

std::size_t hold::on_end(std::function<void(bool lost)> done) {
    std::size_t id = 0;
    {
        const std::lock_guard guard(mutex_);
        if (!is_ending() && !was_lost()) {
            id = listeners().next_id++;
            listeners().on_end.emplace_back(id, done);
        }
    }
    if (id == 0) {
        done(was_lost());
        return 0;
    }
    try {
        arm_loss();
    } catch (const std::exception&) {
        if (take_on_end(id)) throw;
    }
    return id;
}

std::function<void(bool)> hold::take_on_end(std::size_t id) noexcept {
    const std::lock_guard guard(mutex_);
    std::function<void(bool)> found;
    if (audience_ == nullptr) return found;
    end_handlers& all = audience_->on_end;
    const auto at = std::find_if(all.begin(), all.end(), [id](const auto& each) { return each.first == id; });
    if (at == all.end()) return found;
    found = std::move(at->second);
    all.erase(at);
    return found;
}

void hold::cancel_on_end(std::size_t id) {
    if (const auto found = take_on_end(id)) found(false);
}

hold::audience& hold::listeners() {
    if (audience_ == nullptr) audience_ = std::make_unique<audience>();
    return *audience_;
}

void hold::arm_loss() {
    try {
        const std::lock_guard guard(mutex_);
        if (!loss_armed_ && keeper_ != nullptr && !is_ending()) {
            // Not from within the callback: whoever calls it may hold a mutex of its own.
            auto suspicion = [self = weak_from_this(), executor = provider_->executor()] {
                boost::asio::post(executor, [self] {
                    if (const auto alive = self.lock()) alive->look();
                });
            };
            listeners().loss_watch = keeper_->watch_loss(who_, std::move(suspicion));
            loss_armed_ = true;
        }
    } catch (const error&) {
        throw;
    } catch (const std::exception& failed) {
        throw error(errc::unavailable, std::string("a loss cannot be watched for: ") + failed.what());
    }
    // It may have been lost before anybody listened. A lease has nothing but its time to be looked at.
    look();
}

HOLDFAST_HOT bool hold::begin_release(std::unique_ptr<link>& keeper) noexcept {
    const bool is_lease = provider_->traits().family == family::lease;
    // The clock before anything else, as in a look: what the server says later may be about another time.
    if (is_lease && boottime::now() >= valid_until()) mark_lost();
    std::optional<farewell> ended;
    {
        const std::lock_guard guard(mutex_);
        if (is_ending()) return false;
        ending_.store(true, std::memory_order_release);
        keeper = std::move(keeper_);
        if (audience_ != nullptr) ended = end_watching(false);
    }
    who_.target->key->hand_over();
    if (is_lease) provider_->renewals().remove(*this);
    if (ended) ended->tell();
    return true;
}

std::optional<int> hold::native_descriptor() {
    const std::lock_guard guard(mutex_);
    return keeper_ == nullptr ? std::nullopt : keeper_->native_descriptor();
}

bool hold::begin_upgrade(std::unique_ptr<link>& keeper) {
    const std::lock_guard guard(mutex_);
    if (upgrade_ != upgrade_phase::none || is_ending()) return false;
    upgrade_ = upgrade_phase::running;
    // Whoever watches the link looks at it from other threads.
    if (audience_ != nullptr) audience_->loss_watch.reset();
    loss_armed_ = false;
    keeper = std::move(keeper_);
    return true;
}

void hold::end_upgrade(std::unique_ptr<link> keeper, bool succeeded) noexcept {
    bool rearm = false;
    if (succeeded) who_.target->key->take_over();
    {
        const std::lock_guard guard(mutex_);
        upgrade_ = succeeded ? upgrade_phase::done : upgrade_phase::none;
        keeper_ = std::move(keeper);
        // Somebody may have wanted to know meanwhile, when there was no link to watch.
        loss_armed_ = false;
        rearm = audience_ != nullptr && (audience_->loss.has_value() || !audience_->on_end.empty());
    }
    if (!rearm || is_ending()) return;
    try {
        arm_loss();
    } catch (const std::exception& failed) {
        // The upgrade's own outcome is what counts; whoever asks for the state still learns it.
        if (auto* watcher = provider_->observer()) watcher->notice(who_.target->name(), failed.what());
    }
}

void hold::mark_lost() noexcept {
    if (is_ending() || lost_.exchange(true, std::memory_order_acq_rel)) return;
    if (auto* watcher = provider_->observer()) watcher->lost(who_.target->name());
    farewell ended;
    {
        const std::lock_guard guard(mutex_);
        ended = end_watching(true);
    }
    ended.tell();
}

void hold::extend(boottime::time_point until) noexcept {
    const auto value = until.time_since_epoch().count();
    auto before = valid_until_.load(std::memory_order_relaxed);
    while (before < value && !valid_until_.compare_exchange_weak(before, value, std::memory_order_acq_rel)) {
    }
}

hold::farewell hold::end_watching(bool lost) noexcept {
    farewell made;
    if (audience_ == nullptr) return made;
    made.waiting.swap(audience_->on_end);
    // A lost link is watched on until its release: destroying the watch here would race with the link's end there.
    if (!lost) std::swap(made.watch, audience_->loss_watch);
    if (lost && audience_->loss) audience_->loss->stop();
    made.lost = lost;
    return made;
}

void hold::farewell::tell() noexcept {
    for (auto& each : waiting) {
        try {
            each.second(lost);
        } catch (const std::exception&) {
            // No memory to call its handler with; the others are still to be told.
        }
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
