// Threads that begin together, an executor with several threads, and counts to wait for.
#ifndef HOLDFAST_TEST_RACE_RACE_HPP
#define HOLDFAST_TEST_RACE_RACE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <latch>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace holdfast::race {

/// How long a test goes on: by time and not by rounds, since sanitizers slow a program down by different factors.
class span {
public:
    explicit span(std::chrono::milliseconds length = std::chrono::milliseconds(1200))
        : end_(std::chrono::steady_clock::now() + length) {}
    bool lasts() const { return std::chrono::steady_clock::now() < end_; }

private:
    std::chrono::steady_clock::time_point end_;
};

/// Runs @p body(0), @p body(1), ... on threads of their own, and waits for all of them.
template <class Body>
void together(int count, Body body) {
    std::latch start(count);
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&start, &body, i] {
            start.arrive_and_wait();
            body(i);
        });
    }
}

/// Random numbers of one thread; the same in each run, as far as the threads' order allows that.
class dice {
public:
    explicit dice(int seed) : engine_(static_cast<std::minstd_rand::result_type>(seed + 1)) {}
    /// 0 to @p sides - 1.
    int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(engine_); }

private:
    std::minstd_rand engine_;
};

/// What is still to come. Waiting for it has an end, so that what never comes is a failure and not a hang.
class pending {
public:
    void add(int count = 1) {
        const std::lock_guard guard(mutex_);
        count_ += count;
    }
    void done() {
        const std::lock_guard guard(mutex_);
        if (--count_ <= 0) changed_.notify_all();
    }
    /// False when something is missing after half a minute.
    bool wait() {
        std::unique_lock guard(mutex_);
        return changed_.wait_for(guard, std::chrono::seconds(30), [this] { return count_ <= 0; });
    }
    int left() {
        const std::lock_guard guard(mutex_);
        return count_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

/// A user's executor, run by several threads. What runs on it must be over before it is destroyed.
class pool {
public:
    explicit pool(int threads) : work_(context_.get_executor()) {
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back([this] { context_.run(); });
        }
    }
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    ~pool() {
        work_.reset();
        for (auto& each : threads_) each.join();
    }
    boost::asio::any_io_executor executor() { return context_.get_executor(); }

private:
    boost::asio::io_context context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::vector<std::thread> threads_;
};

}  // namespace holdfast::race

#endif
