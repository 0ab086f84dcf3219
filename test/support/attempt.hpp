// One acquire in either style, with what came of it and how long it took.
#ifndef HOLDFAST_TEST_SUPPORT_ATTEMPT_HPP
#define HOLDFAST_TEST_SUPPORT_ATTEMPT_HPP

#include <holdfast/provider.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <future>
#include <stop_token>
#include <thread>
#include <utility>

namespace holdfast::fakes {

enum class style { sync, async };

inline const char* name_of(style how) {
    return how == style::sync ? "sync" : "async";
}

struct attempt {
    error_code code;
    lock_handle handle;
    diagnostics diag;
    std::chrono::milliseconds took{0};
};

/// A thread that handlers run on, so that cancellation signals can be given there.
class handler_thread {
public:
    handler_thread() : work_(context_.get_executor()), thread_([this] { context_.run(); }) {}
    ~handler_thread() {
        work_.reset();
        thread_.join();
    }

    auto executor() { return context_.get_executor(); }

    /// Runs @p what there, and waits for it.
    template <class What>
    void run(What what) {
        std::promise<void> done;
        boost::asio::post(context_, [&] {
            what();
            done.set_value();
        });
        done.get_future().wait();
    }

private:
    boost::asio::io_context context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::thread thread_;
};

/// An acquire that has begun, in a thread of its own or without one.
class pending_acquire {
public:
    template <class Lock>
    pending_acquire(handler_thread& where, style how, const Lock& lock, timeout limit) : where_(where), how_(how) {
        if (how == style::sync) {
            thread_ = std::jthread([this, lock, limit](const std::stop_token& stop) {
                attempt made;
                const auto began = boottime::now();
                made.handle = lock.acquire(limit, stop, made.code, &made.diag);
                finish(std::move(made), began);
            });
        } else {
            where.run([&] {
                lock.async_acquire(limit, diag_,
                                   boost::asio::bind_cancellation_slot(
                                       signal_.slot(), boost::asio::bind_executor(
                                                           where.executor(), [this, began = boottime::now()](
                                                                                 error_code code, lock_handle handle) {
                                                               finish({code, std::move(handle), diag_, {}}, began);
                                                           })));
            });
        }
    }

    void cancel() {
        if (how_ == style::sync) {
            thread_.request_stop();
        } else {
            where_.run([this] { signal_.emit(boost::asio::cancellation_type::all); });
        }
    }

    attempt get() { return result_.get_future().get(); }

private:
    void finish(attempt made, boottime::time_point began) {
        made.took = std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - began);
        result_.set_value(std::move(made));
    }

    handler_thread& where_;
    const style how_;
    diagnostics diag_;
    boost::asio::cancellation_signal signal_;
    std::promise<attempt> result_;
    std::jthread thread_;
};

/// The writers of a reader-writer lock, as a lock.
struct writing {
    reader_writer_lock of;

    lock_handle acquire(timeout limit, const std::stop_token& stop, error_code& code, diagnostics* diag) const {
        return of.acquire_write(limit, stop, code, diag);
    }
    template <class Token>
    auto async_acquire(timeout limit, diagnostics& diag, Token&& done) const {
        return of.async_acquire_write(limit, diag, std::forward<Token>(done));
    }
};

template <class Lock>
attempt acquire(handler_thread& where, style how, const Lock& lock, timeout limit) {
    return pending_acquire(where, how, lock, limit).get();
}

/// Releases in the given style.
inline attempt release(style how, lock_handle handle) {
    attempt made;
    const auto began = boottime::now();
    if (how == style::sync) {
        handle.release(made.code, &made.diag);
    } else {
        std::promise<error_code> done;
        handle.async_release([&](error_code code) { done.set_value(code); });
        made.code = done.get_future().get();
    }
    made.took = std::chrono::ceil<std::chrono::milliseconds>(boottime::now() - began);
    return made;
}

/// Looks until @p holds is true, or a time that no test should need is over.
template <class Condition>
bool eventually(Condition holds, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    const auto end = boottime::now() + patience;
    while (!holds()) {
        if (boottime::now() >= end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace holdfast::fakes

#endif
