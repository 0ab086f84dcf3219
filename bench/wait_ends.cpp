#include "wait_ends.hpp"

#include <holdfast/error.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <stdexcept>
#include <stop_token>
#include <thread>

namespace holdfast::bench {
namespace {

using clock = std::chrono::steady_clock;

/// By then a wait stands where it will.
constexpr std::chrono::milliseconds settled{2};

double us(clock::duration time) {
    return std::chrono::duration<double, std::micro>(time).count();
}

void expect(error_code wanted, error_code found) {
    if (found != wanted) throw std::runtime_error("a wait that was to end otherwise: " + found.message());
}

samples late_ends(const lock& taken, std::chrono::milliseconds limit, int count, boost::asio::io_context& io) {
    samples made;
    for (int i = 0; i < count; ++i) {
        const auto from = clock::now();
        taken.async_acquire(limit, [&](error_code code, const lock_handle&) {
            made.push_back(us(clock::now() - from - limit));
            expect(errc::timed_out, code);
        });
        io.restart();
        io.run();
    }
    return made;
}

samples cancelled_ends(const lock& taken, int count) {
    samples made;
    for (int i = 0; i < count; ++i) {
        error_code code;
        clock::time_point end;
        std::jthread waiting([&](const std::stop_token& stop) {
            taken.acquire(timeout::infinite(), stop, code);
            end = clock::now();
        });
        std::this_thread::sleep_for(settled);
        const auto from = clock::now();
        waiting.request_stop();
        waiting.join();
        made.push_back(us(end - from));
        expect(errc::cancelled, code);
    }
    return made;
}

samples cancelled_ends(const lock& taken, int count, boost::asio::io_context& io) {
    samples made;
    for (int i = 0; i < count; ++i) {
        boost::asio::cancellation_signal cancel;
        clock::time_point from;
        taken.async_acquire(timeout::infinite(), boost::asio::bind_cancellation_slot(
                                                     cancel.slot(), [&](error_code code, const lock_handle&) {
                                                         made.push_back(us(clock::now() - from));
                                                         expect(errc::cancelled, code);
                                                     }));
        boost::asio::steady_timer later(io, settled);
        later.async_wait([&](error_code) {
            from = clock::now();
            cancel.emit(boost::asio::cancellation_type::all);
        });
        io.restart();
        io.run();
    }
    return made;
}

}  // namespace

samples late_ends(const lock& taken, std::chrono::milliseconds limit, int count) {
    samples made;
    for (int i = 0; i < count; ++i) {
        error_code code;
        const auto from = clock::now();
        taken.acquire(limit, {}, code);
        made.push_back(us(clock::now() - from - limit));
        expect(errc::timed_out, code);
    }
    return made;
}

void wait_end_rows(const std::string& backend, const std::string& kind,
                   const std::function<provider(const provider_settings&)>& open,
                   const std::function<void(const row&)>& report) {
    constexpr int rounds = 3;
    constexpr int per_round = 25;
    constexpr std::chrono::milliseconds limit{20};
    // What a user is promised, whatever the backend's own waits do.
    constexpr double promised_us = 5000;
    const auto held = open({}).make_lock("holdfast-bench:ends").acquire();
    const lock taken = open({}).make_lock("holdfast-bench:ends");
    boost::asio::io_context io(1);
    const lock async_taken = open({.executor = io.get_executor()}).make_lock("holdfast-bench:ends");
    const auto add = [&](const char* style, const std::function<samples()>& ends) {
        report(make_row(backend, kind, style,
                        measure_rounds(
                            ends, [] { return samples{promised_us}; }, rounds),
                        1, "5 ms"));
    };
    add("a wait of 20 ms ends late by, sync", [&] { return late_ends(taken, limit, per_round); });
    add("a wait of 20 ms ends late by, async", [&] { return late_ends(async_taken, limit, per_round, io); });
    add("a cancelled wait ends after, sync", [&] { return cancelled_ends(taken, per_round); });
    add("a cancelled wait ends after, async", [&] { return cancelled_ends(async_taken, per_round, io); });
}

}  // namespace holdfast::bench
