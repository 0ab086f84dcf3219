// Whether a server that is silent on one connection answers on another one.
#ifndef HOLDFAST_BACKENDS_REDIS_PROBE_HPP
#define HOLDFAST_BACKENDS_REDIS_PROBE_HPP

#include <backends/redis/connection.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Connects once more, asking the sentinels anew where there are any, and says PING. Never blocks.

    A server that is slow or stopped is silent there, too, and then the first connection is kept: what was sent over it
    is carried out in its order. Only one that is dead, though its peer's kernel goes on acknowledging (a proxy, a
    firewall, a master that hangs and has been replaced), is worth being replaced.

    Thread safety: none.
*/
class probe {
public:
    /// @param on_name_found see @ref connection
    probe(const server& to, resolver& names, core::notifier* on_name_found) : over_(to, names, on_name_found, [] {}) {}
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;

    enum class status { asking, answered, failed };
    /// @param longest how long a connection that stands may take to answer
    status drive(boottime::time_point now, boottime::duration longest);
    void hush() noexcept { over_.hush(); }

private:
    connection over_;
    /// Unset: not asked yet.
    boottime::time_point until_ = core::never;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
