// What `list` and `examine` tell of a Redis server.
#include <backends/redis/backend.hpp>
#include <names/text.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <set>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

using grade = finding::grade;
using status = lock_entry::status;

/// One server, asked one thing after the other by the calling thread.
class questioner {
public:
    questioner(const server& to, resolver& names, boottime::time_point until)
        : server_(to), channel_(to, names), until_(until) {}

    /// Throws @ref error when there is no answer, or an error.
    reply_value ask(const std::vector<std::string_view>& words) {
        // Somebody looks at what comes of it: that a server refuses, or is not there, is the answer, the first time.
        request one;
        one.first = format(words);
        auto now = boottime::now();
        channel_.submit(one, now);
        channel_.drive(now, false);
        while (!one.done) {
            if (now >= until_) {
                channel_.forget(one);
                throw error(errc::unavailable, "redis: " + server_.text() + " does not answer in time");
            }
            const auto next = std::min(until_, channel_.again_at());
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now);
            pollfd polled{channel_.descriptor(), channel_.poll_events(), 0};
            ::poll(&polled, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1000)));
            now = boottime::now();
            channel_.drive(now, true);
        }
        if (one.answer == nullptr) throw error(one.why.code, "redis: " + one.why.text);
        return std::move(one.answer);
    }
    std::string text(const std::vector<std::string_view>& words) {
        const reply_value answer = ask(words);
        return std::string(text_of(*answer));
    }
    long long number(const std::vector<std::string_view>& words) {
        const reply_value answer = ask(words);
        return is_integer(*answer) ? integer_of(*answer) : 0;
    }
    std::vector<std::string> texts(const std::vector<std::string_view>& words) {
        const reply_value answer = ask(words);
        std::vector<std::string> found;
        for (std::size_t at = 0; is_array(*answer) && at < size_of(*answer); ++at) {
            found.emplace_back(text_of(element_of(*answer, at)));
        }
        return found;
    }

private:
    const server& server_;
    channel channel_;
    const boottime::time_point until_;
};

/// Until when one of @p left may be asked, so that one that is silent leaves time for the others.
boottime::time_point share(boottime::time_point until, std::size_t left) {
    const auto now = boottime::now();
    return now + (until - now) / static_cast<int>(left);
}

