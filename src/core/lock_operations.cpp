// The public types' way into the core: makes operations, runs them in either style, and turns their outcomes into
// handles and errors.
#include <core/acquire_operation.hpp>
#include <core/at_once.hpp>
#include <core/hold.hpp>
#include <core/hot.hpp>
#include <core/release_operation.hpp>
#include <core/runner.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {
inline namespace v0 {

detail::cancellable::~cancellable() = default;

void timeout::throw_out_of_range(const char* message) {
    throw error(errc::invalid_argument, message);
}

namespace core {
namespace {

constexpr const char* no_memory = "there is no memory for a handle";

void describe(const provider_state& provider, const resource& target, const outcome& how, diagnostics* diag) {
    if (diag == nullptr) return;
    diag->backend = provider.backend().name();
    diag->lock_name = target.name();
    diag->native_code = how.native_code;
    diag->message = how.text;
    diag->state = how.state;
}

/// An outcome of ours, that no operation has come to.
outcome refusal(errc code, const char* text) {
    outcome how;
    how.code = code;
    how.text = text;
    return how;
}

error_code fail(const provider_state& provider, const resource& target, errc code, const char* text,
                diagnostics* diag) {
    describe(provider, target, refusal(code, text), diag);
    return make_error_code(code);
}

[[noreturn]] void throw_outcome(const provider_state& provider, const resource& target, const outcome& how) {
    diagnostics diag;
    describe(provider, target, how, &diag);
    throw error(make_error_code(how.code), std::move(diag));
}

error_code code_of(const outcome& how) {
    return how.succeeded ? error_code() : make_error_code(how.code);
}

claim make_claim(const provider_state& provider, std::shared_ptr<const resource> target, access mode) {
    claim made{std::move(target), mode, {}};
    if (provider.traits().family == family::lease) made.owner = owner_id::make();
    return made;
}

void tell(const provider_state& provider, const resource& target, const outcome& how, boottime::time_point began) {
    auto* watcher = provider.observer();
    if (watcher == nullptr) return;
    const auto took = boottime::now() - began;
    if (how.succeeded) {
        watcher->acquired(target.name(), took);
    } else {
        watcher->not_acquired(target.name(), make_error_code(how.code), took);
    }
}

/// The handle for what an acquire was granted. Throws where there is no memory for it: the link's end gives it back.
HOLDFAST_HOT lock_handle make_handle(const std::shared_ptr<provider_state>& provider, claim&& who,
                                     std::unique_ptr<link>&& keeper, const outcome& how) {
    who.target->key->take_over();
    return lock_handle(std::make_shared<hold>(provider, std::move(who), std::move(keeper), how.token, how.valid_until));
}

/// Of a lease, made before it is asked for: what is granted must not want for the memory to be given back. Null for
/// others.
std::shared_ptr<hold> make_lease(const std::shared_ptr<provider_state>& provider, const claim& who) {
    return provider->traits().family == family::lease ? std::make_shared<hold>(provider, who) : nullptr;
}

/// @return what is known of it afterwards
held_state give_back(lock_handle granted) noexcept {
    // Its end goes on by itself there.
    if (runtime::on_library_thread()) return held_state::unknown;
    try {
        error_code code;
        diagnostics diag;
        granted.release(code, &diag);
        return code ? diag.state : held_state::released;
    } catch (const std::exception&) {
        return held_state::unknown;
    }
}

/// The handle for a lease that was granted. One that cannot be renewed is given back, and @p how says so.
lock_handle start_lease(std::shared_ptr<hold> made, outcome& how) noexcept {
    hold& lease = *made;
    lease.who().target->key->take_over();
    lease.grant(how.token, how.valid_until);
    lock_handle handle(std::move(made));
    try {
        lease.provider().renewals().add(lease, how.asked_at);
    } catch (const std::exception& failed) {
        how = refusal(errc::unavailable, "a lease was granted that cannot be renewed");
        how.state = give_back(std::move(handle));
        try {
            how.text += std::string(": ") + failed.what();
        } catch (...) {
            // No memory for the reason.
        }
        return {};
    }
    return handle;
}

class async_acquire final : public async_runner {
public:
    async_acquire(const std::shared_ptr<provider_state>& provider, std::shared_ptr<const resource> target, access mode,
                  timeout limit, diagnostics* diag, std::unique_ptr<detail::completion<lock_handle>> done)
        : async_runner(provider, operation_, make_claim(*provider, std::move(target), mode), nullptr),
          lease_(make_lease(shared_provider_, who_)),
          operation_(who_, shared_provider_->traits(), limit),
          diag_(diag),
          done_(std::move(done)) {}

    void begin() {
        done_->connect(weak_from_this());
        start();
    }

private:
    void finish(detail::delivery how_told) override {
        outcome& how = operation_.result();
        settle(how.succeeded && lease_ == nullptr);
        lock_handle handle;
        if (how.succeeded) {
            try {
                handle = lease_ != nullptr ? start_lease(std::move(lease_), how)
                                           : make_handle(shared_provider_, claim(who_), take_link(), how);
            } catch (const std::exception&) {
                // The lock has been given back, and the handler must still hear of it.
                how = refusal(errc::unavailable, no_memory);
            }
        }
        tell(*shared_provider_, *who_.target, how, began_);
        const error_code code = code_of(how);
        if (code) describe(*shared_provider_, *who_.target, how, diag_);
        done_->complete(code, std::move(handle), how_told);
    }

    std::shared_ptr<hold> lease_;
    acquire_operation operation_;
    diagnostics* const diag_;
    const boottime::time_point began_ = boottime::now();
    std::unique_ptr<detail::completion<lock_handle>> done_;
};

/// What a release leaves to say once it is over.
HOLDFAST_HOT void after_release(provider_state& provider, const resource& target, bool was_lost, outcome& how) {
    if (was_lost && how.succeeded) {
        // The backend did not mind, but somebody else may have held it meanwhile: that is what the caller must hear.
        how.succeeded = false;
        how.code = errc::lost;
        how.state = held_state::lost;
    }
    if (auto* watcher = provider.observer()) watcher->released(target.name(), code_of(how));
}

class async_release final : public async_runner {
public:
    /// @param keeper what `hold::begin_release` gave
    async_release(const hold& held, std::unique_ptr<link> keeper, diagnostics* diag,
                  std::unique_ptr<detail::completion<detail::no_result>> done)
        : async_runner(held.provider().shared_from_this(), operation_, held.who(), std::move(keeper)),
          was_lost_(held.was_lost()),
          operation_(who_, shared_provider_->traits(), shared_provider_->release_timeout()),
          diag_(diag),
          done_(std::move(done)) {}

private:
    void finish(detail::delivery how_told) override {
        settle(false);
        outcome& how = operation_.result();
        after_release(*shared_provider_, *who_.target, was_lost_, how);
        if (!how.succeeded) describe(*shared_provider_, *who_.target, how, diag_);
        if (done_ != nullptr) done_->complete(code_of(how), {}, how_told);
    }

    const bool was_lost_;
    release_operation operation_;
    diagnostics* const diag_;
    std::unique_ptr<detail::completion<detail::no_result>> done_;
};

/// @param keeper what `hold::begin_release` gave
/// @param failed called with the outcome, unless that is success
template <class Failed>
HOLDFAST_HOT void release_sync(const hold& held, std::unique_ptr<link> keeper, Failed failed) {
    provider_state& provider = held.provider();
    outcome how;
    if (provider.traits().answers_at_once) {
        how.succeeded = give_back_at_once(provider, held.who(), std::move(keeper), how);
    } else {
        release_operation operation(held.who(), provider.traits(), provider.release_timeout());
        run_sync(provider, operation, held.who(), {}, keeper, link_keeps::nothing);
        how = std::move(operation.result());
    }
    after_release(provider, *held.who().target, held.was_lost(), how);
    if (!how.succeeded) failed(how);
}

/// The same for what a user holds, who may have released it already.
template <class Failed>
HOLDFAST_HOT void release_held(const std::shared_ptr<hold>& held, Failed failed) {
    if (held == nullptr) return;
    if (held->provider().forked()) return failed(refusal(errc::invalid_state, provider_state::forked_text));
    std::unique_ptr<link> keeper;
    if (held->begin_release(keeper)) release_sync(*held, std::move(keeper), failed);
}

/// `make_handle`, but what it throws is an outcome.
template <class Failed>
HOLDFAST_HOT lock_handle make_handle_or(const std::shared_ptr<provider_state>& provider, claim&& who,
                                        std::unique_ptr<link>&& keeper, const outcome& how, Failed failed) {
    try {
        return make_handle(provider, std::move(who), std::move(keeper), how);
    } catch (const std::exception&) {
        // Outside, since that throws too.
    }
    failed(refusal(errc::unavailable, no_memory));
    return {};
}

/// What is left of @p limit.
timeout remaining(timeout limit, boottime::time_point began) {
    const auto used = std::chrono::floor<std::chrono::milliseconds>(boottime::now() - began);
    return timeout(std::max(limit.duration() - used, std::chrono::milliseconds(0)));
}

/// Blocks. @param failed called with the outcome where it is not the lock
template <class Failed>
HOLDFAST_HOT lock_handle acquire_sync(const std::shared_ptr<provider_state>& shared,
                                      const std::shared_ptr<const resource>& target, access mode, timeout limit,
                                      std::stop_token stop, Failed failed) {
    provider_state& provider = *shared;
    if (provider.forked()) {
        failed(refusal(errc::invalid_state, provider_state::forked_text));
        return {};
    }
    if (stop.stop_requested()) {
        failed(refusal(errc::cancelled, "cancelled before it began"));
        return {};
    }
    claim who = make_claim(provider, target, mode);
    std::shared_ptr<hold> lease = make_lease(shared, who);
    std::unique_ptr<link> keeper;
    // A clock costs as much as a queue: read only for those who want the time.
    const bool watched = provider.observer() != nullptr;
    const auto began = watched || !limit.is_infinite() ? boottime::now() : boottime::time_point();
    // An observer is told of waits, of which the short way knows nothing.
    std::optional<lone_place> place;
    if (provider.traits().answers_at_once && !watched) {
        place.emplace(who);
        switch (take_at_once(provider, who, limit, stop, *place, keeper)) {
            case taking::granted: {
                static const outcome granted;
                return make_handle_or(shared, std::move(who), std::move(keeper), granted, failed);
            }
            case taking::refused:
                provider.put_link(who, std::move(keeper));
                failed(outcome{.code = stop.stop_requested() ? errc::cancelled : errc::timed_out});
                return {};
            case taking::beyond: break;
        }
        if (!limit.is_infinite()) limit = remaining(limit, began);
    }
    acquire_operation operation(who, provider.traits(), limit);
    run_sync(provider, operation, who, std::move(stop), keeper,
             lease != nullptr ? link_keeps::nothing : link_keeps::lock_on_success, place ? place->place() : nullptr);
    outcome& how = operation.result();
    lock_handle handle;
    if (how.succeeded && lease != nullptr) handle = start_lease(std::move(lease), how);
    tell(provider, *target, how, began);
    if (!how.succeeded) {
        failed(how);
        return {};
    }
    if (handle) return handle;
    return make_handle_or(shared, std::move(who), std::move(keeper), how, failed);
}

/// Gives the link back to its hold, and says what the hold is left with.
void after_upgrade(hold& held, std::unique_ptr<link> keeper, outcome& how) {
    held.end_upgrade(std::move(keeper), how.succeeded);
    if (how.succeeded) return;
    // Whatever kept it from becoming the writer, it is still the upgradeable reader.
    how.state = how.code == errc::lost ? held_state::lost : held_state::held;
    if (how.code == errc::lost) held.mark_lost();
}

class async_upgrade final : public async_runner {
public:
    async_upgrade(std::shared_ptr<hold> held, std::unique_ptr<link> keeper, timeout limit, diagnostics* diag,
                  std::unique_ptr<detail::completion<detail::no_result>> done)
        : async_runner(held->provider().shared_from_this(), operation_, held->who(), std::move(keeper)),
          held_(std::move(held)),
          operation_(held_->who(), shared_provider_->traits(), limit, verb::convert),
          diag_(diag),
          done_(std::move(done)) {}

    void begin() {
        done_->connect(weak_from_this());
        start();
    }

private:
    bool link_has_lock() const noexcept override { return true; }

    void finish(detail::delivery how_told) override {
        settle(true);
        outcome how = operation_.result();
        after_upgrade(*held_, take_link(), how);
        if (!how.succeeded) describe(*shared_provider_, *held_->who().target, how, diag_);
        done_->complete(code_of(how), {}, how_told);
    }

    const std::shared_ptr<hold> held_;
    acquire_operation operation_;
    diagnostics* const diag_;
    std::unique_ptr<detail::completion<detail::no_result>> done_;
};

class async_count final : public async_runner {
public:
    async_count(const std::shared_ptr<provider_state>& provider, std::shared_ptr<const resource> target,
                diagnostics* diag, std::unique_ptr<detail::completion<int>> done)
        : async_runner(provider, operation_, claim{std::move(target), access::ticket, {}}, nullptr),
          operation_(who_, shared_provider_->traits(), verb::count, shared_provider_->traits().reply_grace),
          diag_(diag),
          done_(std::move(done)) {}

    void begin() {
        done_->connect(weak_from_this());
        start();
    }

private:
    void finish(detail::delivery how_told) override {
        settle(false);
        const outcome& how = operation_.result();
        if (!how.succeeded) describe(*shared_provider_, *who_.target, how, diag_);
        done_->complete(code_of(how), how.succeeded ? how.count : 0, how_told);
    }

    query_operation operation_;
    diagnostics* const diag_;
    std::unique_ptr<detail::completion<int>> done_;
};

/// Waits for the end of a hold.
class lost_wait final : public detail::cancellable, public std::enable_shared_from_this<lost_wait> {
public:
    lost_wait(std::shared_ptr<hold> held, std::unique_ptr<detail::completion<detail::no_result>> done)
        : held_(held), work_(held->provider().work()), done_(std::move(done)) {}

    void begin(const std::shared_ptr<hold>& held) {
        done_->connect(weak_from_this());
        try {
            id_ = held->on_end([self = shared_from_this()](bool lost) {
                self->done_->complete(lost ? error_code() : make_error_code(errc::cancelled), {});
            });
        } catch (const error& failed) {
            done_->complete(failed.boost_code(), {});
        }
    }
    void cancel() noexcept override {
        if (const auto held = held_.lock()) held->cancel_on_end(id_);
    }

private:
    const std::weak_ptr<hold> held_;
    const boost::asio::any_io_executor work_;
    std::unique_ptr<detail::completion<detail::no_result>> done_;
    std::size_t id_ = 0;
};

}  // namespace
}  // namespace core

namespace detail {

primitive_ref::primitive_ref(std::shared_ptr<core::provider_state> provider,
                             std::shared_ptr<const core::resource> target) noexcept
    : provider_(std::move(provider)), target_(std::move(target)) {}

std::string_view primitive_ref::name() const noexcept {
    return target_->name();
}

std::string_view primitive_ref::mapped_name() const noexcept {
    return target_->mapped();
}

int primitive_ref::max_count() const noexcept {
    return target_->max_count;
}

bool primitive_ref::same_lock(const primitive_ref& other) const noexcept {
    // One provider keeps one queue for a mapped name.
    return target_->key.get() == other.target_->key.get();
}

boost::asio::any_io_executor primitive_ref::executor() const {
    // In a forked child the provider's thread is not there: what fails then, fails on a thread of our own.
    return provider_->forked() ? core::runtime::lasting_executor() : provider_->executor();
}

HOLDFAST_HOT lock_handle primitive_ref::acquire(access mode, timeout limit, std::stop_token stop, error_code& code,
                                                diagnostics* diag) const {
    code.clear();
    if (diag != nullptr) diag->clear();
    return core::acquire_sync(provider_, target_, mode, limit, std::move(stop), [&](const core::outcome& how) {
        core::describe(*provider_, *target_, how, diag);
        code = make_error_code(how.code);
    });
}

HOLDFAST_HOT lock_handle primitive_ref::acquire(access mode, timeout limit, std::stop_token stop) const {
    return core::acquire_sync(provider_, target_, mode, limit, std::move(stop),
                              [this](const core::outcome& how) { core::throw_outcome(*provider_, *target_, how); });
}

std::optional<lock_handle> primitive_ref::try_acquire(access mode, timeout limit, std::stop_token stop) const {
    bool elsewhere = false;
    auto handle = core::acquire_sync(provider_, target_, mode, limit, std::move(stop), [&](const core::outcome& how) {
        if (how.code != errc::timed_out) core::throw_outcome(*provider_, *target_, how);
        elsewhere = true;
    });
    if (elsewhere) return std::nullopt;
    return handle;
}

void primitive_ref::async_acquire(access mode, timeout limit, diagnostics* diag,
                                  std::unique_ptr<completion<lock_handle>> done) const {
    if (diag != nullptr) diag->clear();
    core::provider_state& provider = *provider_;
    if (provider.forked()) {
        done->complete(core::fail(provider, *target_, errc::invalid_state, core::provider_state::forked_text, diag),
                       {});
        return;
    }
    std::make_shared<core::async_acquire>(provider_, target_, mode, limit, diag, std::move(done))->begin();
}

error_code primitive_ref::refuse(errc code, const char* text, diagnostics* diag) const {
    return core::fail(*provider_, *target_, code, text, diag);
}

error_code primitive_ref::cannot_count(diagnostics* diag) const {
    if (diag != nullptr) diag->clear();
    if (!provider_->backend().capabilities().current_count) {
        return refuse(errc::unsupported, "this backend cannot count free tickets", diag);
    }
    if (provider_->forked()) return refuse(errc::invalid_state, core::provider_state::forked_text, diag);
    return {};
}

void primitive_ref::async_current_count(diagnostics* diag, std::unique_ptr<completion<int>> done) const {
    if (const error_code code = cannot_count(diag)) return done->complete(code, 0);
    std::make_shared<core::async_count>(provider_, target_, diag, std::move(done))->begin();
}

int primitive_ref::current_count(error_code& code, diagnostics* diag) const {
    code = cannot_count(diag);
    if (code) return 0;
    core::provider_state& provider = *provider_;
    const core::resource& target = *target_;
    const core::claim who{target_, access::ticket, {}};
    core::query_operation operation(who, provider.traits(), core::verb::count, provider.traits().reply_grace);
    std::unique_ptr<core::link> keeper;
    core::run_sync(provider, operation, who, {}, keeper, core::link_keeps::nothing);
    code = core::code_of(operation.result());
    if (code) core::describe(provider, target, operation.result(), diag);
    return operation.result().count;
}

}  // namespace detail

lock_handle::lock_handle() noexcept = default;
lock_handle::lock_handle(std::shared_ptr<core::hold> hold) noexcept : hold_(std::move(hold)) {}

HOLDFAST_HOT lock_handle& lock_handle::operator=(lock_handle&& other) noexcept {
    if (this != &other) {
        lock_handle ending(std::move(*this));
        hold_ = std::move(other.hold_);
    }
    return *this;
}

HOLDFAST_HOT void lock_handle::let_go() noexcept {
    try {
        std::unique_ptr<core::link> keeper;
        if (hold_->provider().forked() || !hold_->begin_release(keeper)) return;
        const bool kernel = hold_->provider().traits().family == core::family::kernel;
        if (!kernel && core::runtime::on_library_thread()) {
            // Waiting here would make the thread wait for itself.
            std::make_shared<core::async_release>(*hold_, std::move(keeper), nullptr, nullptr)->start();
        } else {
            core::release_sync(*hold_, std::move(keeper), [](const core::outcome&) {});
        }
    } catch (...) {
        // Out of memory: closing the link, which destruction does, ends the hold too, or its lease does.
    }
}

std::string_view lock_handle::name() const noexcept {
    return hold_ == nullptr ? std::string_view() : std::string_view(hold_->who().target->name());
}

held_state lock_handle::state() const noexcept {
    if (hold_ == nullptr) return held_state::released;
    // In a forked child nobody can tell what became of the parent's lock; it is not ours, that much is sure.
    if (hold_->provider().forked()) return held_state::unknown;
    return hold_->look();
}

boottime::time_point lock_handle::valid_until() const noexcept {
    return hold_ == nullptr ? boottime::time_point::min() : hold_->valid_until();
}

std::stop_token lock_handle::lost_token() const {
    if (hold_ == nullptr) throw error(errc::invalid_state, "an empty handle has no lost token");
    if (hold_->provider().forked()) throw error(errc::invalid_state, core::provider_state::forked_text);
    return hold_->lost_token();
}

std::optional<holdfast::fencing_token> lock_handle::fencing_token() const noexcept {
    if (hold_ == nullptr || !hold_->token()) return std::nullopt;
    return holdfast::fencing_token(*hold_->token());
}

std::optional<int> lock_handle::native_descriptor() const noexcept {
    if (hold_ == nullptr || hold_->provider().forked()) return std::nullopt;
    return hold_->native_descriptor();
}

HOLDFAST_HOT void lock_handle::release() {
    const auto held = std::move(hold_);
    core::release_held(
        held, [&held](const core::outcome& how) { core::throw_outcome(held->provider(), *held->who().target, how); });
}

void lock_handle::release(error_code& code, diagnostics* diag) {
    code.clear();
    if (diag != nullptr) diag->clear();
    const auto held = std::move(hold_);
    core::release_held(held, [&](const core::outcome& how) {
        code = make_error_code(how.code);
        core::describe(held->provider(), *held->who().target, how, diag);
    });
}

boost::asio::any_io_executor lock_handle::executor_of(const std::shared_ptr<core::hold>& hold) {
    // An empty handle has no provider: its operations fail at once, on the library's own thread.
    return hold == nullptr || hold->provider().forked() ? core::runtime::lasting_executor()
                                                        : hold->provider().executor();
}

void lock_handle::start_release(std::shared_ptr<core::hold> hold, diagnostics* diag,
                                std::unique_ptr<detail::completion<detail::no_result>> done) {
    if (diag != nullptr) diag->clear();
    std::unique_ptr<core::link> keeper;
    if (hold == nullptr) {
        done->complete({}, {});
    } else if (hold->provider().forked()) {
        const auto code = core::fail(hold->provider(), *hold->who().target, errc::invalid_state,
                                     core::provider_state::forked_text, diag);
        done->complete(code, {});
    } else if (!hold->begin_release(keeper)) {
        done->complete({}, {});
    } else {
        std::make_shared<core::async_release>(*hold, std::move(keeper), diag, std::move(done))->start();
    }
}

void lock_handle::start_wait_lost(std::shared_ptr<core::hold> hold,
                                  std::unique_ptr<detail::completion<detail::no_result>> done) {
    if (hold == nullptr || hold->provider().forked()) {
        done->complete(make_error_code(errc::invalid_state), {});
        return;
    }
    std::make_shared<core::lost_wait>(hold, std::move(done))->begin(hold);
}

void upgradeable_lock_handle::upgrade(timeout limit, std::stop_token stop) {
    error_code code;
    diagnostics diag;
    upgrade(limit, std::move(stop), code, &diag);
    throw_if(code, diag);
}

void upgradeable_lock_handle::upgrade(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) {
    code.clear();
    if (diag != nullptr) diag->clear();
    const auto& held = shared_hold();
    if (held == nullptr) {
        code = make_error_code(errc::invalid_state);
        if (diag != nullptr) diag->message = "the handle is empty";
        return;
    }
    core::provider_state& provider = held->provider();
    const core::resource& target = *held->who().target;
    if (stop.stop_requested()) {
        code = core::fail(provider, target, errc::cancelled, "cancelled before it began", diag);
        return;
    }
    std::unique_ptr<core::link> keeper;
    if (provider.forked() || !held->begin_upgrade(keeper)) {
        code = core::fail(
            provider, target, errc::invalid_state,
            provider.forked() ? core::provider_state::forked_text : "the handle has been upgraded already", diag);
        return;
    }
    core::acquire_operation operation(held->who(), provider.traits(), limit, core::verb::convert);
    core::run_sync(provider, operation, held->who(), std::move(stop), keeper, core::link_keeps::lock_always);
    core::outcome how = operation.result();
    core::after_upgrade(*held, std::move(keeper), how);
    if (how.succeeded) return;
    code = make_error_code(how.code);
    core::describe(provider, target, how, diag);
}

bool upgradeable_lock_handle::try_upgrade(timeout limit, std::stop_token stop) {
    error_code code;
    diagnostics diag;
    const bool upgraded = try_upgrade(limit, std::move(stop), code, &diag);
    throw_if(code, diag);
    return upgraded;
}

bool upgradeable_lock_handle::try_upgrade(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) {
    upgrade(limit, std::move(stop), code, diag);
    if (code != errc::timed_out) return !code;
    code.clear();
    return false;
}

void upgradeable_lock_handle::start_upgrade(std::shared_ptr<core::hold> hold, timeout limit, diagnostics* diag,
                                            std::unique_ptr<detail::completion<detail::no_result>> done) {
    if (diag != nullptr) diag->clear();
    std::unique_ptr<core::link> keeper;
    if (hold == nullptr) {
        if (diag != nullptr) diag->message = "the handle is empty";
        done->complete(make_error_code(errc::invalid_state), {});
        return;
    }
    if (const bool forked = hold->provider().forked(); forked || !hold->begin_upgrade(keeper)) {
        const char* const text = forked ? core::provider_state::forked_text : "the handle has been upgraded already";
        done->complete(core::fail(hold->provider(), *hold->who().target, errc::invalid_state, text, diag), {});
        return;
    }
    std::make_shared<core::async_upgrade>(std::move(hold), std::move(keeper), limit, diag, std::move(done))->begin();
}

}  // namespace v0
}  // namespace holdfast
