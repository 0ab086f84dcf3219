#include "redis_rows.hpp"

#include "handoff.hpp"
#include "lock_bodies.hpp"
#include "raw_redis.hpp"
#include "redis_renewals.hpp"
#include "wait_ends.hpp"

#include <holdfast/backends/redis.hpp>
#include <holdfast/url.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <list>
#include <memory>
#include <random>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

provider make_provider(const std::string& text, const provider_settings& settings = {}) {
    registry all;
    redis::add_to(all);
    return all.open(text, settings);
}

row make_row(std::string style, const paired_result& measured, double target, std::string floor) {
    return {"redis", "lock",          std::move(style), measured.p50, measured.p99, measured.floor_p50,
            target,  std::move(floor)};
}

/// Where the server runs: a wake-up costs by that. Only where it is on this machine, and may be placed.
class server_place {
public:
    explicit server_place(const std::string& text) : process_(raw_redis(text).server_process()) {}
    server_place(const server_place&) = delete;
    server_place& operator=(const server_place&) = delete;
    ~server_place() { move(-1); }

    bool move(int processor) const { return process_ > 0 && place_process(process_, "redis-server", processor); }

private:
    const int process_;
};

void pair_rows(const std::string& text, const std::function<void(const row&)>& report) {
    const pairing plan;
    pin_to(0);
    raw_redis raw(text);
    hiredis_client library(text);
    boost::asio::io_context io(1);
    hiredis_coroutine coroutine(text, io);
    const auto library_pairs = [&] { return time_each([&library] { library.pair(); }, plan.per_round); };
    struct floor {
        const char* name;
        std::function<samples()> pairs;
        double target;
    };
    // This one is not to be had by a client that does not know its bytes beforehand, nor looks at what it is told.
    const floor least{"SET NX PX, EVALSHA, bytes made beforehand",
                      [&] {
                          return time_each(
                              [&raw] {
                                  raw.try_acquire();
                                  raw.release();
                              },
                              plan.per_round);
                      },
                      0};
    const floor sync_floors[] = {{"SET NX PX, EVALSHA by hiredis", library_pairs, 1.15}, least};
    const floor async_floors[] = {{"SET NX PX, EVALSHA in a coroutine of Asio, by hiredis",
                                   [&] { return coroutine.pairs(plan.per_round); }, 1.15},
                                  {"SET NX PX, EVALSHA by hiredis, blocking", library_pairs, 0},
                                  least};
    const server_place server(text);
    const lock sync_one = make_provider(text).make_lock("holdfast-bench:pair");
    const provider locks = make_provider(text, {.executor = io.get_executor()});
    const lock one = locks.make_lock("holdfast-bench:pair");
    for (const int processor : {0, 1}) {
        const bool placed = server.move(processor);
        const std::string where = !placed          ? ""
                                  : processor == 0 ? ", server beside it"
                                                   : ", server on another processor";
        const auto ours_sync = [&] { return time_each([&] { sync_one.acquire().release(); }, plan.per_round); };
        for (const floor& below : sync_floors) {
            report(make_row("sync pair" + where, measure_rounds(ours_sync, below.pairs, plan.rounds), below.target,
                            below.name));
        }
        const auto ours_async = [&] { return coroutine_pairs(one, io, plan.per_round); };
        for (const floor& below : async_floors) {
            report(make_row("async pair" + where, measure_rounds(ours_async, below.pairs, plan.rounds), below.target,
                            below.name));
        }
        if (!placed) break;
    }

    constexpr int many = 1000;
    constexpr int each_makes = 20;
    std::vector<lock> names;
    names.reserve(many);
    for (int number = 0; number < many; ++number) {
        names.push_back(locks.make_lock("holdfast-bench:" + std::to_string(number)));
    }
    const auto concurrent = measure_rounds([&] { return concurrent_pairs(names, io, each_makes); }, library_pairs, 5);
    report(make_row("async pair, 1000 at once", concurrent, 0, "SET NX PX, EVALSHA by hiredis, one by one"));
    report(make_row("async pair, 1000 at once", {concurrent.p50, concurrent.p99, 10}, 1, "10 us: 100,000 a second"));
    unpin();
}

contender our_contender(const std::string& text) {
    return contender_of(make_provider(text).make_lock("holdfast-bench:hand-off"), acquire_blocking);
}

contender raw_contender(const std::string& text) {
    auto asks = std::make_shared<raw_redis>(text);
    auto hears = std::make_shared<raw_redis>(text);
    hears->subscribe();
    const auto acquire = [asks, hears] {
        while (!asks->try_acquire()) hears->await_message();
    };
    return {acquire, [asks] { asks->release(); }};
}

