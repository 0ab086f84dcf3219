#include "redis_rows.hpp"

#include "handoff.hpp"
#include "lock_bodies.hpp"
#include "redis_renewals.hpp"
#include "wait_ends.hpp"

#include <holdfast/backends/redis.hpp>
#include <holdfast/url.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <random>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

provider make_provider(const std::string& text, const provider_settings& settings = {}) {
    registry all;
    redis::add_to(all);
    return all.open(text, settings);
}

row make_row(std::string style, const paired_result& measured, double target, std::string floor) {
    return {"redis", "lock",          std::move(style), measured.p50, measured.p99, measured.floor_p50,
            target,  std::move(floor)};
}

std::string command(const std::vector<std::string>& words) {
    std::string made = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) made += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return made;
}

// Of the same length and the same effect as ours.
constexpr const char* raw_key = "holdfast-bench:raw";
constexpr const char* raw_id = "machine_12345_0123456789abcdef0123456789abcdef_raw";
constexpr const char* raw_release =
    "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('del', KEYS[1]) "
    "redis.pcall('publish', ARGV[2], '') return 1";

/// What the same exchanges cost at the least: a blocking socket, bytes made beforehand, replies of one line.
class raw_redis {
public:
    explicit raw_redis(const std::string& text) : socket_(io_) {
        const std::string where = url::parse(text).authority();
        const auto colon = where.rfind(':');
        const std::string port = colon == std::string::npos ? "6379" : where.substr(colon + 1);
        boost::asio::connect(socket_, tcp::resolver(io_).resolve(where.substr(0, colon), port));
        socket_.set_option(tcp::no_delay(true));
        ask(command({"SCRIPT", "LOAD", raw_release}));
        const std::string hash = line_;
        acquire_ = command({"SET", raw_key, raw_id, "NX", "PX", "30000"});
        release_ = command({"EVALSHA", hash, "1", raw_key, raw_id, raw_key});
    }

    bool try_acquire() { return ask(acquire_)[0] == '+'; }
    void release() { ask(release_); }
    // In two parts, so that several servers work at the same time.
    void begin_acquire() { boost::asio::write(socket_, boost::asio::buffer(acquire_)); }
    void begin_release() { boost::asio::write(socket_, boost::asio::buffer(release_)); }
    void await_answer() { read_line(); }
    void subscribe() {
        ask(command({"SUBSCRIBE", raw_key}));
        for (int lines = 0; lines < 5; ++lines) read_line();
    }
    void await_message() {
        for (int lines = 0; lines < 7; ++lines) read_line();
    }

    /// -1 where it does not tell.
    int server_process() {
        boost::asio::write(socket_, boost::asio::buffer(command({"INFO", "server"})));
        int found = -1;
        read_line();
        if (line_[0] != '$') return found;
        constexpr std::string_view field = "process_id:";
        for (auto left = std::stol(line_.substr(1)) + 2; left > 0; left -= static_cast<long>(line_.size()) + 2) {
            read_line();
            if (line_.starts_with(field)) found = std::stoi(line_.substr(field.size()));
        }
        return found;
    }

private:
    const std::string& ask(const std::string& bytes) {
        boost::asio::write(socket_, boost::asio::buffer(bytes));
        read_line();
        // The one reply with a second line is SCRIPT LOAD's.
        if (line_[0] == '$' && line_ != "$-1") read_line();
        return line_;
    }
    void read_line() {
        const auto size = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(buffer_), "\r\n");
        line_ = buffer_.substr(0, size - 2);
        buffer_.erase(0, size);
    }

    boost::asio::io_context io_;
    tcp::socket socket_;
    std::string buffer_;
    std::string line_;
    std::string acquire_;
    std::string release_;
};

/// What the same exchanges cost with the client library: hiredis' blocking calls.
class hiredis_client {
public:
    explicit hiredis_client(const std::string& text) {
        const std::string where = url::parse(text).authority();
        const auto colon = where.rfind(':');
        const int port = colon == std::string::npos ? 6379 : std::stoi(where.substr(colon + 1));
        context_.reset(::redisConnect(where.substr(0, colon).c_str(), port));
        if (context_ == nullptr || context_->err != 0) throw error(errc::unavailable, "hiredis cannot connect");
        hash_ = text_of({"SCRIPT", "LOAD", raw_release});
    }

    void pair() {
        ask({"SET", raw_key, raw_id, "NX", "PX", "30000"});
        ask({"EVALSHA", hash_, "1", raw_key, raw_id, raw_key});
    }

private:
    struct closer {
        void operator()(redisContext* context) const noexcept { ::redisFree(context); }
        void operator()(redisReply* reply) const noexcept { ::freeReplyObject(reply); }
    };
    using answer = std::unique_ptr<redisReply, closer>;

    answer ask(std::initializer_list<std::string_view> words) {
        std::array<const char*, 6> texts;
        std::array<std::size_t, 6> sizes;
        std::size_t count = 0;
        for (const std::string_view each : words) {
            texts[count] = each.data();
            sizes[count++] = each.size();
        }
        answer made(static_cast<redisReply*>(
            ::redisCommandArgv(context_.get(), static_cast<int>(count), texts.data(), sizes.data())));
        if (made == nullptr) throw error(errc::unavailable, context_->errstr);
        return made;
    }
    std::string text_of(std::initializer_list<std::string_view> words) {
        const answer made = ask(words);
        return {made->str, made->len};
    }

    std::unique_ptr<redisContext, closer> context_;
    std::string hash_;
};

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
    struct floor {
        const char* name;
        std::function<void()> pair;
        double target;
    };
    // The second is not to be had by a client that does not know its bytes beforehand, nor looks at what it is told.
    const floor floors[] = {{"SET NX PX, EVALSHA by hiredis", [&library] { library.pair(); }, 1.15},
                            {"SET NX PX, EVALSHA, bytes made beforehand",
                             [&raw] {
                                 raw.try_acquire();
                                 raw.release();
                             },
                             0}};
    const server_place server(text);
    const lock sync_one = make_provider(text).make_lock("holdfast-bench:pair");
    boost::asio::io_context io(1);
    const provider locks = make_provider(text, {.executor = io.get_executor()});
    const lock one = locks.make_lock("holdfast-bench:pair");
    for (const int processor : {0, 1}) {
        const bool placed = server.move(processor);
        const std::string where = !placed          ? ""
                                  : processor == 0 ? ", server beside it"
                                                   : ", server on another processor";
        for (const floor& below : floors) {
            report(make_row("sync pair" + where, measure_pairs([&] { sync_one.acquire().release(); }, below.pair, plan),
                            below.target, below.name));
        }
        for (const floor& below : floors) {
            report(make_row("async pair" + where,
                            measure_rounds([&] { return coroutine_pairs(one, io, plan.per_round); },
                                           [&] { return time_each(below.pair, plan.per_round); }, plan.rounds),
                            below.target, below.name));
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
    const auto concurrent = measure_rounds([&] { return concurrent_pairs(names, io, each_makes); },
                                           [&] { return time_each(floors[0].pair, 100); }, 5);
    report(make_row("async pair, 1000 at once", concurrent, 0, std::string(floors[0].name) + ", one by one"));
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
                           [&] { return measure_handoff([&] { return raw_contender(text); }, pinned, 60); }, 5);
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
