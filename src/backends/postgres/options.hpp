// Options of the postgres backend: from a URL, and checked.
#ifndef HOLDFAST_BACKENDS_POSTGRES_OPTIONS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_OPTIONS_HPP

#include <holdfast/backends/postgres.hpp>

#include <libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace postgres {

struct free_options {
    void operator()(PQconninfoOption* all) const noexcept { ::PQconninfoFree(all); }
};
/// What libpq has read, parameter by parameter, up to one without a keyword.
using conninfo = std::unique_ptr<PQconninfoOption, free_options>;

/// Throws `errc::invalid_options`.
void check(const options& opts);
/// Where a connection string, and what libpq takes from the environment, lead; lists as libpq has them.
struct connect_target {
    std::string hosts;
    std::string addresses;
    std::string ports;
    /// `connect_timeout`, for each host; zero: not said.
    std::int64_t seconds = 0;
    /// The string names a service, whose file may say more.
    bool from_service = false;
};
connect_target target_of_connecting(const options& opts);
/// How long connecting may take, and over how many hosts.
struct connect_limit {
    std::chrono::milliseconds whole;
    int hosts;
};
connect_limit limit_of_connecting(const options& opts, const connect_target& target);
inline connect_limit limit_of_connecting(const options& opts) {
    return limit_of_connecting(opts, target_of_connecting(opts));
}
bool multiplexes(const options& opts);
options options_from(const url& address);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
