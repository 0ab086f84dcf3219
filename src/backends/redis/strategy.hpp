// What each command is to Redis, and what its answers mean.
#ifndef HOLDFAST_BACKENDS_REDIS_STRATEGY_HPP
#define HOLDFAST_BACKENDS_REDIS_STRATEGY_HPP

#include <backends/redis/channel.hpp>
#include <core/backend.hpp>

#include <boost/container/small_vector.hpp>

#include <optional>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// The readers' key of the reader-writer lock whose writer's key is @p key; nothing if it is none.
std::optional<std::string> readers_key(const std::string& key);

/// Where a text is made for as long as a command takes to be: most fit on the stack.
using text_room = boost::container::small_vector<char, 128>;

/** Commands to bytes and replies to verdicts, for one database.

    Thread safety: safe.
*/
class strategy {
public:
    explicit strategy(const options& opts);

    const options& settings() const noexcept { return options_; }
    std::string key_of(core::primitive_kind kind, std::string_view name) const;
    /// Where releases of the name are told.
    std::string channel_of(const core::claim& who) const;

    /// Where the server itself tells of the keys' ends, if it does.
    std::vector<std::string> event_channels_of(const core::claim& who) const;

    /// The fencing counter of the lock with that key; empty: none. @param room where it is made, if it has to be
    std::string_view counter_of(std::string_view key, std::string& room) const;

    /// False for a command that there is nothing to be sent for: it is done.
    static bool asks(const core::command& cmd) noexcept;
    /// Where it is not carried out, others are kept out for as long as the lock's time.
    static bool takes_away(core::verb what) noexcept;
    /// @p into as it is to be sent for @p cmd. @param began when the command began, which the core counts leases from
    void fill(request& into, const core::command& cmd) const;
    /// The answers to a command that renews some leases together, each to its share.
    core::reply judge_together(const core::command& cmd, const request& done, boottime::time_point began) const;
    /// How many leases like @p who's one command can renew.
    static std::size_t renewals_at_once(const core::claim& who) noexcept;
    /// What asks on one connection, after a grant, whether enough replicas have it: a write, and WAIT.
    void fill_confirmation(request& write, request& wait, const core::claim& who) const;
    /// Empty: they have. Else why the grant is to be given back.
    std::string judge_confirmation(const request& write, const request& wait) const;
    /// What undoes @p asked on a server that granted it though the others did not. Tells nobody: nothing was free.
    std::string undo(const core::claim& who, const script*& which) const;
    /// @param what, mode the command's; @param began when it began
    /// @param news_come whether somebody would tell of a release
    core::reply judge(core::verb what, core::access mode, const request& done, boottime::time_point began,
                      boottime::time_point now, bool news_come) const;

private:
    void fill_lock(request& into, const core::command& cmd, std::string_view id) const;
    void fill_read(request& into, const core::command& cmd, std::string_view id) const;
    void fill_write(request& into, const core::command& cmd, std::string_view id) const;
    void fill_renewals(request& into, const core::command& cmd) const;
    void fill_ticket(request& into, const core::command& cmd, std::string_view id) const;
    void set_release(request& into, const script& which, std::string_view key, std::string_view id,
                     const core::claim& who) const;
    /// Made in the room.
    std::string_view id_of(const core::claim& who, text_room& room) const;
    std::string_view channel_of(const core::claim& who, text_room& room) const;
    boottime::time_point retry_at(const redisReply& refusal, core::access mode, boottime::time_point now,
                                  bool news_come) const;

    const options options_;
    /// An owner's id, in which only the digits are to be filled in. Begins with machine and process, for those who
    /// look.
    const std::string owner_form_;
    const std::string channel_prefix_;
    const std::string expiry_;
    const std::string set_expiry_;
    /// The fencing counter's key, or in a cluster what they all begin with; empty: none.
    const std::string counter_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
