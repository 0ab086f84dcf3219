// What runs inside the server, each script as one atomic step.
#ifndef HOLDFAST_BACKENDS_REDIS_SCRIPTS_HPP
#define HOLDFAST_BACKENDS_REDIS_SCRIPTS_HPP

#include <holdfast/config.hpp>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** A Lua script and its SHA-1.

    Owner ids end in `_hf1` (see docs/wire.md): where every holder has one, its release will be published, and there is
    little need to poll.
*/
class script {
public:
    explicit script(std::string source);
    script(const script&) = delete;
    script& operator=(const script&) = delete;

    /// EVALSHA with these keys and arguments, in place of what @p into was.
    /// @param last_key empty: none
    void call(std::string& into, std::span<const std::string_view> keys, std::span<const std::string_view> arguments,
              std::string_view last_key = {}) const;
    std::string call(std::span<const std::string_view> keys, std::span<const std::string_view> arguments) const {
        std::string made;
        call(made, keys, arguments);
        return made;
    }
    std::string call(std::initializer_list<std::string_view> keys,
                     std::initializer_list<std::string_view> arguments) const {
        return call(std::span(keys.begin(), keys.size()), std::span(arguments.begin(), arguments.size()));
    }
    /// The same call as EVAL, for a server that does not know the script yet.
    std::string with_source(const std::string& call) const;

private:
    const std::string source_;
    const std::string hash_;
};

/** Acquires answer {1}, or {1, token} where a counter is the last of their keys, and a refusal {0, remaining
    milliseconds, whether releases are heard}; the others integers.

    The counter is counted up first: if that fails nothing has been granted. Those that publish have a third argument
    where the channel is a sharded one.
*/
struct scripts {
    /// Also an acquire that was sent before and may have arrived. key; id, expiry
    static const script& lock_acquire();
    /// key; id, expiry
    static const script& lock_renew();
    /// Many at once, one answer each: 1, 0, or -1 where a key is none of ours by its type. keys; expiry, ids
    static const script& locks_renew();
    /// key; id, channel
    static const script& lock_release();

    /// writer, readers; id, expiry, "1" if it may have arrived before
    static const script& read_acquire();
    /// readers; id, expiry
    static const script& read_renew();
    /// The same, as a write in any case. readers; id, expiry
    static const script& read_confirm();
    /// readers; id, channel
    static const script& read_release();
    /// writer, readers; id, expiry, "1" to leave the mark of a waiting writer
    static const script& write_acquire();
    /// writer; id, channel
    static const script& write_release();
    /// writer; id, channel
    static const script& write_withdraw();

    /// key; id, expiry, number of tickets, expiry of the set, "1" if it may have arrived before
    static const script& ticket_acquire();
    /// key; id, expiry, expiry of the set
    static const script& ticket_renew();
    /// key; id, channel
    static const script& ticket_release();
    /// key; number of tickets. Answers how many are free.
    static const script& ticket_count();
};

/// Ends every owner id of ours.
constexpr std::string_view owner_suffix = "_hf1";

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
