#include <backends/redis/sentinels.hpp>

#include <charconv>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

bool is_same(const server_address& one, const server_address& other) {
    return one.host == other.host && one.port == other.port;
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

void sentinels::found(const server_address& where, std::size_t by) {
    const std::lock_guard guard(mutex_);
    known_ = where;
    first_ = (first_ + by) % all_.size();
}

bool sentinels::have_left(const server_address& where) const {
    const std::lock_guard guard(mutex_);
    return known_ && !is_same(*known_, where);
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
            asked_ = true;
            connection_->send(format({"SENTINEL", "get-master-addr-by-name", whom_.master()}));
            connection_->drive(now, true);
        }
        if (asked_ && hear()) return status::found;
        if (connection_ == nullptr) continue;
        if (connection_->now_is() == connection::status::failed) {
            next(connection_->why().text);
        } else if (now >= until_) {
            next("no answer in time from a sentinel");
        } else {
            return status::looking;
        }
    }
    return status::failed;
}

/// True when the master is known.
bool guide::hear() {
    const reply_value said = connection_->receive();
    if (said == nullptr) return false;
    if (is_error(*said)) {
        const bool unknown = text_of(*said).starts_with("ERR unknown command");
        next(unknown ? "the server is no sentinel" : secretive_failure_of(text_of(*said)).text);
        return false;
    }
    if (!is_array(*said) || size_of(*said) != 2) {
        next("it is not known there");
        return false;
    }
    const std::string_view port = text_of(element_of(*said, 1));
    where_.host = text_of(element_of(*said, 0));
    const auto read = std::from_chars(port.data(), port.data() + port.size(), where_.port);
    if (where_.host.empty() || read.ec != std::errc() || read.ptr != port.data() + port.size()) {
        next("a sentinel's answer is none");
        return false;
    }
    whom_.found(where_, turn_);
    closing_();
    connection_.reset();
    return true;
}

void guide::next(const std::string& why) {
    why_ = why;
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