bool ends_with(std::string_view text, std::string_view end) noexcept {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

constexpr std::string_view waiting_suffix = "_WRITERWAITING";

/// More than any id of .NET's or ours: a host's name, a process, digits and suffixes. Longer values are not read.
constexpr std::size_t longest_id = 512;

bool is_control(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

/// Of `MACHINE_PROCESS_32DIGITS`, as .NET and we write ids; false for anything else.
bool take_apart(std::string_view id, std::string& machine, std::string& process) {
    if (id.size() > longest_id || std::any_of(id.begin(), id.end(), is_control)) return false;
    if (names::find_invalid_utf8(id) != std::string_view::npos) return false;
    if (ends_with(id, waiting_suffix)) id.remove_suffix(waiting_suffix.size());
    if (ends_with(id, owner_suffix)) id.remove_suffix(owner_suffix.size());
    const auto last = id.rfind('_');
    if (last == std::string_view::npos || last == 0 || id.size() - last - 1 != 32) return false;
    if (id.substr(last + 1).find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
    const auto middle = id.rfind('_', last - 1);
    if (middle == std::string_view::npos) return false;
    machine = id.substr(0, middle);
    process = id.substr(middle + 1, last - middle - 1);
    return !process.empty() && process.find_first_not_of("0123456789") == std::string::npos;
}

std::string milliseconds_text(long long count) {
    return count < 0 ? "for ever" : std::to_string(count) + "ms";
}

lock_entry entry_of(const std::string& key, const char* access, std::string_view id, long long remaining) {
    lock_entry made;
    made.key = key;
    made.access = access;
    std::string machine;
    std::string process;
    if (take_apart(id, machine, process)) {
        made.holder = "process " + process + " on " + machine;
        made.details.emplace_back("host", machine);
        made.details.emplace_back("pid", process);
        made.details.emplace_back("id", id);
        if (ends_with(id, waiting_suffix)) made.state = status::waiting;
    } else {
        // An application's data, perhaps a secret, which belongs in nobody's log.
        made.holder = "something that is no lock";
    }
    made.details.emplace_back("remaining", milliseconds_text(remaining));
    return made;
}

constexpr std::size_t page_size = 1000;

/// Collects what stands at one key.
class collector {
public:
    /// @param certain an id of another form is one as well
    collector(questioner& server, const std::string& key, bool certain, std::vector<lock_entry>& found)
        : server_(server), key_(key), certain_(certain), found_(found) {}

    void look() {
        const std::string type = server_.text({"TYPE", key_});
        if (type == "string") {
            look_at_value();
        } else if (type == "set" && ends_with(key_, ".readers")) {
            look_at_readers();
        } else if (type == "zset") {
            look_at_tickets();
        }
    }

private:
    /// What is told twice is one.
    void add(const char* access, std::string_view id, long long remaining) {
        std::string machine;
        std::string process;
        const bool known = certain_ || take_apart(id, machine, process);
        if (known && told_.emplace(id).second) found_.push_back(entry_of(key_, access, id, remaining));
    }

    /// Some members. Null, and said so, where they are more than we read: others' keys shall not hide the rest.
    reply_value members(const std::vector<std::string_view>& words) {
        try {
            return server_.ask(words);
        } catch (const error& refused) {
            if (refused.boost_code() != errc::protocol) throw;
            lock_entry& one = found_.emplace_back();
            one.key = key_;
            one.details.emplace_back("remark", "a member is too large to be read; there may be locks among the others");
            return nullptr;
        }
    }

    void look_at_value() {
        // One that is longer keeps everybody from getting the lock all the same.
        const std::string id = server_.text({"GETRANGE", key_, "0", std::to_string(longest_id)});
        add("exclusive", id, server_.number({"PTTL", key_}));
    }

    void look_at_readers() {
        const long long remaining = server_.number({"PTTL", key_});
        std::string cursor = "0";
        do {
            const reply_value page = members({"SSCAN", key_, cursor, "COUNT", std::to_string(page_size)});
            if (page == nullptr || !is_array(*page) || size_of(*page) < 2) return;
            cursor = text_of(element_of(*page, 0));
            const redisReply& ids = element_of(*page, 1);
            for (std::size_t at = 0; at < size_of(ids); ++at) add("read", text_of(element_of(ids, at)), remaining);
        } while (cursor != "0");
    }

    /// By their ends, as long as a ticket may have left: few of others' sets have such scores. One that is renewed
    /// meanwhile comes again.
    void look_at_tickets() {
        const auto time = server_.texts({"TIME"});
        if (time.size() < 2) return;
        const double now = std::strtod(time[0].c_str(), nullptr) * 1000 + std::strtod(time[1].c_str(), nullptr) / 1000;
        // The greatest expiry, and a minute for those that are granted while we look.
        const std::string until = std::to_string(now + std::numeric_limits<int>::max() + 60000);
        std::string from = std::to_string(now);
        for (std::size_t skipped = 0;;) {
            const reply_value page = members({"ZRANGEBYSCORE", key_, from, until, "WITHSCORES", "LIMIT",
                                              std::to_string(skipped), std::to_string(page_size)});
            if (page == nullptr || !is_array(*page)) return;
            std::string_view end;
            for (std::size_t at = 0; at + 1 < size_of(*page); at += 2) {
                end = text_of(element_of(*page, at + 1));
                const double remaining = std::strtod(std::string(end).c_str(), nullptr) - now;
                if (remaining > 0) add("ticket", text_of(element_of(*page, at)), static_cast<long long>(remaining));
            }
            if (size_of(*page) < 2 * page_size) return;
            // More than a page may end at the same time.
            skipped = end == from ? skipped + page_size : 0;
            from = end;
        }
    }

    questioner& server_;
    const std::string& key_;
    const bool certain_;
    std::vector<lock_entry>& found_;
    std::set<std::string, std::less<>> told_;
};

/// For SCAN's pattern: the prefix itself, whatever is in it.
std::string pattern_of(const std::string& prefix) {
    std::string made;
    for (const char c : prefix) {
        if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') made += '\\';
        made += c;
    }
    return made + "*";
}

/// The `name:value` lines of INFO, and of CLUSTER INFO.
std::map<std::string, std::string> info_of(const std::string& text) {
    std::map<std::string, std::string> found;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find("\r\n", at), text.size());
        const std::string line = text.substr(at, end - at);
        const auto colon = line.find(':');
        if (colon != std::string::npos) found[line.substr(0, colon)] = line.substr(colon + 1);
        at = end + 2;
    }
    return found;
}

void look_at_version(const std::map<std::string, std::string>& info, bool in_cluster, std::vector<finding>& found) {
    const auto version = info.find("redis_version");
    if (version == info.end()) {
        found.push_back({grade::warning, "version", "the server does not say what it is"});
        return;
    }
    const bool old = std::atoi(version->second.c_str()) < 5;
    found.push_back({old ? grade::fault : grade::good, "version",
                     "Redis " + version->second + (old ? "; locks need 5 or later" : "")});
    if (!in_cluster && info.count("cluster_enabled") != 0 && info.at("cluster_enabled") == "1") {
        found.push_back({grade::fault, "cluster", "the server is part of a cluster: use redis+cluster:"});
    }
    if (info.count("redis_mode") != 0 && info.at("redis_mode") == "sentinel") {
        found.push_back({grade::fault, "role", "the server is a sentinel: use redis+sentinel:"});
    } else if (info.count("role") != 0 && info.at("role") != "master") {
        found.push_back({grade::fault, "role", "the server is a replica; locks need the master"});
    }
}

void look_at_memory(const std::map<std::string, std::string>& info, std::vector<finding>& found) {
    const auto policy = info.find("maxmemory_policy");
    if (policy == info.end()) return;
    const bool limited = info.count("maxmemory") != 0 && info.at("maxmemory") != "0";
    const bool evicts = limited && policy->second != "noeviction";
    // Every lock has an expiry, so the volatile policies choose among locks.
    found.push_back({evicts ? grade::fault : grade::good, "memory",
                     evicts ? "maxmemory-policy is " + policy->second +
                                  ": a full server deletes locks that are held; set it to noeviction"
                            : "locks are not evicted"});
}

void look_at_persistence(const std::map<std::string, std::string>& info, std::vector<finding>& found) {
    const bool log = info.count("aof_enabled") != 0 && info.at("aof_enabled") == "1";
    found.push_back(
        {log ? grade::good : grade::warning, "persistence",
         log ? "the append-only file is on"
             : "no append-only file: a server that crashes forgets locks that are held, and fencing tokens"});
    const auto replicas = info.find("connected_slaves");
    if (replicas != info.end() && replicas->second != "0") {
        found.push_back({grade::warning, "replication",
                         replicas->second + " replicas: a failover may lose locks that were granted just before"});
    }
}

/// @param least without which every acquire fails
void look_at_replicas(const std::map<std::string, std::string>& info, int least, std::vector<finding>& found) {
    if (least == 0) return;
    const auto online = std::count_if(info.begin(), info.end(), [](const auto& line) {
        return line.first.starts_with("slave") && line.second.find("state=online") != std::string::npos;
    });
    const bool enough = online >= least;
    found.push_back({enough ? grade::good : grade::fault, "min_replicas",
                     std::to_string(online) + " replicas are online" +
                         (enough ? "" : ", and every acquire fails with fewer than " + std::to_string(least))});
}

void look_at_cluster(questioner& server, std::vector<finding>& found) {
    const auto info = info_of(server.text({"CLUSTER", "INFO"}));
    const auto state = info.find("cluster_state");
    if (state == info.end() || state->second != "ok") {
        found.push_back({grade::fault, "cluster", "the cluster is down, by what this node says"});
        return;
    }
    // With cluster-require-full-coverage off it goes on without those that nobody serves.
    constexpr int all = slot_count;
    const auto in_service = info.find("cluster_slots_ok");
    const int served = in_service == info.end() ? all : std::atoi(in_service->second.c_str());
    const bool whole = served >= all;
    found.push_back({whole ? grade::good : grade::fault, "cluster",
                     whole ? "the cluster is whole"
                           : "no node that answers has the slots of " + std::to_string(all - served) + " of " +
                                 std::to_string(all) + ", and no lock in them can be had"});
}

/// @param counter of fencing tokens; empty: there is none
void look_at_tokens(questioner& server, std::string_view counter, std::vector<finding>& found) {
    if (counter.empty()) return;
    std::string why;
    try {
        const reply_value said = server.ask({"GET", counter});
        const std::string_view value = text_of(*said);
        long long number = 0;
        const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
        if (is_nil(*said) || (read.ec == std::errc() && read.ptr == value.data() + value.size())) {
            found.push_back({grade::good, "fencing", "tokens can be counted"});
            return;
        }
        why = "it holds no number";
    } catch (const error& refused) {
        why = refused.diag().message;
    }
    found.push_back({grade::fault, "fencing",
                     "every acquire fails, for it counts up the key " + std::string(counter) + ": " + why});
}

/// @return why not; empty: it hears
std::string why_deaf(questioner& server, const std::string& channel, bool sharded) {
    std::string why;
    for (const std::string_view command : {"SSUBSCRIBE", "SUBSCRIBE"}) {
        // Before Redis 7 those of a cluster are plain ones, too.
        if (command == "SSUBSCRIBE" && !sharded) continue;
        try {
            (void)server.ask({command, channel});
            return {};
        } catch (const error& refused) {
            if (refused.boost_code() == errc::permission) return "this user may not subscribe to holdfast:*";
            why = refused.diag().message;
        }
    }
    return why;
}

constexpr const char* free_and_publish = R"(
redis.call('del', KEYS[1])
if ARGV[2] == '1' and type(redis.pcall('spublish', ARGV[1], '')) == 'number' then return 1 end
return type(redis.pcall('publish', ARGV[1], '')) == 'number' and 1 or 0
)";

