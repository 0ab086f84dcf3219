// Locks that belong to a transaction of the user's.
#include <backends/postgres/backend.hpp>
#include <backends/postgres/errors.hpp>
#include <backends/postgres/exchange.hpp>
#include <core/backend.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <system_error>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

/// Becomes readable when @p stop is requested.
class stop_event {
public:
    explicit stop_event(const std::stop_token& stop)
        : callback_(stop, [number = event_.number] {
              const std::uint64_t one = 1;
              (void)!::write(number, &one, sizeof one);
          }) {}
    stop_event(const stop_event&) = delete;
    stop_event& operator=(const stop_event&) = delete;
    int descriptor() const noexcept { return event_.number; }

private:
    struct event {
        explicit event(int made) : number(made) {
            if (made >= 0) return;
            throw error(errc::unavailable, "postgres: no descriptor to wait with: " +
                                               std::error_code(errno, std::generic_category()).message());
        }
        event(const event&) = delete;
        event& operator=(const event&) = delete;
        ~event() { ::close(number); }
        const int number;
    };

    const event event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    // Ends first.
    const std::stop_callback<std::function<void()>> callback_;
};

class transaction_lock {
public:
    transaction_lock(PGconn* connection, std::string_view name, lock_mode mode, const std::stop_token& stop)
        : connection_(connection),
          name_(name),
          key_(key_in(mapped_key(name, false))),
          reader_(mode == lock_mode::read),
          stop_(stop) {}

    /// Why it is not ours; nothing when it is.
    std::optional<errc> acquire(timeout limit) {
        const auto deadline = limit.is_infinite() ? std::chrono::steady_clock::time_point::max()
                                                  : std::chrono::steady_clock::now() + limit.duration();
        check();
        if (stop_.stop_requested()) return errc::cancelled;
        exchange talk(connection_);
        // Whatever pooler there is keeps the session for as long as the transaction lasts, and so for as long as the
        // lock.
        constexpr bool pooled = true;
        talk.begin("SELECT CASE " + unfit(connection_, pooled) + "WHEN " + holds(key_) + " THEN 'here' WHEN " +
                       call_of("_try_advisory_xact_lock", key_, reader_) +
                       " THEN 'granted' ELSE 'refused' END; RELEASE SAVEPOINT holdfast_acquire",
                   true);
        if (const auto ended = finish(talk, with_grace(std::chrono::steady_clock::now()))) return ended;
        const std::string answer = talk.values().empty() ? "" : talk.values().front();
        if (answer == "granted") return std::nullopt;
        if (const std::string_view why = why_unfit(answer); !why.empty()) fail(errc::unsupported, std::string(why));
        if (limit.is_zero()) return errc::timed_out;
        if (answer == "here") {
            if (limit.is_infinite())
                fail(errc::deadlock, "this very session holds the lock, and would wait for itself");
            return sleep_until(deadline);
        }
        return wait(limit, deadline);
    }

private:
    [[noreturn]] void fail(errc code, const std::string& text) const {
        diagnostics diag;
        diag.backend = "postgres";
        diag.lock_name = name_;
        diag.message = text;
        throw error(make_error_code(code), std::move(diag));
    }

    void check() const {
        if (connection_ == nullptr) fail(errc::invalid_argument, "there is no connection");
        const exchange talk(connection_);
        if (const std::string_view why = talk.obstacle(); !why.empty()) fail(errc::invalid_state, std::string(why));
        if (!talk.in_transaction()) fail(errc::invalid_state, "no transaction is open on the connection");
    }

    std::optional<errc> wait(timeout limit, std::chrono::steady_clock::time_point deadline) {
        std::chrono::milliseconds left{-1};
        if (!limit.is_infinite()) {
            left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            left = std::max(left, std::chrono::milliseconds(1));
        }
        exchange talk(connection_);
        talk.begin(
            "SELECT pg_catalog.current_setting('statement_timeout'), pg_catalog.current_setting('lock_timeout'); " +
                limits_of(left) + "; SELECT " + call_of("_advisory_xact_lock", key_, reader_),
            true);
        if (const auto ended = finish(talk, with_grace(deadline))) return ended;
        // As text, whatever units the server gives it in. The savepoint cannot be rolled back: that would free the
        // lock.
        const std::string before = quoted(talk.values().at(0));
        const std::string before_lock = quoted(talk.values().at(1));
        exchange restore(connection_);
        restore.begin_within("SELECT pg_catalog.set_config('statement_timeout', " + before +
                             ", true), pg_catalog.set_config('lock_timeout', " + before_lock +
                             ", true); RELEASE SAVEPOINT holdfast_acquire");
        return finish(restore, with_grace(std::chrono::steady_clock::now()));
    }

