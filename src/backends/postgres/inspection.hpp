// What `provider::list` and `provider::examine` tell of a server, over a connection of the user's own.
#ifndef HOLDFAST_BACKENDS_POSTGRES_INSPECTION_HPP
#define HOLDFAST_BACKENDS_POSTGRES_INSPECTION_HPP

#include <holdfast/backends/postgres.hpp>
#include <holdfast/inspection.hpp>

#include <libpq-fe.h>

#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/** @pre @p connection is idle, or in a transaction that has not failed, of which nothing changes.

    Both throw @ref error. When the server does not answer, the connection has a command under way.
*/
std::vector<lock_entry> list_over(PGconn* connection, const list_query& query);
std::vector<finding> examine_over(PGconn* connection, pooler said, const examination& how);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
