#include <backends/redis/slots.hpp>
#include <backends/redis/strategy.hpp>
#include <names/names.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

using core::access;
using core::verb;
using core::verdict;
using std::chrono::milliseconds;

/// The one key without an expiry.
constexpr std::string_view counter_key = "holdfast:fencing";

/// Where releases are told, polling is only for what was not heard.
constexpr int rarer_with_news = 10;

constexpr std::size_t most_renewals_at_once = 64;

constexpr std::size_t owner_digits = std::tuple_size_v<decltype(core::owner_id().digits())>;

/// In milliseconds: what a key may live beyond it is not to be counted with. No pause is nearly as long.
constexpr long long longest_look_ahead = 24LL * 60 * 60 * 1000;

std::string machine_and_process() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') name[0] = '-';
    return std::string(name) + "_" + std::to_string(::getpid()) + "_";
}

/// @pre @p writer is the writer's key of a reader-writer lock
std::string readers_of(const std::string& writer) {
    return *readers_key(writer);
}

void set_script(request& into, const script& which, std::initializer_list<std::string_view> keys,
                std::initializer_list<std::string_view> arguments, std::string_view last_key = {}) {
    into.first_script = &which;
    which.call(into.first, std::span(keys.begin(), keys.size()), std::span(arguments.begin(), arguments.size()),
               last_key);
}

void add(text_room& to, std::string_view text) {
    to.insert(to.end(), text.begin(), text.end());
}

/// After .NET's SET, which would refuse what it has granted itself.
std::string acquire_after_set(const std::string& first) {
    const auto words = words_of(first);
    return scripts::lock_acquire().call({words[1]}, {words[2], words[5]});
}

/// For scripts whose last argument says whether they may have arrived before.
std::string say_again(const std::string& first) {
    std::string again = first;
    again[again.size() - 3] = '1';
    return again;
}

void set_again(request& into, const script& which, std::string (*again)(const std::string& first)) {
    into.again_script = &which;
    into.again = again;
}

core::reply reply_of(verdict result) {
    core::reply made;
    made.result = result;
    return made;
}

bool is_yes_or_no(const redisReply& reply) noexcept {
    return is_integer(reply) && (integer_of(reply) == 0 || integer_of(reply) == 1);
}

/// Whether the answer is one that the command can have. Nothing else may be taken for a yes.
bool is_expected(verb what, const request& done) noexcept {
    const redisReply& answer = *done.answer;
    if (what == verb::count) return is_integer(answer) && integer_of(answer) >= 0;
    if (what != verb::try_acquire) return is_yes_or_no(answer);
    const bool again = done.repeated && done.again != nullptr;
    if ((again ? done.again_script : done.first_script) == nullptr) {
        return is_nil(answer) || (is_status(answer) && text_of(answer) == "OK");
    }
    if (!is_array(answer) || size_of(answer) == 0 || !is_yes_or_no(element_of(answer, 0))) return false;
    for (std::size_t at = 1; at < size_of(answer); ++at) {
        if (!is_integer(element_of(answer, at))) return false;
    }
    return true;
}

core::reply failed(errc code, std::string text, bool sent) {
    core::reply made;
    made.result = sent ? verdict::link_lost : verdict::failed;
    made.code = code;
    made.text = std::move(text);
    return made;
}

}  // namespace

std::optional<std::string> readers_key(const std::string& key) {
    constexpr std::string_view suffix = ".writer";
    if (key.size() < suffix.size() || key.compare(key.size() - suffix.size(), suffix.size(), suffix) != 0) {
        return std::nullopt;
    }
    return key.substr(0, key.size() - suffix.size()) + ".readers";
}

strategy::strategy(const options& opts)
    : options_(opts),
      owner_form_(machine_and_process() + std::string(owner_digits, '0') + std::string(owner_suffix)),
      channel_prefix_("holdfast:1:" + std::to_string(opts.database) + ":"),
      expiry_(std::to_string(opts.expiry.count())),
      set_expiry_(
          std::to_string(std::min<long long>(3LL * opts.expiry.count(), std::numeric_limits<std::int32_t>::max()))),
      counter_(opts.fencing ? opts.key_prefix + std::string(counter_key) : std::string()) {}