void handoff_rows(const std::string& text, const std::function<void(const row&)>& report) {
    const server_place server(text);
    for (const bool pinned : {true, false}) {
        server.move(0);
        const auto measured =
            measure_rounds([&] { return measure_handoff([&] { return our_contender(text); }, pinned, 60); },
                           [&] { return measure_handoff([&] { return raw_contender(text); }, pinned, 60); }, 15);
        const std::string style = pinned ? "sync hand-off, one processor" : "sync hand-off, two processors";
        report(make_row(style, measured, 1.3, "subscribe, publish, try"));
        report(make_row(style + ", 1 in 100", {measured.p99, measured.p99, measured.p50}, 10, "its own median"));
    }
}

/// What a waiter does that hears of nothing: .NET's, whose bounds these are.
contender polling_contender(const std::string& text) {
    auto asks = std::make_shared<raw_redis>(text);
    const auto acquire = [asks] {
        std::minstd_rand random(std::random_device{}());
        while (!asks->try_acquire()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(10, 800)(random)));
        }
    };
    return {acquire, [asks] { asks->release(); }};
}

void polling_row(const std::string& text, const std::function<void(const row&)>& report) {
    const auto measured =
        measure_rounds([&] { return measure_handoff([&] { return our_contender(text); }, true, 60); },
                       [&] { return measure_handoff([&] { return polling_contender(text); }, true, 12); }, 3);
    report(make_row("sync hand-off, beside polling", measured, 0, "asking every 10 to 800 ms, as .NET"));
}

void renewal_rows(const std::string& text, const std::function<void(const row&)>& report) {
    constexpr int count = 100'000;
    constexpr auto cadence = 9000ms;
    constexpr double most_of_a_core = 0.03;
    constexpr double most_bytes = 512;
    boost::asio::io_context io(1);
    const std::string separator = text.find('?') == std::string::npos ? "?" : "&";
    const provider locks = make_provider(text + separator + "extension_cadence=9s", {.executor = io.get_executor()});
    const renewal_cost cost = measure_renewals(locks, io, count, cadence);
    if (!cost.held) return;
    const double budget = std::chrono::duration<double, std::micro>(cadence).count() * most_of_a_core / count;
    report(make_row("renewal, 100000 held, every 9 s", {cost.per_renewal_us, cost.per_renewal_us, budget}, 1,
                    "processor time that is 3 % of a core"));
    report(
        make_row("bytes (not us) of each of them", {cost.bytes_a_lock, cost.bytes_a_lock, most_bytes}, 1, "512 bytes"));
}

std::vector<std::string> addresses_of(const url& all) {
    std::vector<std::string> made;
    std::istringstream text(all.authority());
    for (std::string each; std::getline(text, each, ',');) made.push_back(each);
    return made;
}

/// With several servers in the URL: what a majority costs beside the first of them alone.
void majority_rows(const std::string& text, const std::function<void(const row&)>& report) {
    const url all = url::parse(text);
    const std::vector<std::string> addresses = addresses_of(all);
    const std::string first = "redis://" + addresses.front();
    const std::string servers = std::to_string(addresses.size());
    const pairing plan;
    pin_to(0);
    std::list<raw_redis> raw;
    for (const std::string& each : addresses) raw.emplace_back("redis://" + each);
    const auto at_once = [&raw] {
        for (raw_redis& each : raw) each.begin_acquire();
        for (raw_redis& each : raw) each.await_answer();
        for (raw_redis& each : raw) each.begin_release();
        for (raw_redis& each : raw) each.await_answer();
    };
    {
        const lock many = make_provider(text).make_lock("holdfast-bench:pair");
        const lock one = make_provider(first).make_lock("holdfast-bench:pair-of-one");
        report(make_row("sync pair, " + servers + " servers",
                        measure_pairs([&] { many.acquire().release(); }, [&] { one.acquire().release(); }, plan), 2,
                        "ours, one server"));
        report(make_row("sync pair, " + servers + " servers",
                        measure_pairs([&] { many.acquire().release(); }, at_once, plan), 0,
                        "SET NX PX, EVALSHA to all of them at once"));
    }
    boost::asio::io_context io(1);
    const lock many = make_provider(text, {.executor = io.get_executor()}).make_lock("holdfast-bench:pair");
    const lock one = make_provider(first, {.executor = io.get_executor()}).make_lock("holdfast-bench:pair-of-one");
    report(make_row("async pair, " + servers + " servers",
                    measure_rounds([&] { return coroutine_pairs(many, io, plan.per_round); },
                                   [&] { return coroutine_pairs(one, io, plan.per_round); }, plan.rounds),
                    2, "ours, one server"));
    unpin();
}

}  // namespace

void redis_rows(const std::string& text, const std::function<void(const row&)>& report) {
    if (url::parse(text).authority().find(',') != std::string::npos) {
        majority_rows(text, report);
        return;
    }
    pair_rows(text, report);
    handoff_rows(text, report);
    polling_row(text, report);
    const auto open = [&](const provider_settings& settings) { return make_provider(text, settings); };
    wait_end_rows("redis", "lock", open, report);
    renewal_rows(text, report);
}

}  // namespace holdfast::bench
