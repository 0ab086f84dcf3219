#include <holdfast/acquire_all.hpp>

#include <core/hold.hpp>
#include <core/runtime.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace {

/// Destroys the last first, as a vector does not.
void drop_in_order(std::vector<lock_handle>& members) noexcept {
    while (!members.empty()) members.pop_back();
}

}  // namespace

/** What stops when any member is lost. The members' holds share it, so that nobody who releases them has to wait for
    those who are being told.
*/
struct composite_handle::loss {
    bool is_forked() const noexcept { return generation != core::fork_generation(); }
    void member_ended(bool lost) {
        const std::lock_guard guard(mutex);
        // While they are released one after the other, it is over for all of them.
        if (lost && !over && told) told->stop();
    }
    void end() noexcept {
        const std::lock_guard guard(mutex);
        over = true;
    }

    const unsigned generation = core::fork_generation();
    std::mutex mutex;
    bool armed = false;
    bool over = false;
    std::optional<core::lost_announcement> told;
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
    end_loss();
    drop_in_order(members_);
}

void composite_handle::end_loss() noexcept {
    if (loss_ == nullptr) return;
    if (loss_->is_forked()) {
        // Its thread, and perhaps its mutex, are the parent's.
        (void)new std::shared_ptr<loss>(std::move(loss_));
        return;
    }
    loss_->end();
    loss_.reset();
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
    if (loss_->is_forked()) throw error(errc::invalid_state, core::provider_state::forked_text);
    std::stop_token token;
    {
        const std::lock_guard guard(loss_->mutex);
        if (!loss_->told) loss_->told.emplace();
        token = loss_->told->token();
        if (std::exchange(loss_->armed, true)) return token;
    }
    try {
        // Not under the mutex: one that is lost already says so at once.
        for (const lock_handle& each : members_) {
            each.hold_->on_end([shared = loss_](bool lost) { shared->member_ended(lost); });
        }
    } catch (...) {
        const std::lock_guard guard(loss_->mutex);
        loss_->armed = false;
        throw;
    }
    return token;
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
    end_loss();
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

/// @return why @p wanted cannot be acquired together; empty if it can
std::string complaint_about(const lock_requests& wanted) {
    if (wanted.empty()) return "acquire_all needs at least one lock";
    for (auto each = wanted.begin(); each != wanted.end(); ++each) {
        const auto same = [each](const lock_request& other) { return each->same_lock(other); };
        if (std::find_if(wanted.begin(), each, same) == each) continue;
        return "acquire_all was given the lock '" + std::string(each->name()) +
               "' twice; locks are not reentrant, so it would wait for itself";
    }
    return {};
}

/// Several locks on their way to be held: which is next, and with how much time. Both styles go by it.
class collection {
public:
    collection(lock_requests wanted, timeout limit) : wanted_(std::move(wanted)), limit_(limit) {
        if (!limit_.is_infinite()) began_ = boottime::now();
        held_.reserve(wanted_.size());
    }
    collection(const collection&) = delete;
    collection& operator=(const collection&) = delete;
    ~collection() { drop_in_order(held_); }

    bool complete() const noexcept { return held_.size() == wanted_.size(); }
    const lock_request& next() const noexcept { return wanted_[held_.size()]; }
    timeout left() const {
        if (limit_.is_infinite()) return limit_;
        // At least one try, however late it is.
        const auto remaining = limit_.duration() - (boottime::now() - began_);
        return timeout(std::max<boottime::duration>(remaining, boottime::duration::zero()));
    }
    void add(lock_handle one) { held_.push_back(std::move(one)); }
    std::vector<lock_handle> take() { return std::exchange(held_, {}); }

private:
    const lock_requests wanted_;
    const timeout limit_;
    boottime::time_point began_{};
    std::vector<lock_handle> held_;
};

/// Releases the last first. @return false where it cannot be told of one whether it is free
bool given_back_for_sure(std::vector<lock_handle> members) {
    bool sure = true;
    while (!members.empty()) {
        error_code code;
        diagnostics details;
        members.back().release(code, &details);
        members.pop_back();
        if (code && details.state == held_state::unknown) sure = false;
    }
    return sure;
}

/// Sets @p code to the first failure; what was acquired before it has been released then.
composite_handle take_all(const lock_requests& wanted, timeout limit, const std::stop_token& stop, error_code& code,
                          diagnostics& diag) {
    code.clear();
    diag.clear();
    if (std::string complaint = complaint_about(wanted); !complaint.empty()) {
        code = make_error_code(errc::invalid_argument);
        diag.message = std::move(complaint);
        return {};
    }
    collection all(wanted, limit);
    while (!all.complete()) {
        const lock_request& next = all.next();
        lock_handle one = next.target().acquire(next.mode(), all.left(), stop, code, &diag);
        if (code) {
            // What cannot be told of an earlier one cannot be told of the whole.
            if (!given_back_for_sure(all.take())) diag.state = held_state::unknown;
            return {};
        }
        all.add(std::move(one));
    }
    return composite_handle(all.take());
}

/// Releases the last first, each when the one before it has ended. Owned by what waits for that.
class giving_back : public std::enable_shared_from_this<giving_back> {
public:
    giving_back(const giving_back&) = delete;
    giving_back& operator=(const giving_back&) = delete;
    virtual ~giving_back() { drop_in_order(members_); }

protected:
    giving_back() = default;

    void give_back(std::vector<lock_handle> members) {
        members_ = std::move(members);
        go_on();
    }
    /// Called once, after all were tried. @param code the first error met, with its details
    virtual void given_back(error_code code, diagnostics&& diag) = 0;

    /// One of them could not be given back for sure.
    bool in_doubt() const noexcept { return in_doubt_; }

private:
    void go_on() {
        while (!members_.empty()) {
            lock_handle last = std::move(members_.back());
            members_.pop_back();
            try {
                // Its handler is posted or comes from the executor, so that long lists need no deep stack.
                last.async_release(diag_, [self = shared_from_this()](error_code code) { self->ended(code); });
                return;
            } catch (const std::exception&) {
                // No memory. The handle is gone, and with it the lock.
            }
        }
        given_back(first_code_, std::move(first_diag_));
    }

    void ended(error_code code) {
        if (code) {
            in_doubt_ = in_doubt_ || diag_.state == held_state::unknown;
            if (!first_code_) {
                first_code_ = code;
                first_diag_ = diag_;
            }
        }
        go_on();
    }

    std::vector<lock_handle> members_;
    diagnostics diag_;
    error_code first_code_;
    diagnostics first_diag_;
    bool in_doubt_ = false;
};

class async_release_all final : public giving_back {
public:
    async_release_all(diagnostics* diag, std::unique_ptr<detail::completion<detail::no_result>> done)
        : diag_(diag), done_(std::move(done)) {}

    void begin(std::vector<lock_handle> members) { give_back(std::move(members)); }

private:
    void given_back(error_code code, diagnostics&& diag) override {
        if (code && diag_ != nullptr) *diag_ = std::move(diag);
        done_->complete(code, {});
    }

    diagnostics* const diag_;
    std::unique_ptr<detail::completion<detail::no_result>> done_;
};

/** Acquires one after the other, on the thread that starts it as long as none has to wait.

    Kept alive by the acquire or the release that is under way.
*/
class async_acquire_all_of final : public giving_back, public detail::cancellable {
public:
    async_acquire_all_of(lock_requests wanted, timeout limit, diagnostics* diag,
                         std::unique_ptr<detail::completion<composite_handle>> done)
        : all_(std::move(wanted), limit), diag_(diag), done_(std::move(done)) {}

    void begin() {
        done_->connect(std::static_pointer_cast<async_acquire_all_of>(shared_from_this()));
        go_on();
    }

    void cancel() noexcept override {
        std::weak_ptr<detail::cancellable> now;
        {
            const std::lock_guard guard(mutex_);
            cancelled_ = true;
            now = now_;
        }
        if (const auto acquire = now.lock()) acquire->cancel();
    }

private:
    /// How far the acquire of one has come: it may end on another thread before the call that begins it returns.
    enum class progress { beginning, begun, ended };

    /// The handler of one acquire, called from wherever that ends: nothing is posted between two of them.
    class end_of_one final : public detail::completion<lock_handle> {
    public:
        explicit end_of_one(std::shared_ptr<async_acquire_all_of> whole) : whole_(std::move(whole)) {}
        void complete(error_code code, lock_handle held, detail::delivery) override {
            whole_->ended(code, std::move(held));
        }
        void connect(std::weak_ptr<detail::cancellable> acquire) override { whole_->stand_at(std::move(acquire)); }

    private:
        const std::shared_ptr<async_acquire_all_of> whole_;
    };

    void go_on() {
        do {
            if (all_.complete()) return finish();
            const lock_request& next = all_.next();
            if (is_cancelled()) return fail(next.target().refuse(errc::cancelled, "cancelled before it began", diag_));
            progress_.store(progress::beginning, std::memory_order_relaxed);
            try {
                auto self = std::static_pointer_cast<async_acquire_all_of>(shared_from_this());
                next.target().async_acquire(next.mode(), all_.left(), diag_,
                                            std::make_unique<end_of_one>(std::move(self)));
            } catch (const std::exception&) {
                // No memory, no thread: what is held must be given back, and the handler hear of it.
                return fail(next.target().refuse(errc::unavailable, "there is no memory or thread for it", diag_));
            }
            // Whoever comes second goes on, and by a loop: the lists may be long.
        } while (progress_.exchange(progress::begun, std::memory_order_acq_rel) == progress::ended && accept());
    }

    void finish() {
        composite_handle held;
        error_code code;
        try {
            held = composite_handle(all_.take());
        } catch (const std::exception&) {
            // No memory: the locks have been given back, and the handler must still hear of it.
            code = make_error_code(errc::unavailable);
        }
        done_->complete(code, std::move(held));
    }

    void ended(error_code code, lock_handle held) {
        code_ = code;
        one_ = std::move(held);
        if (progress_.exchange(progress::ended, std::memory_order_acq_rel) == progress::begun && accept()) go_on();
    }

    /// Takes over what one acquire has given. @return false where that was an error, and the end
    bool accept() {
        if (code_) {
            fail(code_);
            return false;
        }
        all_.add(std::move(one_));
        return true;
    }

    void fail(error_code code) {
        code_ = code;
        give_back(all_.take());
    }

    void given_back(error_code, diagnostics&&) override {
        // What cannot be told of an earlier one cannot be told of the whole.
        if (diag_ != nullptr && in_doubt()) diag_->state = held_state::unknown;
        done_->complete(code_, {});
    }

    void stand_at(std::weak_ptr<detail::cancellable> acquire) {
        std::shared_ptr<detail::cancellable> too_late;
        {
            const std::lock_guard guard(mutex_);
            now_ = std::move(acquire);
            if (cancelled_) too_late = now_.lock();
        }
        if (too_late != nullptr) too_late->cancel();
    }

    bool is_cancelled() {
        const std::lock_guard guard(mutex_);
        return cancelled_;
    }

    collection all_;
    diagnostics* const diag_;
    std::unique_ptr<detail::completion<composite_handle>> done_;
    /// What the acquire that has ended gave.
    error_code code_;
    lock_handle one_;
    std::atomic<progress> progress_{progress::beginning};
    std::mutex mutex_;
    bool cancelled_ = false;
    /// The acquire that is under way.
    std::weak_ptr<detail::cancellable> now_;
};

/// The wait for whichever of several holds ends first. Kept alive by the waits for each.
class first_end final : public detail::cancellable, public std::enable_shared_from_this<first_end> {
public:
    explicit first_end(std::unique_ptr<detail::completion<detail::no_result>> done) : done_(std::move(done)) {}

    void begin() { done_->connect(weak_from_this()); }
    std::unique_ptr<detail::completion<detail::no_result>> wait_for_one() {
        return std::make_unique<end_of_one>(shared_from_this());
    }
    /// From now on waits may be cancelled, and those be that ended too soon for it.
    void all_begun() {
        {
            const std::lock_guard guard(mutex_);
            all_begun_ = true;
            if (!over_) return;
        }
        cancel_waits();
    }

    void ended(error_code code) {
        std::unique_ptr<detail::completion<detail::no_result>> done;
        {
            const std::lock_guard guard(mutex_);
            done = std::move(done_);
        }
        if (done == nullptr) return;
        done->complete(code, {});
        cancel();
    }

    void cancel() noexcept override {
        {
            const std::lock_guard guard(mutex_);
            over_ = true;
            if (!all_begun_) return;
        }
        cancel_waits();
    }

private:
    class end_of_one final : public detail::completion<detail::no_result> {
    public:
        explicit end_of_one(std::shared_ptr<first_end> whole) : whole_(std::move(whole)) {}
        void complete(error_code code, detail::no_result, detail::delivery) override { whole_->ended(code); }
        void connect(std::weak_ptr<detail::cancellable> wait) override { whole_->waits_.push_back(std::move(wait)); }

    private:
        const std::shared_ptr<first_end> whole_;
    };

    void cancel_waits() noexcept {
        for (const auto& each : waits_) {
            if (const auto wait = each.lock()) wait->cancel();
        }
    }

    std::mutex mutex_;
    std::unique_ptr<detail::completion<detail::no_result>> done_;
    /// By the thread that begins them, until all have begun; then nobody changes it any more.
    std::vector<std::weak_ptr<detail::cancellable>> waits_;
    bool all_begun_ = false;
    bool over_ = false;
};

}  // namespace

