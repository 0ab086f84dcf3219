// Servers with one key each, and connections to them, in simulated time and without sockets.
#ifndef HOLDFAST_TEST_BACKENDS_REDIS_MODEL_NETWORK_HPP
#define HOLDFAST_TEST_BACKENDS_REDIS_MODEL_NETWORK_HPP

#include <backends/redis/channel.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::redis::model {

/// One more part of what a situation is.
inline void mix(std::uint64_t& into, std::uint64_t what) noexcept {
    into = (into ^ what) * 0x9e3779b97f4a7c15ULL;
    into ^= into >> 29;
}
void mix(std::uint64_t& into, std::string_view what) noexcept;
inline void mix(std::uint64_t& into, boottime::time_point when) noexcept {
    mix(into, static_cast<std::uint64_t>(when.time_since_epoch().count()));
}

/// What one number, and what the other one is when the first two servers change places: to a majority they are alike.
struct hash_pair {
    std::uint64_t as_is = 0;
    std::uint64_t swapped = 0;

    void mix_in(std::uint64_t what) noexcept {
        mix(as_is, what);
        mix(swapped, what);
    }
    void mix_in(const hash_pair& other) noexcept {
        mix(as_is, other.as_is);
        mix(swapped, other.swapped);
    }
    /// In any order.
    void add(const hash_pair& other) noexcept {
        as_is += other.as_is;
        swapped += other.swapped;
    }
};

class model_channel;

/// What a client sees of the network.
class client_side {
public:
    /// Something has come over one of its connections.
    virtual void input(bool on_caller, const hash_pair& what) noexcept = 0;
    /// It has sent something.
    virtual void output() noexcept = 0;
    /// It does nothing now, not even read.
    virtual bool is_stopped() const noexcept = 0;
    /// Nothing that it sends arrives until then, nor what is sent to it.
    virtual boottime::time_point parted_until() const noexcept = 0;
    /// It has the lock, as far as it knows.
    virtual bool holds() const noexcept = 0;
    /// It begins to ask for the lock, perhaps once more.
    void asks(std::size_t step) noexcept { asked_at_ = step; }
    std::size_t asked_at() const noexcept { return asked_at_; }

protected:
    ~client_side() = default;

private:
    std::size_t asked_at_ = 0;
};

/// Carries commands out as Redis does, as far as locks need it.
class network {
public:
    /// What a server has stored.
    struct entry {
        /// Empty: nothing.
        std::string id;
        boottime::time_point until{};
        /// Which step that was.
        std::size_t stored_at = 0;
        /// By whom it was asked for, and over which connection.
        const client_side* owner = nullptr;
        std::size_t over = 0;
        /// Nobody waited for the answer any more: what takes it back is behind it on that connection.
        bool forgotten = false;
        /// And that connection has been lost: nobody can know of it.
        bool in_doubt = false;
    };
    /// What was sent over a connection that its client has lost, and arrives all the same.
    struct stray {
        std::size_t server;
        const client_side* owner;
        std::size_t over;
        std::deque<std::string> commands;
    };

    network(std::size_t servers, bool last_is_slow) : told(servers), servers_(servers), last_is_slow_(last_is_slow) {}
    network(const network&) = delete;
    network& operator=(const network&) = delete;

    std::size_t servers() const noexcept { return servers_.size(); }
    /// Null: nothing, or nothing any more.
    const entry* at(std::size_t server) const noexcept;
    bool is_slow(std::size_t server) const noexcept { return last_is_slow_ && server + 1 == servers_.size(); }
    /// @return what the server answers
    std::string execute(std::size_t server, const std::string& command, const entry& how);
    void stray_arrives(std::size_t which);
    void stray_vanishes(std::size_t which);
    std::vector<stray>& strays() noexcept { return strays_; }
    /// Those that there are, in the order in which they were made.
    const std::vector<model_channel*>& channels() const noexcept { return channels_; }
    /// What takes a vote back was lost on its way to @p server: it may be carried out at any time, so @p owner cannot
    /// let that server vote for it again.
    bool has_lost_undo(std::size_t server, const client_side& owner) const noexcept;
    /// Drives the executor's. @return whether any had to be
    bool turn();
    hash_pair situation() const noexcept;