std::string strategy::key_of(core::primitive_kind kind, std::string_view name) const {
    if (kind != core::primitive_kind::reader_writer_lock) {
        std::string key = options_.key_prefix + names::redis(name);
        // Also without `fencing` here: other processes may have it.
        if (const std::string_view own = std::string_view(key).substr(options_.key_prefix.size());
            own == counter_key || (own.starts_with(counter_key) && own.substr(counter_key.size()).starts_with(":{"))) {
            throw error(
                errc::invalid_name,
                "redis: 'holdfast:fencing' is the key of the fencing tokens; a lock of that name would end them");
        }
        return key;
    }
    // A reader-writer lock is known by its writer's key, so that a lock of that very name shares its queue.
    std::string key = options_.key_prefix + names::redis_rw(name).writer;
    const std::string_view ending = std::string_view(key).substr(options_.key_prefix.size() + name.size());
    if (!options_.cluster || has_hash_tag(options_.key_prefix + std::string(name))) return key;
    // Both keys must be in one slot, so the name becomes their hash tag.
    if (name.empty() || name.front() == '}') {
        throw error(errc::invalid_name,
                    "redis: in a cluster the name of a reader-writer lock cannot be empty or begin with '}', because "
                    "it is the hash tag of its keys");
    }
    return options_.key_prefix + "{" + std::string(name) + "}" + std::string(ending);
}

std::string strategy::channel_of(const core::claim& who) const {
    text_room room;
    return std::string(channel_of(who, room));
}

std::string_view strategy::channel_of(const core::claim& who, text_room& room) const {
    const std::string& key = who.target->mapped();
    if (options_.cluster) {
        // A sharded channel is told by who has its slot, which must be the key's: the release is one step.
        add(room, "holdfast:1:{" + tag_of(slot_of(key)) + "}:");
    } else {
        add(room, channel_prefix_);
    }
    add(room, key);
    return {room.data(), room.size()};
}

std::string_view strategy::counter_of(std::string_view key, std::string& room) const {
    if (!options_.cluster || counter_.empty() || has_hash_tag(counter_)) return counter_;
    room = counter_ + ":{" + tag_of(slot_of(key)) + "}";
    return room;
}

std::vector<std::string> strategy::event_channels_of(const core::claim& who) const {
    const std::string beginning = "__keyspace@" + std::to_string(options_.database) + "__:";
    const std::string& key = who.target->mapped();
    std::vector<std::string> made{beginning + key};
    // Only a writer waits for readers.
    if (who.target->kind == core::primitive_kind::reader_writer_lock && who.mode == access::exclusive) {
        made.push_back(beginning + readers_of(key));
    }
    return made;
}

std::string_view strategy::id_of(const core::claim& who, text_room& room) const {
    add(room, owner_form_);
    const auto digits = who.owner.digits();
    std::copy(digits.begin(), digits.end(), room.end() - (owner_suffix.size() + owner_digits));
    return {room.data(), room.size()};
}

bool strategy::asks(const core::command& cmd) noexcept {
    // Only writers leave a mark while they wait.
    return cmd.what != verb::withdraw ||
           (cmd.who->mode == access::exclusive && cmd.who->target->kind == core::primitive_kind::reader_writer_lock);
}

bool strategy::takes_away(verb what) noexcept {
    return what == verb::release || what == verb::withdraw;
}

void strategy::fill(request& into, const core::command& cmd) const {
    std::string text = std::move(into.first);
    into = request{};
    into.first = std::move(text);
    into.reconnect_until = cmd.reconnect_until;
    const core::claim& who = *cmd.who;
    if (!cmd.together.empty()) {
        fill_renewals(into, cmd);
        return;
    }
    text_room room;
    const std::string_view id = id_of(who, room);
    if (who.mode == access::ticket) {
        fill_ticket(into, cmd, id);
    } else if (who.target->kind != core::primitive_kind::reader_writer_lock) {
        fill_lock(into, cmd, id);
    } else if (who.mode == access::shared) {
        fill_read(into, cmd, id);
    } else {
        fill_write(into, cmd, id);
    }
}

void strategy::set_release(request& into, const script& which, std::string_view key, std::string_view id,
                           const core::claim& who) const {
    text_room room;
    if (options_.cluster) {
        set_script(into, which, {key}, {id, channel_of(who, room), "1"});
    } else {
        set_script(into, which, {key}, {id, channel_of(who, room)});
    }
}

void strategy::fill_lock(request& into, const core::command& cmd, std::string_view id) const {
    const std::string& key = cmd.who->target->mapped();
    std::string room;
    if (cmd.what == verb::release) {
        set_release(into, scripts::lock_release(), key, id, *cmd.who);
    } else if (cmd.what == verb::renew) {
        set_script(into, scripts::lock_renew(), {key}, {id, expiry_});
    } else if (cmd.staying || !counter_.empty()) {
        set_script(into, scripts::lock_acquire(), {key}, {id, expiry_}, counter_of(key, room));
    } else {
        // What .NET sends; a refusal of this one says nothing about the holder, which only those need who stay.
        format(into.first, std::array<std::string_view, 6>{"SET", key, id, "NX", "PX", expiry_});
        set_again(into, scripts::lock_acquire(), acquire_after_set);
    }
}