/// @param listening to the same server, over a connection of its own
/// @param slot of a cluster, which the server has
void look_at_rights(questioner& server, questioner& listening, const strategy& commands, std::optional<unsigned> slot,
                    std::vector<finding>& found) {
    const options& settings = commands.settings();
    const std::string own =
        std::to_string(::getpid()) + "-" + std::to_string(boottime::now().time_since_epoch().count());
    const std::string tag = slot ? "{" + tag_of(*slot) + "}" : std::to_string(settings.database);
    const std::string key = settings.key_prefix + "holdfast:doctor:" + (slot ? tag + ":" : "") + own;
    const std::string channel = "holdfast:1:" + tag + ":" + key;
    try {
        const reply_value taken = server.ask({"SET", key, "doctor", "NX", "PX", "10000"});
        const reply_value freed = server.ask({"EVAL", free_and_publish, "1", key, channel, slot ? "1" : ""});
        found.push_back({grade::good, "rights", "keys can be set and deleted by scripts"});
        std::string why;
        if (!is_integer(*freed) || integer_of(*freed) != 1) {
            why = "this user may not publish on holdfast:*, so waiters have to ask again and again";
        }
        if (const std::string deaf = why_deaf(listening, channel, slot.has_value()); !deaf.empty()) {
            why += (why.empty() ? "" : "; ") + deaf + ", so those who wait have to ask again and again";
        }
        found.push_back({why.empty() ? grade::good : grade::warning, "channels",
                         why.empty() ? "releases can be published and heard" : why});
        std::string room;
        look_at_tokens(server, commands.counter_of(key, room), found);
    } catch (const error& refused) {
        if (slot && refused.boost_code() == errc::unsupported) {
            found.push_back({grade::warning, "rights", "not tried: the cluster is moving slots just now"});
            return;
        }
        found.push_back({grade::fault, "rights", refused.diag().message});
    }
}

