#include "system_rows.hpp"

#include "crowd.hpp"
#include "handoff.hpp"
#include "lock_bodies.hpp"
#include "wait_ends.hpp"

#include <holdfast/backends/system.hpp>
#include <holdfast/core.hpp>

#include <boost/asio/io_context.hpp>

#include <sys/file.h>
#include <sys/sem.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <system_error>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

/// A semaphore in a set of a size like ours, and removed at the end.
class raw_semaphore {
public:
    explicit raw_semaphore(int tickets) : id_(::semget(IPC_PRIVATE, 264, 0600)) {
        if (id_ < 0) throw std::system_error(errno, std::generic_category(), "semget");
        ::semctl(id_, used, SETVAL, tickets);
    }
    raw_semaphore(const raw_semaphore&) = delete;
    raw_semaphore& operator=(const raw_semaphore&) = delete;
    ~raw_semaphore() { ::semctl(id_, 0, IPC_RMID); }

    void acquire() const noexcept { change(-1); }
    void release() const noexcept { change(1); }
    contender as_contender() const {
        return {[this] { acquire(); }, [this] { release(); }};
    }

    /// How much later than after @p limit waits for what is taken end.
    samples late_ends(std::chrono::milliseconds limit, int count) const {
        samples made;
        for (int i = 0; i < count; ++i) {
            sembuf step{used, -1, SEM_UNDO};
            const timespec wait{0, std::chrono::nanoseconds(limit).count()};
            const auto from = std::chrono::steady_clock::now();
            if (::semtimedop(id_, &step, 1, &wait) == 0) throw std::logic_error("the semaphore was not taken");
            made.push_back(
                std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - from - limit).count());
        }
        return made;
    }

private:
    static constexpr int used = 200;
    void change(short by) const noexcept {
        sembuf step{used, by, SEM_UNDO};
        ::semop(id_, &step, 1);
    }
    int id_;
};

/// What the alternative would cost: flock(2) on a file that is kept open, with the look whether it is still there.
class raw_flock {
public:
    explicit raw_flock(std::string path)
        : path_(std::move(path)), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
    raw_flock(const raw_flock&) = delete;
    raw_flock& operator=(const raw_flock&) = delete;
    ~raw_flock() {
        ::close(file_);
        ::unlink(path_.c_str());
    }
    void pair(int how) const noexcept {
        struct stat found {};
        ::flock(file_, how | LOCK_NB);
        ::stat(path_.c_str(), &found);
        ::flock(file_, LOCK_UN);
    }

private:
    const std::string path_;
    const int file_;
};

provider open_in(const std::string& directory, const provider_settings& settings = {}) {
    system::options opts;
    opts.directory = directory;
    return system::make_provider(opts, settings);
}

void pair_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    constexpr const char* floor = "semop pair";
    // A pair takes about as long as reading the clock: many to a sample.
    constexpr int at_once = 64;
    const pairing plan;
    const raw_semaphore raw(1);
    const raw_flock file(directory + ".flock");
    const provider locks = open_in(directory);
    const lock one = locks.make_lock("pair");
    const semaphore tickets = locks.make_semaphore("pair", 4);
    const reader_writer_lock table = locks.make_reader_writer_lock("pair");
    pin_to(0);
    const auto measure = [&](const auto& ours, const auto& other) {
        auto measured = measure_pairs(
            [&] {
                for (int count = 0; count < at_once; ++count) ours();
            },
            [&] {
                for (int count = 0; count < at_once; ++count) other();
            },
            plan);
        measured.p50 /= at_once;
        measured.p99 /= at_once;
        measured.floor_p50 /= at_once;
        return measured;
    };
    const auto raw_pair = [&raw] {
        raw.acquire();
        raw.release();
    };
    report(make_row("system", "lock", "sync pair", measure([&] { one.acquire().release(); }, raw_pair), 1.5, floor));
    report(
        make_row("system", "ticket", "sync pair", measure([&] { tickets.acquire().release(); }, raw_pair), 0, floor));
    report(make_row("system", "read lock", "sync pair", measure([&] { table.acquire_read().release(); }, raw_pair), 0,
                    floor));
    report(make_row("system", "write lock", "sync pair", measure([&] { table.acquire_write().release(); }, raw_pair), 0,
                    floor));
    report(make_row("system", "lock", "sync pair",
                    measure([&] { one.acquire().release(); }, [&] { file.pair(LOCK_EX); }), 0,
                    "flock check unlock, descriptor kept"));
    report(make_row("system", "read lock", "sync pair",
                    measure([&] { table.acquire_read().release(); }, [&] { file.pair(LOCK_SH); }), 0,
                    "flock check unlock, descriptor kept"));

    boost::asio::io_context io(1);
    provider_settings settings;
    settings.executor = io.get_executor();
    const lock async_one = open_in(directory, settings).make_lock("pair");
    // A sample of so many, as above.
    const auto many = [&plan](const auto& take) {
        samples made;
        for (int count = 0; count < plan.per_round; ++count) made.push_back(take());
        return made;
    };
    const auto ours = [&] { return concurrent_pairs({async_one}, io, at_once).front(); };
    const auto floors = [&] {
        const auto from = std::chrono::steady_clock::now();
        for (int count = 0; count < at_once; ++count) raw_pair();
        return us_since(from) / at_once;
    };
    const auto measured = measure_rounds([&] { return many(ours); }, [&] { return many(floors); }, plan.rounds);
    report(make_row("system", "lock", "async pair", measured, 0, floor));
    unpin();
}

