#include "postgres_rows.hpp"

#include "handoff.hpp"
#include "lock_bodies.hpp"
#include "raw_postgres.hpp"
#include "wait_ends.hpp"

#include <backends/postgres/options.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <vector>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

provider open(const std::string& url, const provider_settings& settings = {}) {
    registry schemes;
    postgres::add_to(schemes);
    return schemes.open(url, settings);
}

row make_row(std::string style, const paired_result& measured, double target, std::string floor) {
    return {"postgres",         "lock", std::move(style), measured.p50, measured.p99,
            measured.floor_p50, target, std::move(floor)};
}

contender raw_contender(const std::string& connection) {
    auto raw = std::make_shared<raw_postgres>(connection);
    return {[raw] { raw->lock(); }, [raw] { raw->unlock(); }};
}

contender our_contender(const std::string& url) {
    return contender_of(open(url).make_lock("holdfast-bench:hand-off"), acquire_blocking);
}

/// The same pairs with fencing tokens, which wait for the server's disk.
void token_rows(const std::string& url, const postgres::options& opts, const std::function<void(const row&)>& report) {
    const pairing plan;
    pin_to(0);
    raw_postgres raw(opts.connection, opts.fencing_sequence);
    const auto floor = [&raw] {
        raw.try_lock();
        raw.unlock();
    };
    const lock one = open(url).make_lock("holdfast-bench:pair");
    report(make_row("sync pair with token", measure_pairs([&] { one.acquire(10s).release(); }, floor, plan), 1.15,
                    "two prepared statements, one of which draws"));
    boost::asio::io_context io(1);
    const lock async_one = open(url, {.executor = io.get_executor()}).make_lock("holdfast-bench:async pair");
    const auto async = measure_rounds([&] { return coroutine_pairs(async_one, io, plan.per_round); },
                                      [&] { return time_each(floor, plan.per_round); }, plan.rounds);
    report(make_row("async pair with token", async, 1.15, "two prepared statements, one of which draws"));
    unpin();
}

void pair_rows(const std::string& url, const std::string& connection, const std::function<void(const row&)>& report) {
    const pairing plan;
    pin_to(0);
    raw_postgres raw(connection);
    const auto floor = [&raw] {
        raw.try_lock();
        raw.unlock();
    };
    const lock one = open(url).make_lock("holdfast-bench:pair");
    const auto pair = [&one] { one.acquire(10s).release(); };
    boost::asio::io_context io(1);
    const provider on_executor = open(url, {.executor = io.get_executor()});
    const lock async_one = on_executor.make_lock("holdfast-bench:async pair");
    // Connected before their servers' processes are placed.
    pair();
    coroutine_pairs(async_one, io, 1);

    // Each connection has a process of its own, and a wake-up costs by where that is: the floor's and ours go together.
    for (const int processor : {0, 1}) {
        const bool placed = raw.place_backends(processor);
        const std::string where = !placed          ? ""
                                  : processor == 0 ? ", server beside it"
                                                   : ", server on another processor";
        report(make_row("sync pair" + where, measure_pairs(pair, floor, plan), 1.15, "two prepared statements"));
        const auto async = measure_rounds([&] { return coroutine_pairs(async_one, io, plan.per_round); },
                                          [&] { return time_each(floor, plan.per_round); }, plan.rounds);
        report(make_row("async pair" + where, async, 1.15, "two prepared statements"));
        if (!placed) break;
    }

    constexpr int at_once = 1000;
    std::vector<lock> many;
    many.reserve(at_once);
    for (int i = 0; i < at_once; ++i) many.push_back(on_executor.make_lock("holdfast-bench:many " + std::to_string(i)));
    const auto concurrent = measure_rounds([&] { return concurrent_pairs(many, io, 1); },
                                           [&] {
                                               const auto from = std::chrono::steady_clock::now();
                                               raw.pipelined_pairs(at_once);
                                               return samples{us_since(from) / at_once};
                                           },
                                           plan.rounds);
    report(make_row("one of 1,000 concurrent pairs", concurrent, 0, "pipelines of 100 prepared statements"));
    report(make_row("one of 1,000 concurrent pairs", {concurrent.p50, concurrent.p99, 6}, 1, "6 us"));
    unpin();
}

/// Takes and gives back very many; the time of each is its share.
void held_row(const std::string& url, const std::function<void(const row&)>& report) {
    constexpr int count = 10000;
    pin_to(0);
    boost::asio::io_context io(1);
    const provider locks = open(url, {.executor = io.get_executor()});
    std::vector<lock_handle> held(count);
    // Connections and their buffers are no part of a lock.
    boost::asio::co_spawn(
        io,
        [&]() -> boost::asio::awaitable<void> {
            auto first =
                co_await locks.make_lock("holdfast-bench:first").async_acquire(60s, boost::asio::use_awaitable);
            co_await first.async_release(boost::asio::use_awaitable);
        },
        boost::asio::detached);
    io.run();
    io.restart();
    const double heap_before = heap_bytes();
    const auto from = std::chrono::steady_clock::now();
    double each = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
        boost::asio::co_spawn(
            io,
            [&, i]() -> boost::asio::awaitable<void> {
                held[i] = co_await locks.make_lock("holdfast-bench:held " + std::to_string(i))
                              .async_acquire(60s, boost::asio::use_awaitable);
                each = us_since(from) / count;
            },
            boost::asio::detached);
    }
    io.run();
    const double bytes = (heap_bytes() - heap_before) / count;
    report({"postgres", "lock", "acquire, one of 10,000 held", each, each});
    constexpr double most_bytes = 1024;
    report(make_row("bytes (not us) of each of them", {bytes, bytes, most_bytes}, 1, "1 KiB"));
    for (lock_handle& one : held) one.async_release([](error_code) {});
    io.restart();
    io.run();
    unpin();
}

void handoff_rows(const std::string& url, const std::string& connection,
                  const std::function<void(const row&)>& report) {
    constexpr int rounds = 5;
    constexpr int per_round = 60;
    for (const bool pinned : {true, false}) {
        const auto ours = [&] { return our_contender(url); };
        const auto floor = [&] { return raw_contender(connection); };
        const auto measured = measure_rounds([&] { return measure_handoff(ours, pinned, per_round); },
                                             [&] { return measure_handoff(floor, pinned, per_round); }, rounds);
        report(make_row(std::string("sync hand-off, ") + (pinned ? "one processor" : "two processors"), measured, 1.3,
                        "pg_advisory_lock in the server"));
    }
}

}  // namespace

void postgres_rows(const std::string& url, const std::function<void(const row&)>& report) {
    const postgres::options opts = postgres::options_from(holdfast::url::parse(url));
    if (!opts.fencing_sequence.empty()) {
        token_rows(url, opts, report);
        return;
    }
    const std::string& connection = opts.connection;
    pair_rows(url, connection, report);
    held_row(url, report);
    handoff_rows(url, connection, report);
    wait_end_rows(
        "postgres", "lock", [&](const provider_settings& settings) { return open(url, settings); }, report);
}

}  // namespace holdfast::bench
