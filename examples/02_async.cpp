// Coroutines: waiting for a lock without keeping a thread.
#include <holdfast/holdfast.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> job(holdfast::lock lock, int number) {
    try {
        auto held = co_await lock.async_acquire(10s, asio::use_awaitable);
        std::cout << "job " << number << " has the lock\n";
        asio::steady_timer work(co_await asio::this_coro::executor, 20ms);
        co_await work.async_wait(asio::use_awaitable);
        co_await held.async_release(asio::use_awaitable);
    } catch (const boost::system::system_error& failure) {
        // This is what Asio throws. The code is one of holdfast::errc; pass a holdfast::diagnostics for the details.
        std::cout << "job " << number << ": " << failure.code().message() << '\n';
    }
}

asio::awaitable<void> job_with_two(holdfast::lock orders, holdfast::lock invoices) {
    try {
        // Not in the call itself: GCC 12 does not get over a list in braces within a co_await.
        const holdfast::lock_requests both_of{orders, invoices};
        auto both = co_await holdfast::async_acquire_all(both_of, 5s, asio::use_awaitable);
        std::cout << "another job has two locks\n";
        co_await both.async_release(asio::use_awaitable);
    } catch (const boost::system::system_error& failure) {
        std::cout << "another job: " << failure.code().message() << '\n';
    }
}

}  // namespace

int main() {
    asio::io_context io;
    // Without an executor of ours the library would start an I/O thread of its own.
    holdfast::provider_settings settings;
    settings.executor = io.get_executor();
    const auto locks = holdfast::memory_provider(settings);
    for (int number = 1; number <= 3; ++number) {
        asio::co_spawn(io, job(locks.make_lock("report"), number), asio::detached);
    }
    asio::co_spawn(io, job_with_two(locks.make_lock("orders"), locks.make_lock("invoices")), asio::detached);
    io.run();
}