    void say(const std::string& what) {
        if (tracing) trace += what + '\n';
    }

    boottime::time_point now{std::chrono::seconds(1000)};
    /// Releases that each server has told of.
    std::vector<int> told;
    /// Counts what happens.
    std::size_t steps = 0;
    /// What a server had given to a holder was taken back.
    bool has_robbed = false;
    bool tracing = false;
    std::string trace;

private:
    friend class model_channel;

    void connection_ends(std::size_t server, std::size_t over) noexcept;

    std::vector<entry> servers_;
    const bool last_is_slow_;
    std::vector<model_channel*> channels_;
    std::vector<stray> strays_;
    std::vector<std::pair<std::size_t, const client_side*>> lost_undos_;
};

/** Does with requests what @ref channel does.

    Thread safety: none.
*/
class model_channel final : public lasting_channel {
public:
    /// @param on_caller is driven by a link; else by the network
    model_channel(network& net, client_side& owner, std::string name, std::size_t server, bool on_caller);
    model_channel(const model_channel&) = delete;
    model_channel& operator=(const model_channel&) = delete;
    ~model_channel();

    void submit(request& one);
    std::shared_ptr<request> submit_detached(std::string text, const script& which, core::notifier* asker);
    std::shared_ptr<request> submit_lasting(std::string text, const script& which, boottime::time_point until) override;
    void keep(std::shared_ptr<request> one, boottime::time_point until);
    void forget(const request& one) noexcept;
    bool is_done(const request& one) const override { return one.done; }
    bool is_out(const request& one) const noexcept { return !one.done && one.sent && one.losses == 0; }
    bool is_settled(const request& one) const override {
        return one.done && one.losses == 0 && (one.answer != nullptr || !one.sent);
    }
    void drive();
    boottime::time_point again_at() const noexcept;

    // What can happen to the connection.
    bool can_arrive() const noexcept { return !out_.empty() && !is_stalled(); }
    void arrive();
    bool can_answer() const noexcept { return !back_.empty() && !is_stalled(); }
    void answer();
    bool can_open() const noexcept { return state_ == state::opening && !broken_ && !is_stalled(); }
    void open();
    /// Or it is not made at all.
    void cut(bool arrives_later);
    bool can_be_cut() const noexcept { return can_open() || can_arrive() || can_answer(); }

    const std::string& name() const noexcept { return name_; }
    /// Nothing gets through until then.
    void stall(boottime::time_point until) noexcept { stalled_until_ = until; }
    /// When something changes by time alone.
    boottime::time_point next() const noexcept {
        const auto by_itself = on_caller_ || owner_.is_stopped() ? core::never : again_at();
        return is_stalled() ? std::min(by_itself, stalled_until()) : by_itself;
    }
    hash_pair situation() const noexcept;

private:
    friend class network;
    enum class state { none, opening, ready };

    boottime::time_point stalled_until() const noexcept { return std::max(stalled_until_, owner_.parted_until()); }
    bool is_stalled() const noexcept { return net_.now < stalled_until(); }
    bool go_on();
    void connect();
    void hear();
    void send_waiting();
    void lost();
    void expire();
    std::shared_ptr<request> make_detached(std::string text, const script& which);
    static void finish(request& one) noexcept;
    static void fail(request& one, const char* why);
    void input(std::uint64_t what);
    hash_pair identity() const noexcept;

    network& net_;
    client_side& owner_;
    const std::string name_;
    const std::size_t server_;
    const std::uint64_t line_;
    const bool on_caller_;
    /// The present connection's.
    std::size_t number_ = std::hash<std::string>()(name_);
    bool due_ = false;

    state state_ = state::none;
    bool broken_ = false;
    bool slow_;
    boottime::time_point opening_until_{};
    std::deque<std::string> out_;
    std::deque<std::string> back_;
    std::deque<std::string> unread_;

    std::deque<request*> waiting_;
    std::deque<request*> sent_;
    std::vector<std::shared_ptr<request>> detached_;
    boottime::time_point stalled_until_{};
    boottime::time_point pause_until_{};
    int failures_ = 0;
    bool proven_ = false;
    bool has_failed_ = false;
};

/// What such an answer is to who has asked.
reply_value parse(const std::string& answer);

}  // namespace holdfast::redis::model

#endif
