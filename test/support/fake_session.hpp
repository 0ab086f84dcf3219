// A server in memory whose locks end with the connection that took them, for tests of everything above a backend.
#ifndef HOLDFAST_TEST_SUPPORT_FAKE_SESSION_HPP
#define HOLDFAST_TEST_SUPPORT_FAKE_SESSION_HPP

#include <core/backend.hpp>
#include <support/fault_script.hpp>

#include <holdfast/provider.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace holdfast::fakes {

/** The server's side. Answers arrive as readability of a descriptor, as on a socket.

    Thread safety: safe.
*/
class session_server : public std::enable_shared_from_this<session_server> {
public:
    struct session;

    session_server() = default;
    session_server(const session_server&) = delete;
    session_server& operator=(const session_server&) = delete;
    ~session_server();

    /// The next @p times requests of this kind go wrong.
    void script(core::verb what, fault which, int times = 1);
    void clear_script();
    /// The next @p times attempts to connect throw @p thrower's exception.
    void refuse_connections(int times, std::function<void()> thrower = {});
    /// Runs when a cancel has arrived and before it is looked at.
    void before_cancel(std::function<void()> hook);

    /// Another process takes and gives back @p mapped.
    bool take_elsewhere(const std::string& mapped, core::access mode = core::access::exclusive);
    void free_elsewhere(const std::string& mapped);

    /// Ends the sessions that hold @p mapped. @return how many holds there were
    int kill_holders(const std::string& mapped);
    /// Ends the sessions that hold nothing and ask for nothing, as an idle timeout does.
    int kill_idle();

    int holds() const;
    int waiters() const;
    int sessions() const;
    /// Requests for a name that the session holds already, or waits on a session that holds: rule 3 of the design.
    int broken_rules() const;
    int requests() const;

private:
    friend class session_link;

    struct hold {
        session* by = nullptr;
        core::access mode = core::access::exclusive;
    };
    struct waiter {
        session* by = nullptr;
        core::claim who;
        bool converting = false;
    };
    struct table {
        std::vector<hold> holders;
        std::deque<waiter> waiters;
        int elsewhere = 0;
        core::access elsewhere_mode = core::access::exclusive;
    };

    std::shared_ptr<session> connect();
    void end(session& which);
    void request(session& from, const core::command& cmd);
    void cancel(session& from);

    // The mutex is held in all of these.
    void carry_out(session& from, const core::command& cmd);
    void try_acquire(session& from, const core::command& cmd);
    void convert(session& from, const core::command& cmd);
    void wait(session& from, const core::command& cmd, bool converting);
    void release(session& from, const core::claim& who);
    void answer(session& to, core::verdict result, errc code = errc::unavailable, int count = 0);
    void kill(session& which);
    void forget(session& which);
    void grant_waiters(table& where);
    void grant(table& where, session& to, core::access mode);
    static bool compatible(const table& where, const core::claim& who);
    static hold* find(table& where, const session& by);

    mutable std::mutex mutex_;
    fault_script faults_;
    int refused_connections_ = 0;
    std::function<void()> thrower_;
    std::function<void()> before_cancel_;
    std::unordered_map<std::string, table> tables_;
    std::vector<std::shared_ptr<session>> sessions_;
    int broken_rules_ = 0;
    int requests_ = 0;
    std::uint64_t last_token_ = 0;
};

struct session_options {
    std::chrono::milliseconds reply_grace{200};
    std::chrono::milliseconds cancel_grace{100};
};

class session_backend final : public core::backend {
public:
    explicit session_backend(std::shared_ptr<session_server> server, const session_options& options = {});

    std::string_view name() const noexcept override { return "fake-session"; }
    const holdfast::capabilities& capabilities() const noexcept override;
    const core::backend_traits& traits() const noexcept override { return traits_; }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;

private:
    const std::shared_ptr<session_server> server_;
    core::backend_traits traits_;
};

provider make_session_provider(const std::shared_ptr<session_server>& server, const provider_settings& settings = {},
                               const session_options& options = {});

}  // namespace holdfast::fakes

#endif
