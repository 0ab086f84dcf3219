// Who knows where the master is, and asking them.
#ifndef HOLDFAST_BACKENDS_REDIS_SENTINELS_HPP
#define HOLDFAST_BACKENDS_REDIS_SENTINELS_HPP

#include <backends/redis/connection.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** The sentinels of one master, and what they said last.

    Thread safety: safe.
*/
class sentinels {
public:
    /// @param all with the user and the password that sentinels want
    sentinels(std::string master, std::vector<server> all) : master_(std::move(master)), all_(std::move(all)) {}
    sentinels(const sentinels&) = delete;
    sentinels& operator=(const sentinels&) = delete;

    const std::string& master() const noexcept { return master_; }
    std::size_t count() const noexcept { return all_.size(); }
    /// Those that answered last come first.
    const server& in_turn(std::size_t number) const;

    /// Where the master was a moment ago, if nothing has spoken against it.
    std::optional<server_address> known() const;
    /// @param by the number that was given to @ref in_turn
    void found(const server_address& where, std::size_t by);
    /// Another address than this one is known.
    bool have_left(const server_address& where) const;
    /// It is not there, or no master.
    void forget(const server_address& where);

private:
    const std::string master_;
    const std::vector<server> all_;
    mutable std::mutex mutex_;
    std::optional<server_address> known_;
    std::size_t first_ = 0;
};

/** Asks one sentinel after the other, until one knows. Never blocks.

    Thread safety: none.
*/
class guide {
public:
    guide(sentinels& whom, resolver& names, core::notifier* on_name_found, std::function<void()> closing)
        : whom_(whom), names_(names), on_name_found_(on_name_found), closing_(std::move(closing)) {}
    guide(const guide&) = delete;
    guide& operator=(const guide&) = delete;

    enum class status { looking, found, failed };
    status drive(boottime::time_point now);

    const server_address& where() const noexcept { return where_; }
    const std::string& why() const noexcept { return why_; }

    void hush() noexcept;
    int descriptor() const noexcept { return connection_ == nullptr ? -1 : connection_->descriptor(); }
    short poll_events() const noexcept { return connection_ == nullptr ? short{0} : connection_->poll_events(); }
    /// When to drive again at the latest.
    boottime::time_point until() const noexcept { return until_; }

private:
    bool hear();
    void next(const std::string& why);

    sentinels& whom_;
    resolver& names_;
    core::notifier* on_name_found_;
    const std::function<void()> closing_;
    std::unique_ptr<connection> connection_;
    bool asked_ = false;
    std::size_t turn_ = 0;
    boottime::time_point until_{};
    server_address where_;
    std::string why_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
