// Who knows where the master is, and asking them.
#ifndef HOLDFAST_BACKENDS_REDIS_SENTINELS_HPP
#define HOLDFAST_BACKENDS_REDIS_SENTINELS_HPP

#include <backends/redis/connection.hpp>

#include <atomic>
#include <cstdint>
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
    /// @param lease after which nobody has a lock any more whose master is not heard of
    sentinels(std::string master, std::vector<server> all, boottime::duration lease)
        : master_(std::move(master)), all_(std::move(all)), lease_(lease) {}
    sentinels(const sentinels&) = delete;
    sentinels& operator=(const sentinels&) = delete;

    const std::string& master() const noexcept { return master_; }
    std::size_t count() const noexcept { return all_.size(); }
    /// Those that answered last come first.
    const server& in_turn(std::size_t number) const;

    /// Where the master was a moment ago, if nothing has spoken against it.
    std::optional<server_address> known() const;
    /** A sentinel has named it.

        @param epoch which configuration that is of: each failover has a greater one (Redis' manual, "Configuration
               epochs"); unset: the sentinel does not tell
        @param by    the number that was given to @ref in_turn
        @return false, and it is not believed: an earlier one than is known. A sentinel that is cut off from the others
                names the old master for as long as that lasts.
    */
    bool found(const server_address& where, std::optional<std::uint64_t> epoch, std::size_t by,
               boottime::time_point now);
    /** Most of them have named one of an earlier configuration: they have been set up anew and count from the
        beginning, or the one that led the failover died before it could tell the others.

        @return false, and it is not believed: what is known was confirmed less than a lease ago
    */
    bool agreed(const server_address& where, std::uint64_t epoch, boottime::time_point now);
    /// Counts how often another master was named. Never blocks.
    unsigned version() const noexcept { return version_.load(std::memory_order_acquire); }
    /// Another master than this one was named last.
    bool have_left(const server_address& where) const;
    /// It is not there, or no master.
    void forget(const server_address& where);

private:
    const std::string master_;
    const std::vector<server> all_;
    const boottime::duration lease_;
    mutable std::mutex mutex_;
    std::optional<server_address> known_;
    /// Who was named last, also where it was not to be reached.
    server_address named_;
    std::atomic<unsigned> version_{0};
    /// The greatest one, and when a sentinel last named a master of it.
    std::uint64_t epoch_ = 0;
    boottime::time_point confirmed_at_{};
    std::size_t first_ = 0;

    void name(const server_address& where);
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
    const failure& why() const noexcept { return why_; }

    void hush() noexcept;
    int descriptor() const noexcept { return connection_ == nullptr ? -1 : connection_->descriptor(); }
    short poll_events() const noexcept { return connection_ == nullptr ? short{0} : connection_->poll_events(); }
    /// When to drive again at the latest.
    boottime::time_point until() const noexcept { return until_; }

private:
    void ask();
    bool hear(boottime::time_point now);
    bool hear_address(const redisReply& said);
    bool hear_epoch(const redisReply& said, boottime::time_point now);
    /// @param answered it has said something about the master
    void next(failure why, bool answered = true);
    bool most_are_behind(boottime::time_point now);

    sentinels& whom_;
    resolver& names_;
    core::notifier* on_name_found_;
    const std::function<void()> closing_;
    std::unique_ptr<connection> connection_;
    bool asked_ = false;
    std::size_t turn_ = 0;
    boottime::time_point until_{};
    server_address where_;
    /// Is there, and what is awaited is of which configuration.
    bool has_address_ = false;
    /// Of those that name an earlier configuration than is known: the latest, and how many there are.
    server_address behind_;
    std::uint64_t behind_epoch_ = 0;
    std::size_t are_behind_ = 0;
    failure why_;
    /// What one of them will not do however often it is asked: its password is another one, or it does not know the
    /// master.
    std::optional<failure> refusal_;
    /// One has answered what may be otherwise later.
    bool others_may_know_ = false;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
