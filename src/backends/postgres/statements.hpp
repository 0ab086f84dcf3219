// What is said to PostgreSQL: prepared statements, and keys as it knows them.
#ifndef HOLDFAST_BACKENDS_POSTGRES_STATEMENTS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_STATEMENTS_HPP

#include <core/claim.hpp>

#include <libpq-fe.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace postgres {

// Types' numbers, from the server's catalogue; they never change.
constexpr Oid oid_int2 = 21;
constexpr Oid oid_int4 = 23;
constexpr Oid oid_int8 = 20;
constexpr Oid oid_text = 25;
constexpr Oid oid_int2_array = 1005;
constexpr Oid oid_int8_array = 1016;

/// SQLSTATE of a lock table that is full.
inline constexpr std::string_view out_of_memory = "53200";

struct key {
    bool pair = false;
    std::uint64_t bits = 0;

    std::int32_t high() const noexcept { return static_cast<std::int32_t>(bits >> 32); }
    std::int32_t low() const noexcept { return static_cast<std::int32_t>(bits); }
    friend bool operator==(const key&, const key&) noexcept = default;
};

/// From the backend's own text: 16 digits, or twice 8 with a comma between.
key key_of(const core::claim& who) noexcept;
key key_in(std::string_view mapped) noexcept;
bool shared(const core::claim& who) noexcept;

struct statement {
    const char* text;
    std::array<Oid, 4> types;
    int count;
};

/** Numbers of statements. The first five are of four each, see `variant`.

    Those with a token take the name of a sequence as their last argument, and draw from it strictly after the grant.
*/
enum statement_number : std::size_t {
    try_lock = 0,
    lock = 4,
    unlock = 8,
    try_lock_with_token = 12,
    /// Many tries and unlocks in one go, each by a number of its statement.
    batch_statement = 16,
    /// The same; what was not granted is null, and an unlock answers with 1 or 0.
    batch_with_tokens,
    /// So many numbers, for what has been granted already.
    draw,
    limit,
    holdings,
    waiters,
    waiters_with_token,
    cancel,
    ping,
    /// What keeps a lock of a transaction. `try_transaction` and `lock_transaction` are of four each.
    begin_transaction,
    /// Settings for the transaction that has begun, and whose it is.
    settle_transaction,
    end_transaction,
    try_transaction,
    lock_transaction = try_transaction + 4,
    last_statement = lock_transaction + 3,
    statement_count,
};

const statement& statement_at(std::size_t number) noexcept;

/// Which of four that differ in the kind of key, and in the mode.
std::size_t variant(std::size_t first, const key& which, bool reader) noexcept;

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