composite_handle::holds composite_handle::held_ones() const {
    holds made;
    made.reserve(members_.size());
    for (const lock_handle& each : members_) made.push_back(each.hold_);
    return made;
}

boost::asio::any_io_executor composite_handle::executor_of(const std::vector<lock_handle>& members) {
    return lock_handle::executor_of(members.empty() ? nullptr : members.front().hold_);
}

boost::asio::any_io_executor composite_handle::executor_of(const holds& members) {
    return lock_handle::executor_of(members.empty() ? nullptr : members.front());
}

void composite_handle::start_wait_lost(holds members, std::unique_ptr<detail::completion<detail::no_result>> done) {
    if (members.empty()) {
        done->complete(make_error_code(errc::invalid_state), {});
        return;
    }
    const auto whole = std::make_shared<first_end>(std::move(done));
    whole->begin();
    try {
        for (auto& each : members) lock_handle::start_wait_lost(std::move(each), whole->wait_for_one());
    } catch (const std::exception&) {
        // No memory. The handler must still hear of it.
        whole->ended(make_error_code(errc::unavailable));
    }
    whole->all_begun();
}

void composite_handle::start_release(std::vector<lock_handle> members, diagnostics* diag,
                                     std::unique_ptr<detail::completion<detail::no_result>> done) {
    if (diag != nullptr) diag->clear();
    std::make_shared<async_release_all>(diag, std::move(done))->begin(std::move(members));
}

