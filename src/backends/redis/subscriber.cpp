#include <backends/redis/sentinels.hpp>
#include <backends/redis/slots.hpp>
#include <backends/redis/subscriber.hpp>

#include <holdfast/detail/completion.hpp>

#include <poll.h>

#include <algorithm>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

// Short, because an executor of the user's does not run out of work before.
constexpr std::chrono::milliseconds kept_idle{100};
constexpr std::chrono::milliseconds shortest_silence{10};
constexpr std::chrono::milliseconds longest_silence{2000};
// Somebody may have been given the right since.
constexpr std::chrono::seconds refusal_lasts{2};

bool is_event_channel(std::string_view channel) noexcept {
    constexpr std::string_view beginning = "__keyspace@";
    return channel.substr(0, beginning.size()) == beginning;
}

/// After which there may be room. Not what renewals and grants make: there are many of them.
bool makes_room(std::string_view event) noexcept {
    for (const char* each : {"del", "expired", "srem", "zrem", "evicted", "rename_from"}) {
        if (event == each) return true;
    }
    return false;
}

}  // namespace

class subscriber::name_news final : public core::notifier {
public:
    explicit name_news(reactor_seat& seat) : seat_(seat) {}
    void notify(unsigned) noexcept override { seat_.post(); }

private:
    reactor_seat& seat_;
};

subscriber::subscriber(std::shared_ptr<const server> to, std::shared_ptr<resolver> names,
                       std::shared_ptr<observer> watcher, bool sharded)
    : server_(std::move(to)), names_(std::move(names)), observer_(std::move(watcher)), in_cluster_(sharded) {}

std::shared_ptr<subscriber> subscriber::make(std::shared_ptr<const server> to, std::shared_ptr<resolver> names,
                                             const boost::asio::any_io_executor& executor,
                                             std::shared_ptr<observer> watcher, bool sharded) {
    auto made = std::make_shared<subscriber>(std::move(to), std::move(names), std::move(watcher), sharded);
    made->executor_ = executor;
    made->seat_ = std::make_shared<reactor_seat>(executor, [self = std::weak_ptr<subscriber>(made)] {
        if (const auto alive = self.lock()) alive->run();
    });
    made->name_news_ = std::make_unique<name_news>(*made->seat_);
    return made;
}

subscriber::~subscriber() {
    // It was not to be had.
    if (seat_ == nullptr) return;
    if (core::fork_generation() == generation_) seat_->let_go();
    connection_.reset();
    reactor_seat::end(std::move(seat_));
}

void subscriber::add(const std::string& channel, core::notifier& listener, bool reads) {
    const std::lock_guard guard(mutex_);
    topic& where = topics_[channel];
    where.listeners.reserve(where.listeners.size() + 1);
    const bool is_new = where.listeners.empty() && where.idle_since == boottime::time_point();
    const bool again = where.refused != boottime::time_point() && boottime::now() >= where.refused + refusal_lasts;
    // What may throw comes first, since nobody removes a listener that was not added.
    if ((is_new || again) && ready_ && is_wanted(channel)) subscribe({channel});
    const bool unread = !reads && !led_ && !executor_reads_;
    if (is_new || again || !ready_ || unread) seat_->post();
    where.listeners.push_back(&listener);
    where.idle_since = {};
    if (!is_event_channel(channel)) ++listening_;
}

void subscriber::remove(const std::string& channel, core::notifier& listener) noexcept {
    // In a forked child the mutex may be held by a thread that is not there.
    if (core::fork_generation() != generation_) return;
    const std::lock_guard guard(mutex_);
    const auto found = topics_.find(channel);
    if (found == topics_.end()) return;
    auto& all = found->second.listeners;
    const auto at = std::find(all.begin(), all.end(), &listener);
    if (at == all.end()) return;
    all.erase(at);
    if (!is_event_channel(channel)) --listening_;
    if (!all.empty()) return;
    found->second.idle_since = boottime::now();
    if (sweep_at_ == core::never) {
        sweep_at_ = found->second.idle_since + kept_idle;
        seat_->post();
    }
}

bool subscriber::works() const noexcept {
    if (!works_.load(std::memory_order_acquire)) return false;
    if (server_->sentinels == nullptr || server_->sentinels->version() == of_version_) return true;
    // Nothing need come any more from a master that has been replaced, and one that hangs never ends its connections.
    try {
        seat_->post();
    } catch (...) {
        // Whoever asks next tries again.
    }
    return false;
}

void subscriber::run() {
    const std::lock_guard guard(mutex_);
    const bool read = seat_->begin_work();
    const auto now = boottime::now();
    drive(now, read);
    if (now >= sweep_at_) sweep(now);
    short awaited = 0;
    if (connection_ != nullptr && listening_ > 0) awaited = connection_->poll_events();
    // Whoever reads does not know what we have still to write.
    if (led_) awaited = static_cast<short>(awaited & POLLOUT);
    executor_reads_ = awaited != 0 && !led_;
    if (awaited == 0) seat_->stop();
    seat_->await(awaited != 0 ? connection_->descriptor() : -1, awaited, again_at());
}

