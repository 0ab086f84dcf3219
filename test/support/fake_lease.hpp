// A server in memory whose locks end with their time, for tests of everything above a backend.
#ifndef HOLDFAST_TEST_SUPPORT_FAKE_LEASE_HPP
#define HOLDFAST_TEST_SUPPORT_FAKE_LEASE_HPP

#include <core/backend.hpp>
#include <support/fault_script.hpp>

#include <holdfast/provider.hpp>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace holdfast::fakes {

struct lease_options {
    std::chrono::milliseconds lifetime{2000};
    std::chrono::milliseconds margin{100};
    std::chrono::milliseconds reply_grace{200};
    std::chrono::milliseconds cancel_grace{100};
    std::size_t renewals_at_once = 1;
};

/** The server's side. Answers and wake-ups come from its own thread by the notifier, as from a connection that many
    share.

    Thread safety: safe.
*/
class lease_server {
public:
    struct conversation;

    lease_server();
    lease_server(const lease_server&) = delete;
    lease_server& operator=(const lease_server&) = delete;
    ~lease_server();

    void script(core::verb what, fault which, int times = 1);
    void clear_script();
    /// Lets go of what is late by `until_let_go`.
    void let_go();
    /// The next @p times attempts to connect throw @p thrower's exception.
    void refuse_connections(int times, std::function<void()> thrower = {});
    /// The next @p count publications reach nobody.
    void lose_wakes(int count);
    /// Wakes everybody who listens, for no reason.
    void wake_all();
    /// Ends connections without a request. @return how many there were
    int kill_idle();

    /// Another process takes @p mapped for @p lifetime, and gives it back.
    void take_elsewhere(const std::string& mapped, std::chrono::milliseconds lifetime,
                        core::access mode = core::access::exclusive);
    void free_elsewhere(const std::string& mapped);
    /// Ends the leases on @p mapped before their time. @return how many there were
    int expire(const std::string& mapped);

    /// Leases that are not over.
    int holds() const;
    /// Writers that are announced as waiting.
    int marks() const;
    int watches() const;
    int connections() const;
    /// Two requests at once on one connection, or two leases for one owner.
    int broken_rules() const;
    int requests(core::verb what) const;
    /// How often an asker gave a request up.
    int cancels() const;

private:
    friend class lease_link;
    friend class lease_watch;

    struct holding {
        core::access mode = core::access::exclusive;
        boottime::time_point until{};
    };
    struct table {
        std::map<std::string, holding, std::less<>> holders;
        std::string marked_by;
        boottime::time_point mark_until{};
    };
    struct listener {
        std::string mapped;
        core::notifier* on_wake = nullptr;
    };

    std::shared_ptr<conversation> connect();
    void end(conversation& which);
    void request(const std::shared_ptr<conversation>& from, const core::command& cmd, core::notifier& on_progress,
                 std::chrono::milliseconds lifetime);

    // The mutex is held in all of these.
    void carry_out(const std::shared_ptr<conversation>& from, core::verb what, const core::claim& who, bool staying,
                   std::chrono::milliseconds lifetime);
    core::reply renew_all(conversation& from, std::chrono::milliseconds lifetime);
    core::reply decide(core::verb what, const core::claim& who, bool staying, std::chrono::milliseconds lifetime);
    core::reply try_acquire(const core::claim& who, bool staying, std::chrono::milliseconds lifetime);
    core::reply refuse(const table& where, bool marked, std::chrono::milliseconds lifetime) const;
    void deliver(const std::shared_ptr<conversation>& to, core::reply made, std::chrono::milliseconds delay);
    void kill(conversation& which);
    void publish(const std::string& mapped);
    void later(std::chrono::milliseconds delay, std::function<void()> job);
    void purge(table& where) const;
    static bool compatible(const table& where, const core::claim& who);

    void serve();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::multimap<boottime::time_point, std::function<void()>> jobs_;
    std::vector<std::function<void()>> held_back_;
    fault_script faults_;
    int refused_connections_ = 0;
    std::function<void()> thrower_;
    int lost_wakes_ = 0;
    mutable std::unordered_map<std::string, table> tables_;
    std::vector<std::shared_ptr<conversation>> conversations_;
    std::vector<listener*> listeners_;
    std::map<core::verb, int> requests_;
    int broken_rules_ = 0;
    int cancels_ = 0;
    std::uint64_t last_token_ = 0;
    std::thread thread_;
};

class lease_backend final : public core::backend {
public:
    explicit lease_backend(std::shared_ptr<lease_server> server, const lease_options& options = {});

    std::string_view name() const noexcept override { return "fake-lease"; }
    const holdfast::capabilities& capabilities() const noexcept override;
    const core::backend_traits& traits() const noexcept override { return traits_; }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::unique_ptr<core::watch> arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                     const core::backend_context& context, core::waiter where) override;
    std::size_t renewals_at_once(const core::claim&) const noexcept override { return renewals_at_once_; }

private:
    const std::shared_ptr<lease_server> server_;
    const std::chrono::milliseconds lifetime_;
    const std::size_t renewals_at_once_;
    core::backend_traits traits_;
};

provider make_lease_provider(const std::shared_ptr<lease_server>& server, const provider_settings& settings = {},
                             const lease_options& options = {});

}  // namespace holdfast::fakes

#endif
