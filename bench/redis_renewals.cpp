#include "redis_renewals.hpp"

#include "measure.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

double processor_us() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto us = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
    };
    return us(used.ru_utime) + us(used.ru_stime);
}

struct everything {
    std::vector<lock> names;
    std::vector<lock_handle> held;
    std::size_t next = 0;
};

boost::asio::awaitable<void> take_some(const provider& locks, everything& all, std::size_t count) {
    while (all.next < count) {
        const std::size_t mine = all.next++;
        lock one = locks.make_lock("holdfast-bench:held:" + std::to_string(mine));
        lock_handle held = co_await one.async_acquire(60s, boost::asio::use_awaitable);
        all.held.push_back(std::move(held));
        all.names.push_back(std::move(one));
    }
}

boost::asio::awaitable<void> give_some_back(everything& all) {
    while (all.next < all.held.size()) {
        lock_handle mine = std::move(all.held[all.next++]);
        co_await mine.async_release(boost::asio::use_awaitable);
    }
}

void run_for(boost::asio::io_context& io, std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
}

}  // namespace

renewal_cost measure_renewals(const provider& locks, boost::asio::io_context& io, int count,
                              std::chrono::milliseconds cadence) {
    constexpr int at_once = 500;
    renewal_cost made;
    const double before = heap_bytes();
    everything all;
    // Doubling would be counted as theirs.
    all.names.reserve(static_cast<std::size_t>(count));
    all.held.reserve(static_cast<std::size_t>(count));
    for (int each = 0; each < at_once; ++each) {
        boost::asio::co_spawn(io, take_some(locks, all, static_cast<std::size_t>(count)), boost::asio::detached);
    }
    while (all.held.size() < static_cast<std::size_t>(count)) run_for(io, 50ms);
    made.bytes_a_lock = (heap_bytes() - before) / count;

    const double began = processor_us();
    run_for(io, cadence);
    made.per_renewal_us = (processor_us() - began) / count;
    made.held = std::all_of(all.held.begin(), all.held.end(),
                            [](const lock_handle& each) { return each.state() == held_state::held; });

    all.next = 0;
    for (int each = 0; each < at_once; ++each) boost::asio::co_spawn(io, give_some_back(all), boost::asio::detached);
    while (all.next < all.held.size()) run_for(io, 50ms);
    run_for(io, 200ms);
    return made;
}

}  // namespace holdfast::bench
