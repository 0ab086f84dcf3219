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

/// Only those forms exist that throw.
held acquire_several(const std::vector<lock>& all, const request& what, const std::stop_token& stop) {
    if (what.what == verb::acquire) return held(acquire_all(all, what.limit, stop));
    return wrap(try_acquire_all(all, what.limit, stop));
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
        const auto* const several = what.on == nullptr ? nullptr : std::get_if<std::vector<lock>>(&what.on->object);
        switch (what.what) {
            case verb::acquire:
            case verb::try_acquire:
                if (several != nullptr) {
                    how.handle = acquire_several(*several, what, stop);
                } else if (what.what == verb::acquire) {
                    how.handle = acquire(*what.on, what.limit, stop);
                } else {
                    how.handle = try_acquire(*what.on, what.limit, stop);
                }
                return;
            case verb::release:
                if (auto* const all = what.handle->composite()) {
                    all->release();
                } else {
                    what.handle->plain().release();
                }
                return;
            case verb::upgrade: what.handle->upgradeable().upgrade(what.limit, stop); return;
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
            case verb::release: what.handle->plain().release(how.code, &how.diag); break;
            case verb::upgrade: what.handle->upgradeable().upgrade(what.limit, stop, how.code, &how.diag); break;
            case verb::wait_lost: return throwing_call::make(what, stop);
        }
        expect_cleared(how);
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
