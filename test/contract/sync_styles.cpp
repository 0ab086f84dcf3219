// The blocking calls: with exceptions, and with error codes.
#include <contract/call_state.hpp>
#include <contract/thread_rest.hpp>

namespace holdfast::contract {
namespace {

class thread_state final : public pending::state {
public:
    ~thread_state() override {
        if (thread_.joinable()) thread_.join();
    }

    void cancel() override { source_.request_stop(); }

    bool waits() const override { return rest_.waits(); }

    std::stop_token token() const { return source_.get_token(); }
    template <class Body>
    void begin(Body body) {
        thread_ = std::thread([this, body = std::move(body)]() mutable {
            rest_.begin();
            finish(body());
        });
    }

private:
    std::stop_source source_;
    thread_rest rest_;
    std::thread thread_;
};

/// Both kinds of blocking wait for a loss: there is only the token.
void wait_for_loss(const std::stop_token& lost, const std::stop_token& stop, error_code& code) {
    std::mutex mutex;
    std::condition_variable changed;
    const auto wake = [&] {
        const std::lock_guard guard(mutex);
        changed.notify_all();
    };
    const std::stop_callback on_lost(lost, wake);
    const std::stop_callback on_stop(stop, wake);
    std::unique_lock guard(mutex);
    changed.wait(guard, [&] { return lost.stop_requested() || stop.stop_requested(); });
    if (!lost.stop_requested()) code = make_error_code(errc::cancelled);
}

template <class Handle>
held wrap(std::optional<Handle> maybe) {
    return maybe ? held(std::move(*maybe)) : held();
}

// How a target is acquired, with whatever arguments follow the token: none, or error code and diagnostics.
template <class... Rest>
held acquire(const target& on, timeout limit, std::stop_token stop, Rest&&... rest) {
    if (const auto* all = std::get_if<std::vector<lock_request>>(&on.object)) {
        return held(acquire_all(*all, limit, stop, rest...));
    }
    if (const auto* one = std::get_if<lock>(&on.object)) return held(one->acquire(limit, stop, rest...));
    if (const auto* one = std::get_if<semaphore>(&on.object)) return held(one->acquire(limit, stop, rest...));
    if (const auto* one = std::get_if<reader_writer_lock>(&on.object)) {
        if (on.mode == access::shared) return held(one->acquire_read(limit, stop, rest...));
        return held(one->acquire_write(limit, stop, rest...));
    }
    const auto& one = std::get<upgradeable_reader_writer_lock>(on.object);
    if (on.mode == access::shared) return held(one.acquire_read(limit, stop, rest...));
    if (on.mode == access::upgradeable) return held(one.acquire_upgradeable_read(limit, stop, rest...));
    return held(one.acquire_write(limit, stop, rest...));
}

template <class... Rest>
held try_acquire(const target& on, timeout limit, std::stop_token stop, Rest&&... rest) {
    if (const auto* all = std::get_if<std::vector<lock_request>>(&on.object)) {
        return wrap(try_acquire_all(*all, limit, stop, rest...));
    }
    if (const auto* one = std::get_if<lock>(&on.object)) return wrap(one->try_acquire(limit, stop, rest...));
    if (const auto* one = std::get_if<semaphore>(&on.object)) return wrap(one->try_acquire(limit, stop, rest...));
    if (const auto* one = std::get_if<reader_writer_lock>(&on.object)) {
        if (on.mode == access::shared) return wrap(one->try_acquire_read(limit, stop, rest...));
        return wrap(one->try_acquire_write(limit, stop, rest...));
    }
    const auto& one = std::get<upgradeable_reader_writer_lock>(on.object);
    if (on.mode == access::shared) return wrap(one.try_acquire_read(limit, stop, rest...));
    if (on.mode == access::upgradeable) return wrap(one.try_acquire_upgradeable_read(limit, stop, rest...));
    return wrap(one.try_acquire_write(limit, stop, rest...));
}

template <class... Rest>
void release(held& handle, Rest&&... rest) {
    if (auto* const all = handle.composite()) {
        all->release(rest...);
    } else {
        handle.plain().release(rest...);
    }
}

class throwing_call {
public:
    static outcome make(const request& what, const std::stop_token& stop) {
        outcome how;
        try {
            perform(what, stop, how);
        } catch (const error& thrown) {
            how.code = thrown.boost_code();
            how.diag = thrown.diag();
        }
        return how;
    }

private:
    static void perform(const request& what, const std::stop_token& stop, outcome& how) {
        switch (what.what) {
            case verb::acquire: how.handle = acquire(*what.on, what.limit, stop); return;
            case verb::try_acquire: how.handle = try_acquire(*what.on, what.limit, stop); return;
            case verb::release: release(*what.handle); return;
            case verb::upgrade: what.handle->upgradeable().upgrade(what.limit, stop); return;
            case verb::try_upgrade: how.upgraded = what.handle->upgradeable().try_upgrade(what.limit, stop); return;
            case verb::count: how.count = std::get<semaphore>(what.on->object).current_count(); return;
            case verb::wait_lost: wait_for_loss(what.handle->lost_token(), stop, how.code); return;
        }
    }
};

class code_call {
public:
    static outcome make(const request& what, const std::stop_token& stop) {
        outcome how;
        how.code = poisoned_code();
        how.diag = poisoned_diagnostics();
        switch (what.what) {
            case verb::acquire: how.handle = acquire(*what.on, what.limit, stop, how.code, &how.diag); break;
            case verb::try_acquire: how.handle = try_acquire(*what.on, what.limit, stop, how.code, &how.diag); break;
            case verb::release: release(*what.handle, how.code, &how.diag); break;
            case verb::upgrade: what.handle->upgradeable().upgrade(what.limit, stop, how.code, &how.diag); break;
            case verb::try_upgrade:
                how.upgraded = what.handle->upgradeable().try_upgrade(what.limit, stop, how.code, &how.diag);
                break;
            case verb::count:
                how.count = std::get<semaphore>(what.on->object).current_count(how.code, &how.diag);
                break;
            case verb::wait_lost: return throwing_call::make(what, stop);
        }
        // A refused upgrade leaves the read lock.
        expect_cleared(how, what.what == verb::try_upgrade ? held_state::held : held_state::released);
        return how;
    }
};

template <class Call>
class sync_style final : public call_style {
public:
    pending start(const request& what) override {
        auto made = std::make_shared<thread_state>();
        if (what.stopped_before) made->cancel();
        made->begin([call = what, on = what.on == nullptr ? nullptr : std::make_shared<target>(*what.on),
                     stop = made->token()]() mutable {
            call.on = on.get();
            return Call::make(call, stop);
        });
        return pending(std::move(made));
    }

    outcome run(const request& what) override {
        std::stop_source source;
        if (!what.stopped_before) return Call::make(what, {});
        source.request_stop();
        return Call::make(what, source.get_token());
    }
};

}  // namespace

std::unique_ptr<call_style> make_sync_style(bool throwing) {
    if (throwing) return std::make_unique<sync_style<throwing_call>>();
    return std::make_unique<sync_style<code_call>>();
}

}  // namespace holdfast::contract
