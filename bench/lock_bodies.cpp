#include "lock_bodies.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <utility>

namespace holdfast::bench {

using namespace std::chrono_literals;

samples coroutine_pairs(const lock& target, boost::asio::io_context& io, int count) {
    samples taken;
    boost::asio::co_spawn(
        io,
        [&]() -> boost::asio::awaitable<void> {
            for (int i = 0; i < count; ++i) {
                const auto from = std::chrono::steady_clock::now();
                auto held = co_await target.async_acquire(10s, boost::asio::use_awaitable);
                co_await held.async_release(boost::asio::use_awaitable);
                taken.push_back(us_since(from));
            }
        },
        boost::asio::detached);
    io.restart();
    io.run();
    return taken;
}

samples concurrent_pairs(const std::vector<lock>& targets, boost::asio::io_context& io, int count) {
    const auto from = std::chrono::steady_clock::now();
    double took = 0;
    for (const lock& each : targets) {
        boost::asio::co_spawn(
            io,
            [&, target = each]() -> boost::asio::awaitable<void> {
                for (int i = 0; i < count; ++i) {
                    auto held = co_await target.async_acquire(60s, boost::asio::use_awaitable);
                    co_await held.async_release(boost::asio::use_awaitable);
                }
                took = us_since(from);
            },
            [](const std::exception_ptr& thrown) {
                if (thrown) std::rethrow_exception(thrown);
            });
    }
    io.restart();
    io.run();
    return {took / (static_cast<double>(targets.size()) * count)};
}

contender contender_of(const lock& target, acquire_function acquire) {
    auto held = std::make_shared<lock_handle>();
    return {[target, held, acquire = std::move(acquire)] { *held = acquire(target); }, [held] { held->release(); }};
}

lock_handle acquire_blocking(const lock& target) {
    return target.acquire(60s);
}

// Not use_future: it completes on the threads of Asio's system_context, and those do not survive a fork.
lock_handle acquire_async(const lock& target) {
    std::promise<lock_handle> ended;
    target.async_acquire(60s, [&](const error_code& code, lock_handle handle) {
        if (code) {
            ended.set_exception(std::make_exception_ptr(error(code, {})));
        } else {
            ended.set_value(std::move(handle));
        }
    });
    return ended.get_future().get();
}

}  // namespace holdfast::bench
