// One connection to one Redis server: connecting, greeting, bytes out, replies in. Never blocks.
#ifndef HOLDFAST_BACKENDS_REDIS_CONNECTION_HPP
#define HOLDFAST_BACKENDS_REDIS_CONNECTION_HPP

#include <backends/redis/protocol.hpp>
#include <backends/redis/server.hpp>
#include <core/fork.hpp>
#include <core/resolver.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

using core::resolver;
using core::socket_address;

class guide;

/** Not usable before it has answered `ready`, and never again after `failed`.

    Thread safety: distinct objects safe.
*/
class connection {
public:
    /// @param on_name_found is notified when the host's name has been looked up, if that takes time
    /// @param closing is called before the descriptor is closed to be replaced by another one
    connection(const server& to, resolver& names, core::notifier* on_name_found, std::function<void()> closing);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    enum class status { opening, ready, failed };
    /// Goes on as far as that is possible now.
    /// @param read whether to look for replies, which costs a call to the kernel
    status drive(boottime::time_point now, bool read);
    /** Sleeps in the socket until the server says something, for a tenth of a second at most: half of what a poll and
        a read cost together. Reads it, so that `drive` need not.

        @return false, having done nothing, where it cannot: while opening, with bytes still to be written, with TLS
    */
    bool await_answer();
    static constexpr std::chrono::milliseconds longest_sleep{100};
    /// Adds to what is to be written. @pre ready
    void send(std::string_view bytes) { (tls_ == nullptr ? out_ : plain_) += bytes; }
    /// The next reply that is there, or null. May find that the connection has failed.
    reply_value receive();
    /// What an error reply amounts to that came here; in the server's words unless they may repeat our password.
    failure failure_from(std::string_view text) const;
    /// To be called when no reply is awaited: whatever has been said all the same belongs to nothing, and would be
    /// taken for the next answer. Fails then. @param fresh nothing has been asked yet, so that an error says why
    /// nothing will be answered @return whether there was nothing
    bool expect_silence(bool fresh);
    /// It is of no use any more, by what it answers or does not. Fails.
    void give_up(std::string why);
    /// It may be: the next connection asks the sentinels, if there are any, where the master is.
    void doubt() noexcept;
    /// It has let us in: it finished TLS, or answered a greeting.
    bool was_welcome() const noexcept { return welcome_; }
    /// What has failed it is a server that says more than it is asked.
    bool was_talkative() const noexcept { return talkative_; }

    /// Notifies nobody any more.
    void hush() noexcept;

    status now_is() const noexcept { return status_; }
    const failure& why() const noexcept { return failure_; }
    /// When `drive` must be called at the latest while opening.
    boottime::time_point opening_until() const noexcept;
    int descriptor() const noexcept;
    short poll_events() const noexcept;

private:
    enum class stage { locating, naming, connecting, securing, greeting, open };

    void go_to(const server_address& where);
    void locate(boottime::time_point now);
    void check_role(const redisReply& said);
    bool has_moved();
    void check_node(const redisReply& said);
    bool is_another_node();
    void begin_connect(boottime::time_point now);
    bool end_connect(boottime::time_point now);
    void begin_talk();
    void secure();
    void greet();
    void hear_greeting();
    void open() noexcept;
    void identify(std::string_view info);
    void leave_roll() noexcept;
    bool flush();
    /// @param flags of recv(2)
    bool fill(int flags);
    void fail(errc code, std::string text, bool transient = true, int native_code = 0);
    void fail_by_errno(const char* what, int number);
    void fail_by_tls();
    void fail_by_end();
    const char* perhaps_tls() const noexcept;
    bool take_in(const char* bytes, std::size_t size);

    const server& server_;
    resolver& names_;
    const std::function<void()> closing_;
    status status_ = status::opening;
    stage stage_ = stage::naming;
    server_address place_;
    std::unique_ptr<guide> guide_;
    failure failure_;
    boottime::time_point open_by_;
    core::notifier* on_name_found_;
    std::shared_ptr<resolver::lookup> lookup_;
    std::vector<socket_address> addresses_;
    std::size_t next_address_ = 0;
    core::forked_descriptor socket_;
    struct greeting {
        /// What an error would mean; null: nothing.
        const char* refusal;
        /// The answer says which server this is.
        bool tells_identity;
        /// The answer says whether this is a master.
        bool tells_role = false;
        /// The answer says which node of a cluster this is.
        bool tells_node = false;
    };
    /// Those that are out.
    std::vector<greeting> greetings_;
    /// Where this connection is entered, and as what.
    std::shared_ptr<roll> enrolled_;
    std::size_t number_ = 0;
    std::string identity_;
    /// Which node it says that it is; empty: it does not say.
    std::string node_id_;
    /// Of who was expected when that was compared.
    unsigned identity_version_ = 0;
    const unsigned generation_ = core::fork_generation();
    std::unique_ptr<tls_session> tls_;
    /// With TLS: what is still to be encrypted.
    std::string plain_;
    std::string out_;
    std::size_t written_ = 0;
    bool heard_ = false;
    /// It has answered what it was asked after the greetings, and not with an error.
    bool has_served_ = false;
    /// Reads without MSG_DONTWAIT wait, up to `longest_sleep`.
    bool may_sleep_ = false;
    reply_reader in_;
    bool talkative_ = false;
    bool welcome_ = false;
};

/// The part of an error reply that says what went wrong, without where in a script that was.
std::string_view cause_of(std::string_view text) noexcept;
/// What an error reply of the server amounts to.
failure failure_of(std::string_view text);
/// The same without the server's words, which may repeat what was sent: for what was sent with a secret.
failure secretive_failure_of(std::string_view text);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
