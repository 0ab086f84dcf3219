// A second program for tests: takes and gives back locks of servers, as it is told line by line. The .NET program in
// dotnet/servers hears the same lines and answers alike, so that either can stand in either place. One line of answer
// for each line:
//
//   make ID KIND URL NAME        "made". KIND is lock, rw or semaphore:COUNT; NAME is text:HEX (UTF-8), int8:KEY or
//                                int4:KEY,KEY
//   try ID [read]                "got" or "busy"
//   wait ID [read]               "held", once it is
//   state ID                     "held", "lost" or "unknown": what was got last
//   release ID                   "released": what was got last
//   count ID                     how many tickets there are left
//   race ID FOLDER SIDE UNTIL SECONDS [read]
//                                goes in and out of a section that all who race in that folder share; see `race`
//
// and "error ..." whenever that fails.
#include <holdfast/holdfast.hpp>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

/// A lock of any kind.
struct entry {
    std::function<std::optional<holdfast::lock_handle>(bool reading, holdfast::timeout)> acquire;
    std::function<int()> count;
    std::vector<holdfast::lock_handle> held;

    holdfast::lock_handle& last() {
        if (held.empty()) throw std::runtime_error("nothing is held");
        return held.back();
    }
};

std::string take(std::string_view& rest, char end) {
    const auto at = rest.find(end);
    std::string first(rest.substr(0, at));
    rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
    return first;
}

std::string from_hex(std::string_view digits) {
    std::string text;
    for (std::size_t at = 0; at + 1 < digits.size(); at += 2) {
        text += static_cast<char>(std::stoi(std::string(digits.substr(at, 2)), nullptr, 16));
    }
    return text;
}

std::string name_of(std::string_view given) {
    const std::string form = take(given, ':');
    if (form == "text") return from_hex(given);
#if defined(HOLDFAST_WITH_POSTGRES)
    if (form == "int8") return holdfast::postgres::key_name(std::int64_t{std::stoll(std::string(given))});
    const int first = std::stoi(take(given, ','));
    if (form == "int4") return holdfast::postgres::key_name(std::int32_t{first}, std::stoi(std::string(given)));
#endif
    throw std::invalid_argument("names are not " + form);
}

entry make(const holdfast::provider& provider, std::string_view kind, const std::string& name) {
    const std::string first = take(kind, ':');
    if (first == "lock") {
        return {[lock = provider.make_lock(name)](bool, holdfast::timeout limit) { return lock.try_acquire(limit); }};
    }
    if (first == "rw") {
        return {[lock = provider.make_reader_writer_lock(name)](bool reading, holdfast::timeout limit) {
            return reading ? lock.try_acquire_read(limit) : lock.try_acquire_write(limit);
        }};
    }
    const auto made = provider.make_semaphore(name, std::stoi(std::string(kind)));
    return {[made](bool, holdfast::timeout limit) { return made.try_acquire(limit); },
            [made] { return made.current_count(); }};
}

const char* text_of(holdfast::held_state state) {
    switch (state) {
        case holdfast::held_state::held: return "held";
        case holdfast::held_state::lost: return "lost";
        case holdfast::held_state::unknown: return "unknown";
        case holdfast::held_state::released: break;
    }
    return "released";
}

/// A section that nothing but the lock protects, in a way that two languages have in common: files. "marker" exists
/// while a writer is in; "count" says how many writers have been in, of which side the last one was, and how often that
/// changed.
struct section {
    const std::string folder;
    const std::string side;
    long overlaps = 0;

    struct record {
        long entries = -1;
        std::string last;
        long changes = -1;

        friend bool operator==(const record&, const record&) = default;
    };

    record read() const {
        record found;
        std::ifstream(folder + "/count") >> found.entries >> found.last >> found.changes;
        return found;
    }

    void write() {
        const std::string marker = folder + "/marker";
        const int made = ::open(marker.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (made < 0) ++overlaps;
        const record before = read();
        linger(before.entries);
        if (read() != before) ++overlaps;
        std::ofstream(folder + "/count") << before.entries + 1 << ' ' << side << ' '
                                         << before.changes + (before.last == side ? 0 : 1);
        ::close(made);
        if (::unlink(marker.c_str()) != 0) ++overlaps;
    }

    void look() {
        const record before = read();
        if (::access((folder + "/marker").c_str(), F_OK) == 0) ++overlaps;
        linger(before.entries);
        if (::access((folder + "/marker").c_str(), F_OK) == 0 || read() != before) ++overlaps;
    }

    /// Gives others the time to come in, if the lock lets them; now and then so long that they give up waiting.
    static void linger(long entries) {
        if (entries % 32 == 0) std::this_thread::sleep_for(4ms);
        ::sched_yield();
    }
};

/** Until there have been UNTIL writers, or SECONDS are over: every fourth time by one try, every fourth within 2 ms,
   else for as long as it takes.

    @return "raced" and three numbers: how often it was in, how often it was refused, how many overlaps it saw
*/
std::string race(const entry& lock, std::istream& arguments) {
    std::string folder;
    std::string side;
    std::string mode;
    long limit = 0;
    int seconds = 0;
    arguments >> folder >> side >> limit >> seconds >> mode;
    section shared{folder, side};
    const bool reading = mode == "read";
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    const holdfast::timeout timeouts[] = {holdfast::timeout::infinite(), holdfast::timeout::zero(),
                                          holdfast::timeout::infinite(), 2ms};
    long entries = 0;
    long refusals = 0;
    for (long turn = 0; shared.read().entries < limit && std::chrono::steady_clock::now() < until; ++turn) {
        auto held = lock.acquire(reading, timeouts[turn % 4]);
        if (!held) {
            ++refusals;
            continue;
        }
        reading ? shared.look() : shared.write();
        held->release();
        ++entries;
    }
    return "raced " + std::to_string(entries) + ' ' + std::to_string(refusals) + ' ' + std::to_string(shared.overlaps);
}

class peer {
public:
    std::string answer(const std::string& line) {
        std::istringstream words(line);
        std::string what;
        std::string id;
        words >> what >> id;
        if (what == "make") {
            std::string kind;
            std::string url;
            std::string name;
            words >> kind >> url >> name;
            auto provider = providers_.find(url);
            if (provider == providers_.end()) provider = providers_.emplace(url, holdfast::open(url)).first;
            locks_[id] = make(provider->second, kind, name_of(name));
            return "made";
        }
        entry& lock = locks_.at(id);
        if (what == "race") return race(lock, words);
        if (what == "count") return std::to_string(lock.count());
        if (what == "state") return text_of(lock.last().state());
        if (what == "release") {
            lock.last().release();
            lock.held.pop_back();
            return "released";
        }
        std::string mode;
        words >> mode;
        const bool waits = what == "wait";
        auto got = lock.acquire(mode == "read", waits ? holdfast::timeout::infinite() : holdfast::timeout::zero());
        if (!got) return "busy";
        lock.held.push_back(std::move(*got));
        return waits ? "held" : "got";
    }

private:
    std::map<std::string, holdfast::provider> providers_;
    std::map<std::string, entry> locks_;
};

}  // namespace

int main() {
    peer here;
    std::puts("ready Holdfast");
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        std::string answer;
        try {
            answer = here.answer(line);
        } catch (const std::exception& failed) {
            answer = std::string("error ") + failed.what();
        }
        std::puts(answer.c_str());
        std::fflush(stdout);
    }
    return 0;
}
