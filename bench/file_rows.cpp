#include "file_rows.hpp"

#include "handoff.hpp"
#include "lock_bodies.hpp"
#include "raw_file.hpp"
#include "startup.hpp"
#include "wait_ends.hpp"

#include <holdfast/holdfast.hpp>

#include <boost/asio/io_context.hpp>

#include <memory>

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

provider make_provider(const std::string& directory, bool keep, const provider_settings& settings = {}) {
    file::options options;
    options.directory = directory;
    options.keep_files = keep;
    return file::make_provider(options, settings);
}

struct raw_pair {
    raw_file& file;
    bool keep;
    void operator()() const {
        file.acquire();
        keep ? file.release_kept() : file.release_deleting();
    }
};

void pair_rows(const std::string& directory, bool keep, const std::function<void(const row&)>& report) {
    const pairing plan;
    const std::string kind = keep ? "lock, kept file" : "lock, deleted file";
    const std::string floor = keep ? "open flock check unlock close" : "open flock check unlink unlock close";
    pin_to(0);
    const lock one = make_provider(directory, keep).make_lock("pair");
    raw_file raw(std::string(one.mapped_name()) + ".raw");
    const raw_pair raw_body{raw, keep};
    report(make_row("file", kind, "sync pair", measure_pairs([&] { one.acquire().release(); }, raw_body, plan), 1.15,
                    floor));
    if (keep) {
        const auto on_kept_descriptor = [&raw] {
            raw.acquire_on_kept_descriptor();
            raw.release_on_kept_descriptor();
        };
        report(make_row("file", kind, "sync pair",
                        measure_pairs([&] { one.acquire().release(); }, on_kept_descriptor, plan), 0,
                        "flock check unlock, descriptor kept"));
    }

    boost::asio::io_context io(1);
    provider_settings settings;
    settings.executor = io.get_executor();
    const lock async_one = make_provider(directory, keep, settings).make_lock("pair");
    const auto async = measure_rounds([&] { return coroutine_pairs(async_one, io, plan.per_round); },
                                      [&] { return time_each(raw_body, plan.per_round); }, plan.rounds);
    report(make_row("file", kind, "async pair", async, 1.3, floor));
    unpin();
}

contender raw_contender(const std::string& path, bool keep, bool in_time = false) {
    auto raw = std::make_shared<raw_file>(path);
    return {[raw, in_time] { in_time ? raw->acquire_in_time() : raw->acquire(); },
            [raw, keep] { keep ? raw->release_kept() : raw->release_deleting(); }};
}

contender our_contender(const std::string& directory, bool keep, acquire_function acquire) {
    return contender_of(make_provider(directory, keep).make_lock("hand-off"), std::move(acquire));
}

lock_handle acquire_for_ever(const lock& target) {
    return target.acquire();
}

struct handoff_case {
    const char* kind;
    const char* style;
    bool keep;
    std::function<contender()> make;
    double target;
};

void handoff_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    constexpr int rounds = 5;
    constexpr int per_round = 60;
    const std::string raw_path = make_provider(directory, true).make_lock("hand-off").mapped_name().data();
    const handoff_case cases[] = {
        {"lock, kept file", "sync hand-off", true, [&] { return our_contender(directory, true, acquire_blocking); },
         1.5},
        {"lock, kept file", "sync hand-off, for ever", true,
         [&] { return our_contender(directory, true, acquire_for_ever); }, 1.5},
        {"lock, kept file", "async hand-off", true, [&] { return our_contender(directory, true, acquire_async); }, 0},
        {"lock, deleted file", "sync hand-off", false,
         [&] { return our_contender(directory, false, acquire_blocking); }, 1.5},
        {"lock, deleted file", "sync hand-off, for ever", false,
         [&] { return our_contender(directory, false, acquire_for_ever); }, 1.5},
        {"lock, deleted file", "async hand-off", false, [&] { return our_contender(directory, false, acquire_async); },
         0},
    };
    for (const bool pinned : {true, false}) {
        const std::string where = pinned ? ", one processor" : ", two processors";
        for (const handoff_case& each : cases) {
            const auto floor = [&] { return raw_contender(raw_path + ".raw", each.keep); };
            const auto measured = measure_rounds([&] { return measure_handoff(each.make, pinned, per_round); },
                                                 [&] { return measure_handoff(floor, pinned, per_round); }, rounds);
            report(make_row("file", each.kind, each.style + where, measured, each.target, "blocking flock"));
        }
        // What ends in time cannot stand in flock, which has no timeout: what that costs at the least.
        for (const bool keep : {true, false}) {
            const auto ours = [&] { return our_contender(directory, keep, acquire_blocking); };
            const auto floor = [&] { return raw_contender(raw_path + ".raw", keep, true); };
            const auto measured = measure_rounds([&] { return measure_handoff(ours, pinned, per_round); },
                                                 [&] { return measure_handoff(floor, pinned, per_round); }, rounds);
            report(make_row("file", keep ? "lock, kept file" : "lock, deleted file", "sync hand-off" + where, measured,
                            0, "inotify, ppoll, flock"));
        }
    }
    const auto ours = [&] { return our_contender(directory, true, acquire_blocking); };
    const auto floor = [&] { return raw_contender(raw_path + ".raw", true); };
    const auto crash = measure_rounds([&] { return measure_crash(ours, false, 20); },
                                      [&] { return measure_crash(floor, false, 20); }, 3);
    report(make_row("file", "lock, kept file", "killed holder, two processors", crash, 1.5, "blocking flock"));
}

}  // namespace

void file_rows(const std::string& directory, const std::function<void(const row&)>& report) {
    pair_rows(directory, false, report);
    pair_rows(directory, true, report);
    handoff_rows(directory, report);
    for (const bool keep : {true, false}) {
        const auto open = [&](const provider_settings& settings) { return make_provider(directory, keep, settings); };
        wait_end_rows("file", keep ? "lock, kept file" : "lock, deleted file", open, report);
    }
}

void startup_rows(const std::string& directory, const std::string& command,
                  const std::function<void(const row&)>& report) {
    pin_to(0);
    const auto ours = [&] { run_program({command, "run", "--url", "file://" + directory, "start-up", "--", "true"}); };
    const auto floor = [&] { run_program({"flock", directory + "/start-up.raw", "true"}); };
    report(make_row("file", "command", "holdfast run true", measure_pairs(ours, floor, {.rounds = 5, .per_round = 60}),
                    1.5, "flock FILE true"));
    unpin();
}

}  // namespace holdfast::bench