namespace detail {

boost::asio::any_io_executor executor_of(const lock_requests& wanted) {
    return wanted.empty() ? core::runtime::lasting_executor() : wanted[0].target().executor();
}

void start_acquire_all(lock_requests wanted, timeout limit, diagnostics* diag,
                       std::unique_ptr<completion<composite_handle>> done) {
    if (diag != nullptr) diag->clear();
    if (std::string complaint = complaint_about(wanted); !complaint.empty()) {
        if (diag != nullptr) diag->message = std::move(complaint);
        done->complete(make_error_code(errc::invalid_argument), {});
        return;
    }
    std::make_shared<async_acquire_all_of>(std::move(wanted), limit, diag, std::move(done))->begin();
}

}  // namespace detail

composite_handle acquire_all(const lock_requests& locks, timeout limit, std::stop_token stop) {
    error_code code;
    diagnostics diag;
    composite_handle held = take_all(locks, limit, stop, code, diag);
    throw_if(code, diag);
    return held;
}

composite_handle acquire_all(const lock_requests& locks, timeout limit, std::stop_token stop, error_code& code,
                             diagnostics* diag) {
    diagnostics details;
    composite_handle held = take_all(locks, limit, stop, code, diag != nullptr ? *diag : details);
    return held;
}

std::optional<composite_handle> try_acquire_all(const lock_requests& locks, timeout limit, std::stop_token stop) {
    error_code code;
    diagnostics diag;
    auto held = try_acquire_all(locks, limit, std::move(stop), code, &diag);
    throw_if(code, diag);
    return held;
}

std::optional<composite_handle> try_acquire_all(const lock_requests& locks, timeout limit, std::stop_token stop,
                                                error_code& code, diagnostics* diag) {
    diagnostics details;
    composite_handle held = take_all(locks, limit, stop, code, diag != nullptr ? *diag : details);
    return detail::as_optional<composite_handle>(code, std::move(held));
}

}  // namespace v0
}  // namespace holdfast
