// Many locks over few connections.
#ifndef HOLDFAST_SESSION_MULTIPLEXER_HPP
#define HOLDFAST_SESSION_MULTIPLEXER_HPP

#include <core/backend.hpp>
#include <core/fork.hpp>
#include <session/wire.hpp>

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

struct end_watch;
class key_state;

struct multiplexer_options {
    /// Locks share connections. Otherwise each has one of its own, and the two limits below do not count.
    bool multiplexing = true;
    int max_connections = 50;
    /// How many connections may stand waiting in the server.
    int max_waiting_connections = 32;
    /// How often those are tried again who wait without a connection.
    std::chrono::milliseconds retry_cadence{250};
    std::chrono::milliseconds connect_timeout{4000};
    /// After this time a connection that nobody needs is closed with the next occasion; one is kept.
    std::chrono::milliseconds idle_timeout{30000};
    /// The longest that one wait stands in the server before it queues again; zero: no limit.
    std::chrono::milliseconds max_server_wait{0};
    /// Whether a wait that stands in the server can be ended there: not where a connection's session changes. Otherwise
    /// a cancelled wait ends with `max_server_wait`, which must be given then.
    bool cancels_on_server = true;
    /// How often a connection that holds locks and says nothing is asked whether it is there; zero: never.
    std::chrono::milliseconds keepalive{0};
};

/** The session family's engine: which command goes over which connection, and who waits where.

    Three kinds of use of a connection, which change with what it has to do:

    - *shared*: carries tries and releases of any number of locks, and holds what they were granted. One batch at a time
      is out; what comes meanwhile gathers and goes as the next one.
    - *standing*: one wait in the server, on a connection that holds nothing. At most `max_waiting_connections`, and
      always one less than `max_connections`, so that tries, releases and cancels never wait for somebody's lock.
    - *spare*: neither.

    Who finds no place to stand waits in the *room*, without a connection, and is tried again at a cadence, when its
    name is released in this process, and gets a place as soon as one is free.

    A session is never asked for a name that it holds or is being asked for, since servers' locks are reentrant there.

    The reader of a connection's socket is its leader: a calling thread that waits for its own command, and reads for
   all others meanwhile; or the executor. Callers do the executor's part, only later, where that does not run.

    Thread safety: safe. One mutex guards all of it; nothing that is called under it blocks.
*/
class HOLDFAST_API multiplexer : public std::enable_shared_from_this<multiplexer> {
public:
    using connector = std::function<std::unique_ptr<session_wire>()>;

    multiplexer(connector connect, const multiplexer_options& options);
    multiplexer(const multiplexer&) = delete;
    multiplexer& operator=(const multiplexer&) = delete;
    ~multiplexer();

    /// A light object that finds its connection with its first command.
    std::unique_ptr<link> make_link(const backend_context& context);

    struct counts {
        int connections = 0;
        int standing = 0;
        int in_room = 0;
    };
    counts count() const;

private:
    friend class session_link;
    class entry;
    using request_ptr = std::shared_ptr<session_request>;
    using connection_ptr = std::shared_ptr<session_connection>;

    // The mutex is held in all that follows, but for `take_turn`.

    // multiplexer.cpp: which command goes over which connection, and what its answer means.
    void begin(const request_ptr& asked, const connection_ptr& on);
    void begin_try(const request_ptr& asked);
    void begin_wait(const request_ptr& asked, const connection_ptr& on);
    void detach(const request_ptr& asked);
    void make_sure(const claim& who, const connection_ptr& on, session_verb what);
    void retry_failed(boottime::time_point now);