void subscriber::wait_on_caller(core::parker& self, boottime::time_point until) {
    std::unique_lock guard(mutex_);
    if (led_ || !ready_) {
        guard.unlock();
        self.park(until);
        return;
    }
    // A user's executor is to renew what we are granted: it shall not have run out of work by then.
    const auto work = detail::track_work(executor_);
    led_ = true;
    executor_reads_ = false;
    seat_->stop();
    const int descriptor = connection_->descriptor();
    const short awaited = connection_->poll_events();
    guard.unlock();
    // Where the connection ends meanwhile, by the executor, its listeners are told.
    const bool heard = self.park(until, descriptor, awaited);
    guard.lock();
    led_ = false;
    if (heard && connection_ != nullptr) {
        drive(boottime::now(), true);
        // Whatever roused us by that: the caller looks anyway.
        self.calm();
    }
    // Back to the caller after each reading, for only the caller can tell whether it was meant.
    if (listening_ > 1 || !ready_) seat_->post();
}

void subscriber::drive(boottime::time_point now, bool read) {
    if (connection_ == nullptr) {
        if (listening_ == 0 || now < pause_until_) return;
        connection_ = std::make_unique<connection>(*server_, *names_, name_news_.get(), [this] { seat_->let_go(); });
    }
    const unsigned version = server_->sentinels == nullptr ? 0 : server_->sentinels->version();
    const auto found = connection_->drive(now, read);
    if (found == connection::status::ready) of_version_ = version;
    hear();
    if (found == connection::status::ready && !ready_) {
        ready_ = true;
        failures_ = 0;
        out_.clear();
        events_ = events::unknown;
        events_forbidden_ = false;
        sharded_ = in_cluster_;
        // Before the first subscription, after which nothing else may be asked.
        config_is_out_ = true;
        connection_->send(format({"CONFIG", "GET", "notify-keyspace-events"}));
        subscribe_all(false);
        connection_->drive(now, false);
    }
    if (connection_->now_is() == connection::status::failed) lost(now);
}

bool subscriber::is_wanted(std::string_view channel) const noexcept {
    return !is_event_channel(channel) || (events_ == events::on && !events_forbidden_);
}

void subscriber::subscribe_all(bool to_events) {
    std::vector<std::string_view> channels;
    for (auto each = topics_.begin(); each != topics_.end();) {
        if (each->second.listeners.empty()) {
            each = topics_.erase(each);
            continue;
        }
        if (is_event_channel(each->first) == to_events) channels.push_back(each->first);
        ++each;
    }
    if (!channels.empty()) subscribe(channels);
}

/// @param channels all of one kind, so that an error is about that kind
void subscriber::subscribe(const std::vector<std::string_view>& channels) {
    const bool to_events = is_event_channel(channels.front());
    for (const std::string_view each : channels) {
        if (!has_exceptions()) break;
        const auto found = topics_.find(std::string(each));
        if (found != topics_.end()) found->second.refused = {};
    }
    if (!sharded_ || to_events) {
        out_.push_back(
            {.to_events = to_events, .channels = {channels.begin(), channels.end()}, .left = channels.size()});
        subscribe("SUBSCRIBE", channels);
        return;
    }
    // One by one: those of one command must be in one slot.
    for (const std::string_view each : channels) {
        out_.push_back({.sharded = true, .channels = {std::string(each)}, .left = 1});
        subscribe("SSUBSCRIBE", {each});
    }
}

void subscriber::subscribe(const char* command, const std::vector<std::string_view>& channels) {
    std::vector<std::string_view> words{command};
    words.insert(words.end(), channels.begin(), channels.end());
    connection_->send(format(words));
}

void subscriber::hear() {
    while (ready_) {
        const reply_value message = connection_->receive();
        if (message == nullptr) return;
        if (config_is_out_) {
            config_is_out_ = false;
            heard_config(*message);
        } else {
            heard(*message);
        }
    }
}

void subscriber::heard_config(const redisReply& said) {
    events_ = events::on;
    if (is_array(said)) {
        const std::string_view set = size_of(said) == 2 ? text_of(element_of(said, 1)) : std::string_view();
        if (set.find('K') == std::string_view::npos) events_ = events::off;
    }
    // Who may not ask cannot know, and listens in case there is something to be heard.
    if (events_ == events::on) subscribe_all(true);
    seat_->post();
}

