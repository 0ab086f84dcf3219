// One text of SQL, and its answers, on a connection that belongs to the user.
#ifndef HOLDFAST_BACKENDS_POSTGRES_EXCHANGE_HPP
#define HOLDFAST_BACKENDS_POSTGRES_EXCHANGE_HPP

#include <backends/postgres/statements.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// When a cancel that has had no effect is sent again.
inline constexpr std::chrono::milliseconds cancel_again{50};

/** Sends statements and gathers what they answer, in one trip. Does not wait; begins no transaction of its own.

    In the user's transaction the statements run within a savepoint, so that their failure does not end it. What they
    set is undone, unless the savepoint is to be `kept`.
*/
class exchange {
public:
    explicit exchange(PGconn* connection) noexcept : connection_(connection) {}

    /// Empty when something can be asked; else what the user has to do about it.
    std::string_view obstacle() const noexcept;
    bool in_transaction() const noexcept { return ::PQtransactionStatus(connection_) == PQTRANS_INTRANS; }
    bool is_open() const noexcept;

    /// @param keep leave open what the statements have done: for locks that belong to the transaction.
    void begin(const std::string& statements, bool keep = false);
    /// Within the savepoint that a `begin` before has kept; what fails undoes that as well.
    void begin_within(const std::string& statements);
    /// True when all answers are there.
    bool advance();
    /// Asks the server to end the statement that runs. Blocks while it connects, as libpq has no other way.
    void cancel() const noexcept;

    int descriptor() const noexcept { return ::PQsocket(connection_); }
    short events() const noexcept { return events_; }

    /// The connection has ended before the answers.
    bool is_lost() const noexcept { return lost_; }
    bool has_failed() const noexcept { return !sqlstate_.empty(); }
    const std::string& sqlstate() const noexcept { return sqlstate_; }
    /// The server's text, or libpq's.
    const std::string& text() const noexcept { return text_; }
    /// The fields of every row, in the order in which they came.
    const std::vector<std::string>& values() const noexcept { return values_; }

private:
    void reset() noexcept;
    void send(const std::string& statements);
    void take(const PGresult& result);

    PGconn* connection_;
    short events_ = 0;
    bool guarded_ = false;
    int undone_ = 0;
    bool lost_ = false;
    std::string sqlstate_;
    std::string text_;
    std::vector<std::string> values_;
};

/// `pg_catalog.pg` @p function `_shared(key)`: @p function is such as `_try_advisory_lock`.
std::string call_of(std::string_view function, const key& which, bool shared);
/// Whether this session holds @p which: in either mode, or in the given one.
std::string holds(const key& which);
std::string holds(const key& which, bool shared);
/// Branches of a CASE that comes before the lock: 'standby' and 'pooler', where it would exclude nobody.
/// @param pooled a pooler that keeps the session for this client is there, and known to be
std::string unfit(PGconn* connection, bool pooled);
/// What to say of such an answer; empty when it is none.
std::string_view why_unfit(std::string_view answer) noexcept;
/// For one wait: the server's limits of this statement. Negative: none.
std::string limits_of(std::chrono::milliseconds wait);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