    bool refused_here(const session_request& asked);
    connection_ptr choose(const session_request& asked);
    connection_ptr least_busy(const session_connection* but) const;
    connection_ptr open();
    void enqueue(const connection_ptr& where, const request_ptr& asked);
    bool unqueue(const request_ptr& asked);
    void pump(const connection_ptr& where);
    void gather(const connection_ptr& where);
    bool may_go(const connection_ptr& where, const request_ptr& asked);
    void set_out(const connection_ptr& where, session_request& asked) const;
    void appoint(const connection_ptr& where);
    void drive(const connection_ptr& where);
    bool ended_unseen(const connection_ptr& where);
    void answered(const connection_ptr& where, const request_ptr& asked);
    void unattended(const connection_ptr& where, const request_ptr& asked);
    void finish(session_request& asked, verdict result);
    void finish(session_request& asked);
    void give_up(const connection_ptr& where) noexcept;
    void ended(connection_ptr where);
    void tidy();
    void close_spare();

    // multiplexer_waits.cpp: who waits in the server, who without a connection, and how a wait in the server is ended.
    connection_ptr place_to_stand(const connection_ptr& preferred);
    void stand(const connection_ptr& where, const request_ptr& asked);
    void enter_room(const request_ptr& asked);
    void leave_room(const request_ptr& asked);
    void retry(const request_ptr& asked);
    void retry_room();
    void cancel(const request_ptr& asked);
    void cancel_standing(const connection_ptr& where);
    void cancel_answered(std::int64_t session, bool had_a_way);
    void displace();
    void interrupt(const connection_ptr& where);

    // multiplexer_reactor.cpp: sockets that nobody else reads, the clock, and the ends of connections.
    template <class Work>
    void take_turn(Work work);
    bool have_executor() noexcept;
    bool have_reactor(const connection_ptr& where) noexcept;
    bool have_timer() noexcept;
    void arm(const connection_ptr& where);
    void await(const connection_ptr& where, bool writing);
    void post_pump(const connection_ptr& where);
    void schedule(boottime::time_point at);
    void tick();
    void help();
    boottime::time_point next_tick() const;
    void monitor(const connection_ptr& where);
    void await_ends();
    void look_for_ends();

    const connector connect_;
    const multiplexer_options options_;
    const unsigned generation_ = fork_generation();

    mutable std::mutex mutex_;
    std::function<boost::asio::any_io_executor()> get_executor_;
    std::optional<boost::asio::any_io_executor> executor_;
    std::vector<connection_ptr> connections_;
    int standing_ = 0;
    /// The command whose link is calling: it need not be told what it will see.
    const session_request* calling_ = nullptr;

    std::map<std::uint64_t, request_ptr> room_;
    std::unordered_multimap<const key_state*, std::uint64_t> room_names_;
    std::uint64_t last_in_room_ = 0;
    boottime::time_point room_due_ = never;
    boottime::time_point stand_again_at_ = boottime::time_point::min();

    /// What has failed to be given back, and when that is tried again.
    struct retrial {
        boottime::time_point at;
        connection_ptr where;
        request_ptr asked;
    };
    std::vector<retrial> retrials_;

    /// Left for the end of the call, since connections come and go by it.
    bool look_at_all_ = false;
    bool place_freed_ = false;
    /// What the timer runs for may be over; it must not keep a user's executor busy.
    bool timer_may_end_ = false;
    std::vector<const key_state*> released_;

    std::unique_ptr<boost::asio::steady_timer> timer_;
    boottime::time_point tick_at_ = never;
    std::unique_ptr<end_watch> ends_;
    std::uint64_t last_id_ = 0;
};

/// One call from outside: takes the mutex, and leaves nothing half done.
class multiplexer::entry {
public:
    explicit entry(multiplexer& owner, const session_request* calling = nullptr) : owner_(owner), guard_(owner.mutex_) {
        owner_.calling_ = calling;
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() {
        // Whoever called has had its look: what comes now, it has to be told.
        owner_.calling_ = nullptr;
        try {
            owner_.tidy();
        } catch (const std::exception&) {
            // No memory: all of it is left to the next call.
            owner_.look_at_all_ = owner_.place_freed_ = true;
        }
    }

private:
    multiplexer& owner_;
    const std::lock_guard<std::mutex> guard_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