    std::string quoted(const std::string& text) const {
        const std::unique_ptr<char, decltype(&::PQfreemem)> made(
            ::PQescapeLiteral(connection_, text.data(), text.size()), &::PQfreemem);
        if (made == nullptr) throw std::bad_alloc();
        return made.get();
    }

    static std::chrono::steady_clock::time_point with_grace(std::chrono::steady_clock::time_point from) {
        constexpr auto last = std::chrono::steady_clock::time_point::max();
        const auto grace = core::backend_traits{}.reply_grace;
        return from > last - grace ? last : from + grace;
    }

    /** Waits for the answers, until @p until. Returns why they are no success; throws for an error of the server's.

        A server that does not answer may have granted the lock, and the connection has a command under way for ever.
    */
    std::optional<errc> finish(exchange& talk, std::chrono::steady_clock::time_point until) {
        bool cancelled = false;
        auto again_at = std::chrono::steady_clock::time_point::max();
        const auto cancel = [&] {
            cancelled = true;
            talk.cancel();
            again_at = std::chrono::steady_clock::now() + cancel_again;
        };
        const auto time_to_poll = [&] {
            const auto at = cancelled ? std::min(until, again_at) : until;
            if (at == std::chrono::steady_clock::time_point::max()) return -1;
            constexpr std::int64_t longest = 60'000;
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(at - std::chrono::steady_clock::now());
            return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, longest));
        };
        while (!talk.advance()) {
            std::array<pollfd, 2> polled{pollfd{talk.descriptor(), talk.events(), 0},
                                         pollfd{cancelled ? -1 : stopped_.descriptor(), POLLIN, 0}};
            ::poll(polled.data(), polled.size(), time_to_poll());
            if (std::chrono::steady_clock::now() >= until) {
                if (talk.advance()) break;
                fail(errc::in_doubt, "the server does not answer, and may have granted the lock; close the connection");
            }
            if (!cancelled && stop_.stop_requested()) {
                until = std::min(until, with_grace(std::chrono::steady_clock::now()));
                cancel();
            } else if (cancelled && std::chrono::steady_clock::now() >= again_at) {
                cancel();
            }
        }
        if (talk.is_lost()) fail(errc::unavailable, talk.text());
        if (!talk.has_failed()) return std::nullopt;
        constexpr std::string_view query_cancelled = "57014";
        if (cancelled && talk.sqlstate() == query_cancelled) return errc::cancelled;
        const errc code = code_of(talk.sqlstate());
        if (code == errc::timed_out) return code;
        fail(code, talk.sqlstate() + ": " + talk.text());
    }

    std::optional<errc> sleep_until(std::chrono::steady_clock::time_point deadline) {
        while (std::chrono::steady_clock::now() < deadline) {
            if (stop_.stop_requested()) return errc::cancelled;
            pollfd polled{stopped_.descriptor(), POLLIN, 0};
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            ::poll(&polled, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        }
        return errc::timed_out;
    }

    PGconn* const connection_;
    const std::string name_;
    const key key_;
    const bool reader_;
    const std::stop_token stop_;
    const stop_event stopped_{stop_};
};

}  // namespace

bool try_acquire_in_transaction(::pg_conn* connection, std::string_view name, timeout limit, lock_mode mode,
                                const std::stop_token& stop) {
    const auto ended = transaction_lock(connection, name, mode, stop).acquire(limit);
    if (ended == errc::cancelled) throw error(errc::cancelled, "postgres: the wait was cancelled");
    return !ended;
}

void acquire_in_transaction(::pg_conn* connection, std::string_view name, timeout limit, lock_mode mode,
                            const std::stop_token& stop) {
    if (!try_acquire_in_transaction(connection, name, limit, mode, stop)) {
        throw error(errc::timed_out, "postgres: somebody else had the lock for the whole time");
    }
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