void strategy::fill_renewals(request& into, const core::command& cmd) const {
    std::vector<std::string> ids;
    ids.reserve(cmd.together.size());
    std::vector<std::string_view> keys;
    std::vector<std::string_view> arguments{expiry_};
    for (const core::renewal_share& each : cmd.together) {
        keys.push_back(each.who.target->mapped());
        text_room room;
        arguments.push_back(ids.emplace_back(id_of(each.who, room)));
    }
    into.first_script = &scripts::locks_renew();
    into.first = into.first_script->call(keys, arguments);
}

std::size_t strategy::renewals_at_once(const core::claim& who) noexcept {
    // A lock and a writer are the same to the server. Few enough that others do not wait for long.
    return who.mode == access::exclusive ? most_renewals_at_once : 1;
}

core::reply strategy::judge_together(const core::command& cmd, const request& done, boottime::time_point began) const {
    if (done.answer == nullptr) return failed(done.why.code, done.why.text, done.sent);
    const redisReply& answer = *done.answer;
    bool expected = is_array(answer) && size_of(answer) == cmd.together.size();
    for (std::size_t at = 0; expected && at < cmd.together.size(); ++at) {
        const redisReply& one = element_of(answer, at);
        expected = is_integer(one) && integer_of(one) >= -1 && integer_of(one) <= 1;
    }
    if (!expected) return failed(errc::protocol, "the server's answer is none to the command", done.sent);
    for (std::size_t at = 0; at < cmd.together.size(); ++at) {
        const auto one = integer_of(element_of(answer, at));
        cmd.together[at].result = one == 1 ? verdict::granted : one == 0 ? verdict::not_held : verdict::failed;
    }
    core::reply made = reply_of(verdict::granted);
    made.lifetime = options_.expiry + (done.sent_at - began);
    return made;
}

void strategy::fill_read(request& into, const core::command& cmd, std::string_view id) const {
    const std::string& writer = cmd.who->target->mapped();
    std::string room;
    const std::string readers = readers_of(writer);
    if (cmd.what == verb::release) {
        set_release(into, scripts::read_release(), readers, id, *cmd.who);
    } else if (cmd.what == verb::renew) {
        set_script(into, scripts::read_renew(), {readers}, {id, expiry_});
    } else {
        set_script(into, scripts::read_acquire(), {writer, readers}, {id, expiry_, "0"}, counter_of(writer, room));
        set_again(into, scripts::read_acquire(), say_again);
    }
}

void strategy::fill_write(request& into, const core::command& cmd, std::string_view id) const {
    const std::string& writer = cmd.who->target->mapped();
    std::string room;
    if (cmd.what == verb::release) {
        set_release(into, scripts::write_release(), writer, id, *cmd.who);
    } else if (cmd.what == verb::withdraw) {
        set_release(into, scripts::write_withdraw(), writer, id, *cmd.who);
    } else if (cmd.what == verb::renew) {
        set_script(into, scripts::lock_renew(), {writer}, {id, expiry_});
    } else {
        set_script(into, scripts::write_acquire(), {writer, readers_of(writer)}, {id, expiry_, cmd.staying ? "1" : "0"},
                   counter_of(writer, room));
    }
}

void strategy::fill_ticket(request& into, const core::command& cmd, std::string_view id) const {
    const std::string& key = cmd.who->target->mapped();
    std::string room;
    const std::string tickets = std::to_string(cmd.who->target->max_count);
    if (cmd.what == verb::release) {
        set_release(into, scripts::ticket_release(), key, id, *cmd.who);
    } else if (cmd.what == verb::renew) {
        set_script(into, scripts::ticket_renew(), {key}, {id, expiry_, set_expiry_});
    } else if (cmd.what == verb::count) {
        set_script(into, scripts::ticket_count(), {key}, {tickets});
    } else {
        set_script(into, scripts::ticket_acquire(), {key}, {id, expiry_, tickets, set_expiry_, "0"},
                   counter_of(key, room));
        set_again(into, scripts::ticket_acquire(), say_again);
    }
}

void strategy::fill_confirmation(request& write, request& wait, const core::claim& who) const {
    core::command renew;
    renew.what = verb::renew;
    renew.who = &who;
    fill(write, renew);
    const bool reads = who.mode == access::shared && who.target->kind == core::primitive_kind::reader_writer_lock;
    if (reads) {
        text_room room;
        set_script(write, scripts::read_confirm(), {readers_of(who.target->mapped())}, {id_of(who, room), expiry_});
    }
    // WAIT is about what its own connection has written before: the two are sent once, together.
    write.only_once = write.with_source = true;
    wait = request{};
    wait.only_once = true;
    wait.first =
        format({"WAIT", std::to_string(options_.min_replicas), std::to_string(options_.replica_timeout.count())});
}

