// One waiter of each kind there is, on a thread of its own where it needs one.
#ifndef HOLDFAST_TEST_SUPPORT_FILE_WAITERS_HPP
#define HOLDFAST_TEST_SUPPORT_FILE_WAITERS_HPP

#include <holdfast/backends/file.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::test {

enum class way { sync_finite, sync_infinite, sync_stop, async };

inline const std::vector<way> all_ways{way::sync_finite, way::sync_infinite, way::sync_stop, way::async};

inline std::string name_of(way how) {
    switch (how) {
        case way::sync_finite: return "sync_finite";
        case way::sync_infinite: return "sync_infinite";
        case way::sync_stop: return "sync_stop";
        case way::async: break;
    }
    return "async";
}

/// How a wait ended, and when.
struct ended_wait {
    error_code code;
    diagnostics diag;
    boottime::time_point at;
    lock_handle held;
};

/** A wait for one lock. Destroying it waits for its end, so what it waits for must be given back or cancelled first. */
class waiter_thread {
public:
    waiter_thread(way how, lock target, timeout limit = std::chrono::seconds(60)) {
        if (how == way::async) {
            begin_async(target, limit);
            return;
        }
        if (how != way::sync_finite) limit = timeout::infinite();
        auto done = std::make_shared<std::promise<ended_wait>>();
        result_ = done->get_future();
        thread_ = std::jthread([this, how, target, limit, done] {
            ended_wait end;
            const std::stop_token stop = how == way::sync_stop ? stop_.get_token() : std::stop_token();
            end.held = target.acquire(limit, stop, end.code, &end.diag);
            end.at = boottime::now();
            done->set_value(std::move(end));
        });
    }
    waiter_thread(const waiter_thread&) = delete;
    waiter_thread& operator=(const waiter_thread&) = delete;

    /// For the kinds that can be cancelled.
    void cancel() {
        if (signal_ != nullptr) {
            boost::asio::post(*context_, [signal = signal_] { signal->emit(boost::asio::cancellation_type::total); });
        } else {
            stop_.request_stop();
        }
    }
    bool is_over_within(std::chrono::milliseconds time) { return result_.wait_for(time) == std::future_status::ready; }
    ended_wait get() { return result_.get(); }

private:
    void begin_async(const lock& target, timeout limit) {
        auto done = std::make_shared<std::promise<ended_wait>>();
        result_ = done->get_future();
        context_ = std::make_shared<boost::asio::io_context>();
        signal_ = std::make_shared<boost::asio::cancellation_signal>();
        auto details = std::make_shared<diagnostics>();
        auto handler = [done, details, signal = signal_](error_code code, lock_handle held) {
            done->set_value({code, *details, boottime::now(), std::move(held)});
        };
        auto on_context = boost::asio::bind_executor(context_->get_executor(), std::move(handler));
        target.async_acquire(limit, *details, boost::asio::bind_cancellation_slot(signal_->slot(), on_context));
        thread_ = std::jthread([context = context_] { context->run(); });
    }

    std::stop_source stop_;
    std::shared_ptr<boost::asio::io_context> context_;
    std::shared_ptr<boost::asio::cancellation_signal> signal_;
    std::future<ended_wait> result_;
    std::jthread thread_;
};

}  // namespace holdfast::test

#endif