contender our_contender(const std::string& directory, const acquire_function& acquire) {
    return contender_of(open_in(directory).make_lock("hand-off"), acquire);
}

void handoff_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    constexpr int rounds = 5;
    constexpr int per_round = 60;
    struct handoff_case {
        const char* style;
        acquire_function acquire;
        double target;
    };
    const handoff_case cases[] = {
        {"sync hand-off, for ever", [](const lock& one) { return one.acquire(); }, 1.3},
        {"sync hand-off", &acquire_blocking, 1.3},
        {"sync hand-off, can be cancelled",
         [stop = std::make_shared<std::stop_source>()](const lock& one) { return one.acquire(60s, stop->get_token()); },
         1.3},
        {"async hand-off", &acquire_async, 0},
    };
    for (const bool pinned : {true, false}) {
        const std::string where = pinned ? ", one processor" : ", two processors";
        for (const handoff_case& each : cases) {
            const raw_semaphore raw(1);
            const auto measured = measure_rounds(
                [&] {
                    return measure_handoff([&] { return our_contender(directory, each.acquire); }, pinned, per_round);
                },
                [&] { return measure_handoff([&] { return raw.as_contender(); }, pinned, per_round); }, rounds);
            report(make_row("system", "lock", each.style + where, measured, each.target, "blocking semop"));
        }
    }
    const auto ours = [&] { return our_contender(directory, cases[0].acquire); };
    const raw_semaphore raw(1);
    const auto crash = measure_rounds([&] { return measure_crash(ours, false, 20); },
                                      [&] { return measure_crash([&] { return raw.as_contender(); }, false, 20); }, 3);
    report(make_row("system", "lock", "killed holder, two processors", crash, 1.5, "blocking semop"));
}

void end_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    wait_end_rows(
        "system", "lock", [&](const provider_settings& settings) { return open_in(directory, settings); }, report);
    constexpr int rounds = 3;
    constexpr int per_round = 25;
    constexpr auto limit = 20ms;
    const auto held = open_in(directory).make_lock("ends").acquire();
    const lock taken = open_in(directory).make_lock("ends");
    const raw_semaphore raw(0);
    report(make_row("system", "lock", "a wait of 20 ms ends late by, sync",
                    measure_rounds([&] { return late_ends(taken, limit, per_round); },
                                   [&] { return raw.late_ends(limit, per_round); }, rounds),
                    0, "semtimedop"));
}

double median_of(std::vector<crowd_result> of, double crowd_result::*what) {
    std::sort(of.begin(), of.end(), [what](const auto& a, const auto& b) { return a.*what < b.*what; });
    return of[of.size() / 2].*what;
}

void crowd_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    constexpr int processes = 64;
    constexpr int tickets = 4;
    // The longest wait is an extreme, which only many rounds tell apart from chance.
    constexpr int rounds = 21;
    constexpr double seconds = 0.3;
    const raw_semaphore raw(tickets);
    const auto ours = [&]() -> contender {
        const semaphore one = open_in(directory).make_semaphore("crowd", tickets);
        auto held = std::make_shared<lock_handle>();
        return {[one, held] { *held = one.acquire(); }, [held] { held->release(); }};
    };
    std::vector<crowd_result> with;
    std::vector<crowd_result> without;
    for (int round = 0; round < rounds; ++round) {
        with.push_back(measure_crowd(ours, processes, seconds));
        without.push_back(measure_crowd([&] { return raw.as_contender(); }, processes, seconds));
    }
    const auto add = [&](const char* style, double crowd_result::*what, double target) {
        const double found = median_of(with, what);
        report(
            {"system", "4 tickets, 64 users", style, found, found, median_of(without, what), target, "blocking semop"});
    };
    add("time for each acquisition", &crowd_result::per_acquisition_us, 1.0 / 0.9);
    add("longest wait", &crowd_result::longest_wait_us, 2);
    add("sleeps for each acquisition (a number)", &crowd_result::sleeps_per_acquisition, 1.5);
}

}  // namespace

void system_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    // One that stays, so that no process of a row finds the sets gone with the last one.
    const provider stays = open_in(directory);
    const auto held = stays.make_lock("stays").acquire();
    pair_rows(directory, report);
    handoff_rows(directory, report);
    end_rows(directory, report);
    crowd_rows(directory, report);
}

}  // namespace holdfast::bench
