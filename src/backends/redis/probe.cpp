#include <backends/redis/probe.hpp>
#include <backends/redis/protocol.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

probe::status probe::drive(boottime::time_point now, boottime::duration longest) {
    if (over_.drive(now, true) == connection::status::ready && until_ == core::never) {
        until_ = now + longest;
        over_.send(format({"PING"}));
        over_.drive(now, true);
    }
    // Also an error: it is there.
    if (until_ != core::never && over_.receive() != nullptr) return status::answered;
    return over_.now_is() == connection::status::failed || now >= until_ ? status::failed : status::asking;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
