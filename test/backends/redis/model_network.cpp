#include "model_network.hpp"

#include <algorithm>
#include <charconv>

namespace holdfast::redis::model {
namespace {

constexpr std::chrono::milliseconds connect_timeout{2000};
constexpr std::chrono::milliseconds shortest_pause{5};
constexpr std::chrono::milliseconds longest_pause{1000};

/// What the library knows a script by.
struct known_script {
    explicit known_script(const script& which) {
        const std::string call = which.call({"key"}, {"argument"});
        const std::string with_source = which.with_source(call);
        hash = words_of(call)[1];
        source = words_of(with_source)[1];
    }
    bool is(std::string_view text) const noexcept { return text == hash || text == source; }

    std::string hash;
    std::string source;
};

long long number(std::string_view text) {
    long long value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

hash_pair number_of(std::size_t server) noexcept {
    hash_pair made;
    mix(made.as_is, server);
    mix(made.swapped, server < 2 ? 1 - server : server);
    return made;
}

bool is_again(const request& one) noexcept {
    return one.losses > 0 && one.again != nullptr;
}

const script* script_of(const request& one) noexcept {
    return is_again(one) ? one.again_script : one.first_script;
}

}  // namespace

void mix(std::uint64_t& into, std::string_view what) noexcept {
    mix(into, std::hash<std::string_view>()(what));
}

reply_value parse(const std::string& answer) {
    thread_local reply_reader reader;
    reader.feed(answer.data(), answer.size());
    return reader.next();
}

const network::entry* network::at(std::size_t server) const noexcept {
    const entry& one = servers_[server];
    return one.id.empty() || now >= one.until ? nullptr : &one;
}

std::string network::execute(std::size_t server, const std::string& command, const entry& how) {
    static const known_script acquires(scripts::lock_acquire());
    static const known_script renews(scripts::lock_renew());
    static const known_script releases(scripts::lock_release());
    const auto words = words_of(command);
    const entry* const found = at(server);
    const auto live_for = [](std::string_view milliseconds) {
        // As short as the holder counts with: the server's clock may be a hundredth faster than its own.
        return std::chrono::milliseconds(number(milliseconds)) * 99 / 100 - std::chrono::milliseconds(1);
    };
    const auto store = [&](std::string_view id, std::string_view milliseconds) {
        servers_[server] = how;
        servers_[server].id = id;
        servers_[server].until = now + live_for(milliseconds);
        servers_[server].stored_at = ++steps;
    };
    if (words[0] == "SET") {
        // key, id, NX, PX, expiry
        if (found != nullptr) return "$-1\r\n";
        store(words[2], words[5]);
        return "+OK\r\n";
    }
    const std::string_view which = words[1];
    // how many keys, key, then the arguments
    const std::string_view id = words[4];
    if (acquires.is(which)) {
        if (found != nullptr && found->id != id) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(found->until - now);
            return "*3\r\n:0\r\n:" + std::to_string(left.count()) + "\r\n:1\r\n";
        }
        store(id, words[5]);
        return "*1\r\n:1\r\n";
    }
    if (found == nullptr || found->id != id) return ":0\r\n";
    if (renews.is(which)) {
        servers_[server].until = now + live_for(words[5]);
        // Come when nobody expected it any more, it lets live on what nobody may know of.
        if (how.in_doubt) servers_[server].in_doubt = true;
    } else if (releases.is(which)) {
        // Not what is left of an earlier vote.
        if (!found->forgotten && found->owner->holds() && found->stored_at > found->owner->asked_at())
            has_robbed = true;
        servers_[server] = {};
        if (!words[5].empty()) ++told[server];
    } else {
        return "-ERR unknown script\r\n";
    }
    return ":1\r\n";
}

void network::stray_arrives(std::size_t which) {
    stray& one = strays_[which];
    entry how;
    how.owner = one.owner;
    how.over = one.over;
    how.forgotten = how.in_doubt = true;
    execute(one.server, one.commands.front(), how);
    one.commands.pop_front();
    if (one.commands.empty()) stray_vanishes(which);
}

void network::stray_vanishes(std::size_t which) {
    strays_.erase(strays_.begin() + static_cast<std::ptrdiff_t>(which));
}

void network::connection_ends(std::size_t server, std::size_t over) noexcept {
    entry& one = servers_[server];
    if (one.over == over && one.forgotten) one.in_doubt = true;
}

bool network::has_lost_undo(std::size_t server, const client_side& owner) const noexcept {
    return std::find(lost_undos_.begin(), lost_undos_.end(), std::pair(server, &owner)) != lost_undos_.end();
}

bool network::turn() {
    bool any = false;
    // What is told may make others.
    for (std::size_t at = 0; at < channels_.size(); ++at) {
        model_channel& one = *channels_[at];
        if (one.on_caller_ || one.owner_.is_stopped() || (!one.due_ && now < one.again_at())) continue;
        one.due_ = false;
        one.drive();
        any = true;
    }
    return any;
}

hash_pair network::situation() const noexcept {
    hash_pair all;
    for (std::size_t at = 0; at < servers_.size(); ++at) {
        const entry& one = servers_[at];
        hash_pair each = number_of(at);
        std::uint64_t stored = (one.forgotten ? 2U : 0U) + (one.in_doubt ? 1U : 0U);
        mix(stored, one.id);
        mix(stored, one.until);
        each.mix_in(stored);
        all.add(each);
    }
    for (const model_channel* one : channels_) all.add(one->situation());
    for (const stray& one : strays_) {
        hash_pair each = number_of(one.server);
        for (const std::string& command : one.commands) each.mix_in(std::hash<std::string>()(command));
        all.add(each);
    }
    std::uint64_t when = 0;
    mix(when, now);
    all.mix_in(when);
    return all;
}

model_channel::model_channel(network& net, client_side& owner, std::string name, std::size_t server, bool on_caller)
    : net_(net),
      owner_(owner),
      name_(std::move(name)),
      server_(server),
      line_(std::hash<std::string>()(name_.substr(0, 1) + name_.substr(2))),
      on_caller_(on_caller),
      slow_(net.is_slow(server)) {
    net_.channels_.push_back(this);
}

model_channel::~model_channel() {
    // What a closed socket still had to send is sent.
    if (!out_.empty()) net_.strays_.push_back({server_, &owner_, number_, std::move(out_)});
    net_.connection_ends(server_, number_);
    std::erase(net_.channels_, this);
}

void model_channel::submit(request& one) {
    one.open_until = waits_to_open_until(one, connect_timeout, net_.now);
    if (one.one_of_many && state_ == state::none && net_.now < pause_until_ && has_failed_) {
        fail(one, "not to be reached a moment ago");
        return;
    }
    waiting_.push_back(&one);
    due_ = true;
}

std::shared_ptr<request> model_channel::make_detached(std::string text, const script& which) {
    std::erase_if(detached_, [](const auto& each) { return each->done; });
    auto made = std::make_shared<request>();
    made->first = std::move(text);
    made->first_script = &which;
    made->with_source = true;
    return made;
}

void model_channel::keep(std::shared_ptr<request> one, boottime::time_point until) {
    std::erase_if(detached_, [](const auto& each) { return each->done; });
    one->reconnect_until = one->open_until = until;
    one->one_of_many = false;
    one->asker = nullptr;
    detached_.push_back(std::move(one));
}

std::shared_ptr<request> model_channel::submit_lasting(std::string text, const script& which,
                                                       boottime::time_point until) {
    auto made = make_detached(std::move(text), which);
    submit(*made);
    keep(made, until);
    return made;
}

std::shared_ptr<request> model_channel::submit_detached(std::string text, const script& which, core::notifier* asker) {
    auto made = make_detached(std::move(text), which);
    made->only_once = true;
    made->asker = asker;
    if (state_ == state::ready) {
        submit(*made);
        detached_.push_back(made);
    } else {
        fail(*made, "no connection");
    }
    return made;
}

void model_channel::forget(const request& one) noexcept {
    if (one.done) return;
    std::erase(waiting_, &one);
    std::replace_if(
        sent_.begin(), sent_.end(), [&one](const request* each) { return each == &one; }, nullptr);
}

void model_channel::drive() {
    while (go_on()) {
    }
}

bool model_channel::go_on() {
    if (state_ == state::none) {
        expire();
        if (waiting_.empty() || net_.now < pause_until_) return false;
        connect();
    }
    hear();
    if (state_ == state::ready && !broken_ && net_.now >= pause_until_) send_waiting();
    if (state_ == state::opening && net_.now >= opening_until_) broken_ = true;
    if (broken_) {
        lost();
        return true;
    }
    if (state_ == state::opening) expire();
    return false;
}

void model_channel::connect() {
    proven_ = broken_ = false;
    ++number_;
    state_ = slow_ ? state::opening : state::ready;
    opening_until_ = net_.now + connect_timeout;
}

void model_channel::hear() {
    while (!unread_.empty() && !sent_.empty()) {
        reply_value answer = parse(unread_.front());
        unread_.pop_front();
        proven_ = true;
        failures_ = 0;
        request* const one = sent_.front();
        sent_.pop_front();
        if (one == nullptr) continue;
        one->answer = std::move(answer);
        finish(*one);
    }
}

void model_channel::send_waiting() {
    for (request* one : waiting_) {
        std::string text = is_again(*one) ? one->again(one->first) : one->first;
        const script* const which = script_of(*one);
        if (one->with_source && which != nullptr) text = which->with_source(text);
        out_.push_back(std::move(text));
        one->sent = true;
        one->sent_at = net_.now;
        one->repeated = one->losses > 0;
        sent_.push_back(one);
        owner_.output();
    }
    waiting_.clear();
}

void model_channel::lost() {
    pause_until_ = net_.now;
    if (!proven_) {
        pause_until_ += std::min<boottime::duration>(shortest_pause * (1LL << std::min(failures_, 10)), longest_pause);
        ++failures_;
    }
    state_ = state::none;
    broken_ = false;
    slow_ = has_failed_ = true;
    unread_.clear();
    for (auto each = sent_.rbegin(); each != sent_.rend(); ++each) {
        if (*each == nullptr) continue;
        if (script_of(**each) == &scripts::lock_release() && !net_.has_lost_undo(server_, owner_)) {
            net_.lost_undos_.emplace_back(server_, &owner_);
        }
        ++(*each)->losses;
        waiting_.push_front(*each);
    }
    sent_.clear();
    std::deque<request*> kept;
    for (request* one : waiting_) {
        const bool once_more = proven_ && one->losses <= 1;
        if (one->only_once && one->losses > 0) {
            fail(*one, "lost");
        } else if (once_more || (!one->one_of_many && pause_until_ < one->reconnect_until)) {
            kept.push_back(one);
        } else {
            fail(*one, "lost");
        }
    }
    waiting_.swap(kept);
    proven_ = false;
}

void model_channel::expire() {
    const auto end = std::stable_partition(waiting_.begin(), waiting_.end(),
                                           [this](const request* one) { return net_.now < one->open_until; });
    const std::deque<request*> over(end, waiting_.end());
    waiting_.erase(end, waiting_.end());
    for (request* one : over) fail(*one, "no connection in time");
}

boottime::time_point model_channel::again_at() const noexcept {
    if (waiting_.empty()) return core::never;
    auto next = state_ == state::opening ? opening_until_ : pause_until_;
    for (const request* one : waiting_) next = std::min(next, one->open_until);
    return next;
}

void model_channel::finish(request& one) noexcept {
    one.done = true;
    if (one.asker != nullptr) one.asker->notify(core::signal_progress);
}

void model_channel::fail(request& one, const char* why) {
    one.answer = nullptr;
    one.why = {errc::unavailable, 0, why, true};
    finish(one);
}

hash_pair model_channel::identity() const noexcept {
    hash_pair all = number_of(server_);
    all.mix_in(line_);
    return all;
}

void model_channel::input(std::uint64_t what) {
    mix(what, net_.now);
    hash_pair all = identity();
    all.mix_in(what);
    owner_.input(on_caller_, all);
    due_ = true;
}

void model_channel::arrive() {
    network::entry how;
    how.owner = &owner_;
    how.over = number_;
    how.forgotten = sent_[sent_.size() - out_.size()] == nullptr;
    std::string answer = net_.execute(server_, out_.front(), how);
    out_.pop_front();
    back_.push_back(std::move(answer));
}

void model_channel::answer() {
    std::uint64_t what = 1;
    mix(what, back_.front());
    unread_.push_back(std::move(back_.front()));
    back_.pop_front();
    input(what);
}

void model_channel::open() {
    state_ = state::ready;
    input(2);
}

void model_channel::cut(bool arrives_later) {
    if (arrives_later && !out_.empty()) net_.strays_.push_back({server_, &owner_, number_, std::move(out_)});
    net_.connection_ends(server_, number_);
    out_.clear();
    back_.clear();
    broken_ = true;
    input(3);
}

hash_pair model_channel::situation() const noexcept {
    hash_pair all = identity();
    std::uint64_t what = static_cast<std::uint64_t>(state_) * 2 + (broken_ ? 1U : 0U);
    mix(what, out_.size());
    for (const std::string& each : back_) mix(what, each);
    mix(what, unread_.size());
    all.mix_in(what);
    return all;
}

}  // namespace holdfast::redis::model