void subscriber::heard_error(const redisReply& said) {
    const subscription asked = out_.empty() ? subscription{} : std::move(out_.front());
    if (!out_.empty()) out_.pop_front();
    const failure why = connection_->failure_from(text_of(said));
    if (asked.sharded && text_of(said).starts_with("ERR unknown command")) {
        // Before Redis 7 all nodes hear what one of them is told. Every other sharded one is answered in the same way.
        if (std::exchange(sharded_, false)) subscribe_all(false);
    } else if (asked.sharded && redirection_from(text_of(said))) {
        // It is told elsewhere: whoever looks finds out where.
        wake(asked.channels.front());
    } else if (asked.to_events) {
        events_forbidden_ = true;
    } else if (asked.channels.size() > 1 && why.code == errc::permission) {
        // It may be for one of them.
        for (const std::string& each : asked.channels) {
            if (topics_.contains(each)) subscribe({each});
        }
        seat_->post();
    } else if (!asked.channels.empty()) {
        refuse(asked.channels, why);
    } else {
        // Until the next connection, or a confirmation, nothing is sure to come.
        works_.store(false, std::memory_order_release);
        wake_all();
    }
}

void subscriber::heard(const redisReply& message) {
    if (is_error(message)) {
        heard_error(message);
        return;
    }
    if (!is_array(message) || size_of(message) < 2) return;
    const std::string_view what = text_of(element_of(message, 0));
    const bool confirms = what == "subscribe" || what == "ssubscribe";
    if (confirms && !out_.empty() && --out_.front().left == 0) out_.pop_front();
    const auto found = topics_.find(std::string(text_of(element_of(message, 1))));
    if (found == topics_.end()) return;
    const bool is_event = is_event_channel(found->first);
    if (what == "sunsubscribe" && found->second.confirmed) {
        // The slot has been moved away, or was to be told no more when nobody listened for a moment.
        found->second.confirmed = false;
        if (!found->second.listeners.empty()) subscribe({found->first});
        seat_->post();
    } else if (confirms) {
        found->second.confirmed = true;
        // Events come from everybody, news from our like: only of the latter is anything expected.
        if (!is_event) works_.store(true, std::memory_order_release);
    } else if (what != "message" && what != "smessage") {
        return;
    } else if (is_event && (size_of(message) < 3 || !makes_room(text_of(element_of(message, 2))))) {
        return;
    }
    // Under the mutex, so that whoever has removed itself is not told any more.
    for (core::notifier* each : found->second.listeners) each->notify(core::signal_wake);
}

/// Whoever waits for these asks from time to time instead.
void subscriber::refuse(const std::vector<std::string>& channels, const failure& why) {
    // Before those look who are told.
    has_exceptions_.store(true, std::memory_order_release);
    for (const std::string& each : channels) {
        const auto found = topics_.find(each);
        if (found == topics_.end()) continue;
        found->second.refused = boottime::now();
        wake(each);
    }
    if (why.code != errc::permission || std::exchange(told_, true) || observer_ == nullptr) return;
    observer_->notice("", "redis: no news of releases, so waiters ask from time to time: " + why.text);
}

bool subscriber::works_for(const std::function<std::string()>& channel) {
    if (!works()) return false;
    if (!has_exceptions()) return true;
    const std::string name = channel();
    const std::lock_guard guard(mutex_);
    const auto found = topics_.find(name);
    return works() && found != topics_.end() && found->second.refused == boottime::time_point();
}

void subscriber::lost(boottime::time_point now) {
    const bool tell = ready_;
    ready_ = false;
    works_.store(false, std::memory_order_release);
    seat_->let_go();
    connection_.reset();
    const auto pause =
        std::min<boottime::duration>(shortest_silence * (1LL << std::min(failures_, 10)), longest_silence);
    pause_until_ = tell ? now : now + pause;
    ++failures_;
    has_exceptions_.store(false, std::memory_order_release);
    for (auto& each : topics_) {
        each.second.confirmed = false;
        each.second.refused = {};
    }
    // What they were to hear may have been said meanwhile; and without news they must ask more often.
    if (tell) wake_all();
    seat_->post();
}

void subscriber::sweep(boottime::time_point now) {
    sweep_at_ = core::never;
    for (auto each = topics_.begin(); each != topics_.end();) {
        topic& one = each->second;
        if (!one.listeners.empty()) {
            ++each;
        } else if (now >= one.idle_since + kept_idle) {
            if (ready_ && is_wanted(each->first) && one.refused == boottime::time_point()) {
                const bool sharded = sharded_ && !is_event_channel(each->first);
                connection_->send(format({sharded ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", each->first}));
            }
            each = topics_.erase(each);
        } else {
            sweep_at_ = std::min(sweep_at_, one.idle_since + kept_idle);
            ++each;
        }
    }
    if (connection_ != nullptr) seat_->post();
}

void subscriber::wake(std::string_view channel) noexcept {
    const auto found = topics_.find(std::string(channel));
    if (found == topics_.end()) return;
    for (core::notifier* listener : found->second.listeners) listener->notify(core::signal_wake);
}

void subscriber::wake_all() noexcept {
    for (auto& each : topics_) {
        for (core::notifier* listener : each.second.listeners) listener->notify(core::signal_wake);
    }
}

boottime::time_point subscriber::again_at() const noexcept {
    auto next = sweep_at_;
    if (connection_ == nullptr) {
        if (listening_ > 0) next = std::min(next, pause_until_);
    } else if (!ready_) {
        next = std::min(next, connection_->opening_until());
    }
    return next;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
