#include <backends/redis/sentinels.hpp>

#include <charconv>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

bool is_same(const server_address& one, const server_address& other) {
    return one.host == other.host && one.port == other.port;
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number made{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), made);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    return made;
}

}  // namespace

const server& sentinels::in_turn(std::size_t number) const {
    const std::lock_guard guard(mutex_);
    return all_[(first_ + number) % all_.size()];
}

std::optional<server_address> sentinels::known() const {
    const std::lock_guard guard(mutex_);
    return known_;
}

bool sentinels::found(const server_address& where, std::optional<std::uint64_t> epoch, std::size_t by,
                      boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    if (epoch && *epoch < epoch_) return false;
    if (epoch) epoch_ = *epoch;
    confirmed_at_ = now;
    first_ = (first_ + by) % all_.size();
    name(where);
    return true;
}

bool sentinels::agreed(const server_address& where, std::uint64_t epoch, boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    if (now < confirmed_at_ + lease_) return false;
    epoch_ = epoch;
    confirmed_at_ = now;
    name(where);
    return true;
}

/// @pre the mutex is held
void sentinels::name(const server_address& where) {
    known_ = where;
    if (is_same(named_, where)) return;
    named_ = where;
    version_.fetch_add(1, std::memory_order_release);
}

bool sentinels::have_left(const server_address& where) const {
    const std::lock_guard guard(mutex_);
    return !named_.host.empty() && !is_same(named_, where);
}

void sentinels::forget(const server_address& where) {
    const std::lock_guard guard(mutex_);
    if (known_ && is_same(*known_, where)) known_.reset();
}

guide::status guide::drive(boottime::time_point now) {
    while (turn_ < whom_.count()) {
        if (connection_ == nullptr) {
            const server& asked = whom_.in_turn(turn_);
            connection_ = std::make_unique<connection>(asked, names_, on_name_found_, closing_);
            // One that is silent must leave time for the others.
            until_ = now + asked.connect_timeout / static_cast<int>(whom_.count() + 1);
            asked_ = false;
        }
        const auto at = connection_->drive(now, true);
        if (at == connection::status::ready && !asked_) {
            ask();
            connection_->drive(now, true);
        }
        if (asked_ && hear(now)) return status::found;
        if (connection_ == nullptr) continue;
        if (connection_->now_is() == connection::status::failed) {
            next(connection_->why(), false);
        } else if (now >= until_) {
            next({.text = "no answer in time from a sentinel"}, false);
        } else {
            return status::looking;
        }
    }
    if (most_are_behind(now)) return status::found;
    // What all that answer refuse is refused; the rest may come back and say the same.
    if (refusal_ && !others_may_know_) why_ = *refusal_;
    return status::failed;
}

void guide::ask() {
    asked_ = true;
    has_address_ = false;
    connection_->send(format({"SENTINEL", "get-master-addr-by-name", whom_.master()}));
    // It alone tells the epoch; and of the address, the other one knows a little earlier.
    connection_->send(format({"SENTINEL", "MASTER", whom_.master()}));
}

/// True when the master is known.
bool guide::hear(boottime::time_point now) {
    while (const reply_value said = connection_->receive()) {
        if (has_address_) return hear_epoch(*said, now);
        if (!hear_address(*said)) return false;
    }
    return false;
}

bool guide::hear_address(const redisReply& said) {
    if (is_error(said)) {
        const bool unknown = text_of(said).starts_with("ERR unknown command");
        if (unknown) {
            next({.text = "the server is no sentinel"});
        } else {
            next(secretive_failure_of(text_of(said)));
        }
        return false;
    }
    if (!is_array(said) || size_of(said) != 2) {
        next(
            {errc::invalid_options, 0, "it is not known there; 'master' is the name that sentinels know it by", false});
        return false;
    }
    where_.host = text_of(element_of(said, 0));
    const auto port = number_of<std::uint16_t>(text_of(element_of(said, 1)));
    if (where_.host.empty() || !port) {
        next({.text = "a sentinel's answer is none"});
        return false;
    }
    where_.port = *port;
    return has_address_ = true;
}

bool guide::hear_epoch(const redisReply& said, boottime::time_point now) {
    std::optional<std::uint64_t> epoch;
    // A user that may not ask has to believe any of them.
    for (std::size_t at = 0; is_array(said) && at + 1 < size_of(said); at += 2) {
        if (text_of(element_of(said, at)) != "config-epoch") continue;
        epoch = number_of<std::uint64_t>(text_of(element_of(said, at + 1)));
    }
    if (!whom_.found(where_, epoch, turn_, now)) {
        ++are_behind_;
        if (are_behind_ == 1 || *epoch > behind_epoch_) {
            behind_ = where_;
            behind_epoch_ = *epoch;
        }
        next({.text = "a sentinel names a master that has been replaced: it may be cut off from the others"});
        return false;
    }
    closing_();
    connection_.reset();
    return true;
}

/// Once all have been asked.
bool guide::most_are_behind(boottime::time_point now) {
    where_ = behind_;
    return are_behind_ > whom_.count() / 2 && whom_.agreed(where_, behind_epoch_, now);
}

void guide::next(failure why, bool answered) {
    if (!why.transient && !refusal_) refusal_ = why;
    others_may_know_ |= why.transient && answered;
    why_ = std::move(why);
    ++turn_;
    closing_();
    connection_.reset();
}

void guide::hush() noexcept {
    on_name_found_ = nullptr;
    if (connection_ != nullptr) connection_->hush();
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