/// Neither answer is a fault: without them, releases by others are found by asking.
void look_at_events(questioner& server, std::vector<finding>& found) {
    try {
        const auto said = server.texts({"CONFIG", "GET", "notify-keyspace-events"});
        const bool on = said.size() == 2 && said[1].find('K') != std::string::npos;
        found.push_back({grade::good, "events",
                         on ? "keyspace events are on (" + said[1] + "): releases by others are noticed at once"
                            : "keyspace events are off (notify-keyspace-events): releases by others, such as .NET, are "
                              "found by asking again and again"});
    } catch (const error& refused) {
        const bool may_not = refused.boost_code() == errc::permission;
        found.push_back({may_not ? grade::good : grade::warning, "events",
                         may_not ? "this user may not ask whether keyspace events are on"
                                 : "whether keyspace events are on cannot be told: " + refused.diag().message});
    }
}

/// Asks those that are known for all of them. Throws @ref error when none of them knows.
std::vector<server> masters_of(cluster& all, boottime::time_point until, resolver& names) {
    error why(errc::unavailable, "");
    const std::vector<node> candidates = all.whom_to_ask(nullptr);
    for (std::size_t number = 0; number < candidates.size(); ++number) {
        const node& each = candidates[number];
        try {
            questioner asked(*each, names, share(until, candidates.size() - number));
            const reply_value slots = asked.ask({"CLUSTER", "SLOTS"});
            reply_value nodes;
            try {
                nodes = asked.ask({"CLUSTER", "NODES"});
            } catch (const error&) {
                // Who may not ask believes whoever spoke last.
            }
            if (all.learn(*slots, nodes.get(), *each, boottime::now())) break;
            if (why.boost_code() == errc::unavailable) {
                why = error(errc::unavailable, "redis: " + each->text() + " knows of no node that has slots");
            }
        } catch (const error& failed) {
            // Others may know, whatever is at this address by now.
            if (why.boost_code() == errc::unavailable) why = failed;
        }
    }
    std::vector<server> found;
    for (const node& each : all.masters()) found.push_back(*each);
    if (found.empty()) throw error(why);
    return found;
}

}  // namespace

