#include <holdfast/acquire_all.hpp>

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>

namespace holdfast {
inline namespace v0 {

/// One stop source that stops when any member's token does.
struct composite_handle::loss {
    std::mutex mutex;
    bool armed = false;
    std::stop_source source;
    std::vector<std::unique_ptr<std::stop_callback<std::function<void()>>>> members;
};

composite_handle::composite_handle() noexcept = default;
composite_handle::composite_handle(composite_handle&&) noexcept = default;
composite_handle::composite_handle(std::vector<lock_handle> members)
    : members_(std::move(members)), loss_(std::make_shared<loss>()) {}

composite_handle& composite_handle::operator=(composite_handle&& other) noexcept {
    if (this != &other) {
        composite_handle ending(std::move(*this));
        members_ = std::move(other.members_);
        loss_ = std::move(other.loss_);
    }
    return *this;
}

composite_handle::~composite_handle() {
    loss_.reset();
    while (!members_.empty()) members_.pop_back();
}

held_state composite_handle::state() const noexcept {
    if (members_.empty()) return held_state::released;
    held_state worst = held_state::held;
    for (const lock_handle& each : members_) {
        const held_state one = each.state();
        if (one == held_state::lost) return one;
        if (one != held_state::held) worst = one;
    }
    return worst;
}

std::stop_token composite_handle::lost_token() const {
    if (members_.empty()) throw error(errc::invalid_state, "an empty handle has no lost token");
    const std::lock_guard guard(loss_->mutex);
    if (!std::exchange(loss_->armed, true)) {
        for (const lock_handle& each : members_) {
            loss_->members.push_back(std::make_unique<std::stop_callback<std::function<void()>>>(
                each.lost_token(), [source = loss_->source]() mutable { source.request_stop(); }));
        }
    }
    return loss_->source.get_token();
}

void composite_handle::release() {
    error_code code;
    diagnostics diag;
    release(code, &diag);
    throw_if(code, diag);
}

void composite_handle::release(error_code& code, diagnostics* diag) {
    code.clear();
    if (diag != nullptr) diag->clear();
    loss_.reset();
    while (!members_.empty()) {
        error_code one;
        diagnostics details;
        members_.back().release(one, &details);
        members_.pop_back();
        if (!one || code) continue;
        code = one;
        if (diag != nullptr) *diag = std::move(details);
    }
}

namespace {

void check(const std::vector<lock>& locks) {
    if (locks.empty()) throw error(errc::invalid_argument, "acquire_all needs at least one lock");
    for (auto each = locks.begin(); each != locks.end(); ++each) {
        const auto same = [each](const lock& other) { return each->same_lock(other); };
        if (std::find_if(locks.begin(), each, same) == each) continue;
        throw error(errc::invalid_argument, "acquire_all was given the lock '" + std::string(each->name()) +
                                                "' twice; locks are not reentrant, so it would wait for itself");
    }
}

/// Sets @p code to the first failure; what was acquired before it has been released then.
composite_handle acquire_each(const std::vector<lock>& locks, timeout limit, const std::stop_token& stop,
                              error_code& code, diagnostics& diag) {
    const auto began = boottime::now();
    std::vector<lock_handle> held;
    held.reserve(locks.size());
    for (const lock& each : locks) {
        timeout left = limit;
        if (!limit.is_infinite()) {
            // At least one try, however late it is.
            const auto remaining = limit.duration() - (boottime::now() - began);
            left = timeout(std::max<boottime::duration>(remaining, boottime::duration::zero()));
        }
        lock_handle one = each.acquire(left, stop, code, &diag);
        if (code) {
            const composite_handle given_back(std::move(held));
            return {};
        }
        held.push_back(std::move(one));
    }
    return composite_handle(std::move(held));
}

}  // namespace

composite_handle acquire_all(const std::vector<lock>& locks, timeout limit, std::stop_token stop) {
    error_code code;
    diagnostics diag;
    composite_handle held = acquire_all(locks, limit, std::move(stop), code, &diag);
    throw_if(code, diag);
    return held;
}

composite_handle acquire_all(const std::vector<lock>& locks, timeout limit, std::stop_token stop, error_code& code,
                             diagnostics* diag) {
    check(locks);
    diagnostics details;
    code.clear();
    composite_handle held = acquire_each(locks, limit, stop, code, details);
    if (diag != nullptr) *diag = std::move(details);
    return held;
}

std::optional<composite_handle> try_acquire_all(const std::vector<lock>& locks, timeout limit, std::stop_token stop) {
    check(locks);
    error_code code;
    diagnostics diag;
    composite_handle held = acquire_each(locks, limit, stop, code, diag);
    if (code == errc::timed_out) return std::nullopt;
    throw_if(code, diag);
    return held;
}

}  // namespace v0
}  // namespace holdfast