std::string strategy::judge_confirmation(const request& write, const request& wait) const {
    if (write.answer == nullptr || wait.answer == nullptr) {
        return "whether replicas have the lock is not known: " + (write.answer == nullptr ? write.why : wait.why).text;
    }
    if (!is_yes_or_no(*write.answer) || !is_integer(*wait.answer)) return "the server's answer to WAIT is none";
    if (integer_of(*write.answer) == 0) return "the lock was lost before replicas had it";
    const long long have = integer_of(*wait.answer);
    if (have >= options_.min_replicas) return {};
    return "only " + std::to_string(have) + " of " + std::to_string(options_.min_replicas) +
           " replicas (min_replicas) had the lock in time, so it was given back";
}

std::string strategy::undo(const core::claim& who, const script*& which) const {
    const std::string& key = who.target->mapped();
    text_room room;
    const std::string_view id = id_of(who, room);
    if (who.mode == access::ticket) {
        which = &scripts::ticket_release();
        return which->call({key}, {id, ""});
    }
    if (who.target->kind != core::primitive_kind::reader_writer_lock) {
        which = &scripts::lock_release();
        return which->call({key}, {id, ""});
    }
    if (who.mode == access::shared) {
        which = &scripts::read_release();
        return which->call({readers_of(key)}, {id, ""});
    }
    which = &scripts::write_release();
    return which->call({key}, {id, ""});
}

core::reply strategy::judge(verb what, access mode, const request& done, boottime::time_point began,
                            boottime::time_point now, bool news_come) const {
    if (done.answer == nullptr) return failed(done.why.code, done.why.text, done.sent);
    if (!is_expected(what, done))
        return failed(errc::protocol, "the server's answer is none to the command", done.sent);
    const redisReply& answer = *done.answer;
    const bool has_parts = is_array(answer) && size_of(answer) > 0;
    const redisReply& first = has_parts ? element_of(answer, 0) : answer;
    const bool yes = is_integer(first) ? integer_of(first) != 0 : !is_nil(first);
    switch (what) {
        case verb::try_acquire: {
            if (!yes) {
                core::reply made = reply_of(verdict::refused);
                if (has_parts) made.retry_at = retry_at(answer, mode, now, news_come);
                return made;
            }
            core::reply made = reply_of(verdict::granted);
            if (has_parts && size_of(answer) > 1) {
                made.token = static_cast<std::uint64_t>(integer_of(element_of(answer, 1)));
            }
            // The core counts from the beginning of the command, which may have had to connect first.
            made.lifetime = options_.expiry + (done.sent_at - began);
            // Too little would be left: as good as nothing, and given back at once.
            if (now - done.sent_at > options_.expiry - options_.min_validity) {
                made.lifetime = std::chrono::nanoseconds(0);
            }
            return made;
        }
        case verb::renew: {
            core::reply made = reply_of(yes ? verdict::granted : verdict::not_held);
            made.lifetime = options_.expiry + (done.sent_at - began);
            return made;
        }
        case verb::release:
            // What was sent twice may have been done the first time.
            return reply_of(yes || done.repeated ? verdict::released : verdict::not_held);
        case verb::withdraw: return reply_of(verdict::released);
        case verb::count: {
            core::reply made = reply_of(verdict::granted);
            made.count = static_cast<int>(std::min<long long>(integer_of(answer), std::numeric_limits<int>::max()));
            return made;
        }
        case verb::wait:
        case verb::convert:
        case verb::revert:
        case verb::probe: break;
    }
    return failed(errc::unsupported, "this backend has no such command", false);
}

/// When asking again makes sense though nobody tells: when the holder's time is over, or after a pause.
boottime::time_point strategy::retry_at(const redisReply& refusal, access mode, boottime::time_point now,
                                        bool news_come) const {
    const long long remaining = size_of(refusal) > 1 ? integer_of(element_of(refusal, 1)) : -1;
    const bool heard = news_come && size_of(refusal) > 2 && integer_of(element_of(refusal, 2)) != 0;
    thread_local std::minstd_rand random(std::random_device{}());
    auto pause = std::chrono::nanoseconds(
        std::uniform_int_distribution<long long>(std::chrono::nanoseconds(options_.min_busy_wait).count(),
                                                 std::chrono::nanoseconds(options_.max_busy_wait).count())(random));
    if (heard) pause *= rarer_with_news;
    // The mark of a waiting writer lives by being asked for again.
    if (mode == access::exclusive) pause = std::min<std::chrono::nanoseconds>(pause, options_.expiry / 3);
    auto next = now + pause;
    // The server rounds down.
    if (remaining >= 0) next = std::min(next, now + milliseconds(std::min(remaining, longest_look_ahead) + 1));
    return std::max(next, now + milliseconds(1));
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