std::vector<lock_entry> redis_backend::list(const list_query& query) {
    const auto until = boottime::now() + query.timeout;
    resolver names(resolver::asks::on_caller);
    // Each of several servers should say the same; who holds a majority is for the reader to see.
    std::vector<lock_entry> found;
    std::vector<server> servers = servers_;
    if (cluster_ != nullptr) {
        servers = masters_of(*cluster_, until, names);
        const node owner = query.key.empty() ? nullptr : cluster_->owner_of(slot_of(query.key));
        if (owner != nullptr) servers = {*owner};
    }
    const auto look = [this](questioner& asked, const std::string& key, bool certain, std::vector<lock_entry>& here) {
        try {
            collector(asked, key, certain, here).look();
        } catch (const error& refused) {
            // Both can come about while we look.
            const bool has_moved = cluster_ != nullptr && refused.boost_code() == errc::unsupported;
            const bool is_something_else = refused.boost_code() == errc::invalid_name;
            if (!has_moved && !is_something_else) throw;
        }
    };
    const auto look_at_server = [&](const server& one, boottime::time_point limit, std::vector<lock_entry>& here) {
        questioner asked(one, names, limit);
        if (!query.key.empty()) {
            look(asked, query.key, true, here);
            if (const auto readers = readers_key(query.key)) look(asked, *readers, true, here);
            return;
        }
        std::string cursor = "0";
        const std::string pattern = pattern_of(strategy_.settings().key_prefix);
        do {
            const reply_value page = asked.ask({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"});
            if (!is_array(*page) || size_of(*page) < 2) return;
            cursor = text_of(element_of(*page, 0));
            const redisReply& keys = element_of(*page, 1);
            for (std::size_t at = 0; at < size_of(keys); ++at) {
                look(asked, std::string(text_of(element_of(keys, at))), false, here);
            }
        } while (cursor != "0");
    };
    std::vector<lock_entry> failures;
    std::exception_ptr first_failure;
    for (std::size_t number = 0; number < servers.size(); ++number) {
        const server& each = servers[number];
        std::vector<lock_entry> here;
        try {
            look_at_server(each, share(until, servers.size() - number), here);
        } catch (const error& failed) {
            if (first_failure == nullptr) first_failure = std::current_exception();
            lock_entry& one = failures.emplace_back();
            one.state = status::free;
            one.details.emplace_back("failure", failed.diag().message);
        }
        for (lock_entry& one : here) {
            if (servers_.size() > 1) one.details.emplace_back("server", each.text());
            found.push_back(std::move(one));
        }
    }
    if (first_failure != nullptr && failures.size() == servers.size()) std::rethrow_exception(first_failure);
    std::stable_sort(found.begin(), found.end(),
                     [](const lock_entry& one, const lock_entry& other) { return one.key < other.key; });
    if (found.empty() && failures.empty() && !query.key.empty()) {
        lock_entry free;
        free.key = query.key;
        free.state = status::free;
        found.push_back(std::move(free));
    }
    std::move(failures.begin(), failures.end(), std::back_inserter(found));
    return found;
}

/// One that locks can be in.
std::optional<unsigned> redis_backend::slot_at(const server& master) const {
    const std::string& prefix = strategy_.settings().key_prefix;
    const auto has = [&](unsigned slot) {
        const node owner = cluster_->owner_of(slot);
        return owner != nullptr && owner->address.host == master.address.host &&
               owner->address.port == master.address.port;
    };
    if (has_hash_tag(prefix)) return has(slot_of(prefix)) ? std::optional(slot_of(prefix)) : std::nullopt;
    for (unsigned slot = 0; slot < slot_count; ++slot) {
        if (has(slot)) return slot;
    }
    return std::nullopt;
}

std::vector<finding> redis_backend::examine(const examination& how) {
    const auto until = boottime::now() + how.timeout;
    resolver names(resolver::asks::on_caller);
    std::vector<finding> found;
    std::set<std::string> identities;
    std::vector<server> servers = servers_;
    if (cluster_ != nullptr) {
        try {
            servers = masters_of(*cluster_, until, names);
        } catch (const error& failed) {
            found.push_back({grade::fault, "connection", failed.diag().message});
            return found;
        }
    }
    for (std::size_t number = 0; number < servers.size(); ++number) {
        const server& each = servers[number];
        const auto limit = share(until, servers.size() - number);
        std::vector<finding> here;
        try {
            questioner asked(each, names, limit);
            (void)asked.ask({"PING"});
            constexpr int rounds = 20;
            const auto began = boottime::now();
            for (int round = 0; round < rounds; ++round) (void)asked.ask({"PING"});
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(boottime::now() - began) / rounds;
            const bool slow = took * 10 > strategy_.settings().expiry - strategy_.settings().min_validity;
            here.push_back({slow ? grade::warning : grade::good, "latency",
                            "a request takes " + std::to_string(took.count()) + " us" +
                                (slow ? "; that is much for this expiry" : "")});
            try {
                const auto info = info_of(asked.text({"INFO"}));
                const auto identity = info.find("run_id");
                if (identity != info.end() && !identities.insert(identity->second).second) {
                    here.push_back({grade::fault, "servers", "the same server as one before it in the list"});
                }
                look_at_version(info, cluster_ != nullptr, here);
                look_at_memory(info, here);
                look_at_persistence(info, here);
                look_at_replicas(info, strategy_.settings().min_replicas, here);
            } catch (const error& refused) {
                here.push_back({grade::warning, "version", refused.diag().message});
            }
            questioner listening(each, names, limit);
            if (cluster_ == nullptr) {
                look_at_rights(asked, listening, strategy_, std::nullopt, here);
            } else {
                look_at_cluster(asked, here);
                if (const auto slot = slot_at(each)) look_at_rights(asked, listening, strategy_, *slot, here);
            }
            look_at_events(asked, here);
        } catch (const error& failed) {
            here.push_back({grade::fault, "connection", failed.diag().message});
        }
        for (finding& one : here) {
            if (servers.size() > 1) one.text = each.text() + ": " + one.text;
            found.push_back(std::move(one));
        }
    }
    if (cluster_ == nullptr && servers_.size() > 1 && servers_.size() % 2 == 0) {
        found.push_back({grade::warning, "servers", "an even number: one fewer would outlive as many failures"});
    }
    return found;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
