#include <backends/postgres/backend.hpp>
#include <backends/postgres/errors.hpp>
#include <backends/postgres/exchange.hpp>
#include <backends/postgres/external.hpp>
#include <backends/postgres/inspection.hpp>
#include <core/key_state.hpp>
#include <core/provider_state.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace postgres {

using core::never;
using core::progress;
using core::verb;
using core::verdict;

/// The connection, and what is left to do on it. One command at a time.
class external_session {
public:
    external_session(PGconn* given, bool behind_pooler) noexcept : connection(given), pooled(behind_pooler) {}

    /// False when another call is under way.
    bool begin(const void* who) {
        const std::lock_guard guard(mutex_);
        if (user_ != nullptr && user_ != who) return false;
        // PQreset makes it new.
        if (spoilt_ != 0 && spoilt_ == ::PQbackendPID(connection)) return false;
        user_ = who;
        return true;
    }
    void end(const void* who) {
        const std::lock_guard guard(mutex_);
        if (user_ == who) user_ = nullptr;
    }
    /// A command was given up while it ran: nothing more can be asked in this session.
    void spoil() {
        const std::lock_guard guard(mutex_);
        user_ = nullptr;
        spoilt_ = ::PQbackendPID(connection);
    }
    /// Could not be released when it should have been, because the connection was in no state for it.
    void owe(std::string unlock) {
        const std::lock_guard guard(mutex_);
        owed_ += (owed_.empty() ? "SELECT " : ", ") + unlock;
        owed_by_ = ::PQbackendPID(connection);
    }
    /// What is owed, to be sent before anything else.
    std::string take_owed() {
        const std::lock_guard guard(mutex_);
        if (!owed_.empty() && owed_by_ != ::PQbackendPID(connection)) owed_.clear();
        return std::exchange(owed_, {});
    }
    /// What has been taken could not be settled.
    void put_back(std::string owed) {
        const std::lock_guard guard(mutex_);
        constexpr std::string_view select = "SELECT ";
        owed_ = std::move(owed) + (owed_.empty() ? "" : ", " + owed_.substr(select.size()));
    }

    PGconn* const connection;
    /// There is a pooler, which keeps the session for us.
    const bool pooled;

private:
    std::mutex mutex_;
    /// Whose call it is.
    const void* user_ = nullptr;
    int spoilt_ = 0;
    std::string owed_;
    int owed_by_ = 0;
};

namespace {

class external_link final : public core::link {
public:
    explicit external_link(std::shared_ptr<external_session> session) noexcept
        : session_(std::move(session)), talk_(session_->connection) {}

    ~external_link() override {
        if (asking_) {
            // Its answer is still to come, and nobody is left to read it.
            session_->spoil();
            return;
        }
        session_->end(this);
        if (held_ && is_same_session()) session_->owe(unlock());
    }

    progress start(const core::command& cmd, core::notifier&) override {
        what_ = cmd.what;
        who_ = *cmd.who;
        key_ = key_of(who_);
        cancelled_ = false;
        wait_until_ = never;
        if (!session_->begin(this)) {
            return refuse("the connection is busy with another call; it serves one at a time");
        }
        if (what_ == verb::wait && held_here_) return wait_for_ourselves(cmd);
        if ((what_ == verb::release || what_ == verb::probe) && (!talk_.is_open() || !is_same_session())) {
            held_ = false;
            set_reply(verdict::link_lost).text = "the connection was closed";
            return finish();
        }
        if (const std::string_view obstacle = talk_.obstacle(); !obstacle.empty()) {
            return refuse(std::string(obstacle));
        }
        limit_ = cmd.limit;
        settling_ = session_->take_owed();
        if (settling_.empty()) {
            ask();
        } else {
            send(settling_);
        }
        return look();
    }

    progress advance() override {
        if (wait_until_ != never) {
            if (!cancelled_ && boottime::now() < wait_until_) return {false, wait_until_};
            wait_until_ = never;
            set_reply(verdict::timed_out);
            return finish();
        }
        if (!asking_ || talk_.advance()) return answered();
        if (cancelled_ && boottime::now() >= cancel_again_at_) send_cancel();
        return look();
    }

    void request_cancel() override {
        if (asking_ || wait_until_ != never) send_cancel();
    }

    int descriptor() const noexcept override { return asking_ ? talk_.descriptor() : -1; }
    short poll_events() const noexcept override { return talk_.events(); }
    bool reusable() const noexcept override { return false; }
    bool keeps(const core::claim&) const noexcept override { return talk_.is_open() && is_same_session(); }

private:
    bool is_same_session() const noexcept { return session_id_ == ::PQbackendPID(session_->connection); }
    std::string unlock() const { return call_of("_advisory_unlock", key_, shared(who_)); }

    void send(const std::string& statements) {
        asking_ = true;
        talk_.begin(statements);
    }

    void ask() {
        session_id_ = ::PQbackendPID(session_->connection);
        const bool reader = shared(who_);
        std::string statements;
        switch (what_) {
            case verb::try_acquire:
                // The server grants a session what it holds already, which would be no exclusion.
                // Twice: when the second one fails, it is known that what the session holds then is the try's.
                for (const std::string& last :
                     {std::string(), " WHEN " + call_of("_try_advisory_lock", key_, reader) + " THEN 'granted'"}) {
                    statements += (statements.empty() ? "SELECT CASE " : "; SELECT CASE ") +
                                  unfit(session_->connection, session_->pooled) + "WHEN " + holds(key_) +
                                  " THEN 'here'" + last + (last.empty() ? " ELSE 'free' END" : " ELSE 'refused' END");
                }
                send(statements);
                return;
            case verb::wait:
                send(limits_of(limit_) + "; SELECT " + call_of("_advisory_lock", key_, reader) + "; SELECT 'granted'");
                return;
            case verb::release: send("SELECT CASE WHEN " + unlock() + " THEN 'released' ELSE 'not held' END"); return;
            case verb::probe:
                send("SELECT CASE WHEN " + holds(key_, reader) + " THEN 'granted' ELSE 'not held' END");
                return;
            default: throw error(errc::unsupported, "not a command of this backend");
        }
    }

    /// It would never end: only this session could release it.
    progress wait_for_ourselves(const core::command& cmd) {
        if (cmd.limit.count() < 0) {
            set_reply(verdict::deadlock).text = "this very connection holds the lock, and would wait for itself";
            return finish();
        }
        wait_until_ = boottime::now() + cmd.limit;
        session_->end(this);
        return {false, wait_until_};
    }

    progress answered() {
        asking_ = false;
        if (talk_.is_lost()) {
            held_ = false;
            set_reply(verdict::link_lost).text = talk_.text();
            return finish();
        }
        // A cancel may come late, and hit what follows what it was meant for.
        constexpr std::string_view query_cancelled = "57014";
        const bool hit = talk_.sqlstate() == query_cancelled && was_cancelled_;
        if (!settling_.empty()) return settled(hit);
        if (hit && (what_ == verb::release || what_ == verb::probe)) {
            ask();
            return look();
        }
        if (talk_.has_failed()) {
            const errc code = code_of(talk_.sqlstate());
            const std::string text = talk_.sqlstate() + ": " + talk_.text();
            if (may_be_granted() && code != errc::deadlock) {
                // It may have been granted before it ended.
                held_ = true;
                core::reply& made = set_reply(verdict::doubt);
                made.code = code;
                if (code != errc::timed_out) made.text = text;
            } else if (code == errc::deadlock) {
                set_reply(verdict::deadlock).text = text;
            } else {
                set_failure(code, 0, text);
            }
            return finish();
        }
        const std::string answer = talk_.values().empty() ? "" : talk_.values().back();
        if (answer == "granted") {
            held_ = true;
            set_reply(verdict::granted);
        } else if (answer == "released") {
            held_ = false;
            set_reply(verdict::released);
        } else if (answer == "not held") {
            held_ = false;
            set_reply(verdict::not_held).text = "the server says that this session does not hold it";
        } else if (answer == "here" || answer == "refused") {
            held_here_ = answer == "here";
            set_reply(verdict::refused);
        } else if (const std::string_view why = why_unfit(answer); !why.empty()) {
            set_failure(errc::unsupported, 0, std::string(why));
        } else {
            set_failure(errc::protocol, 0, "an answer that was not asked for");
        }
        return finish();
    }

    /// Nothing is asked before that has been done: a lock granted in between would be released with what is owed.
    progress settled(bool hit) {
        if (!talk_.has_failed()) {
            settling_.clear();
            ask();
            return look();
        }
        if (hit && !cancelled_) {
            send(settling_);
            return look();
        }
        session_->put_back(std::exchange(settling_, {}));
        set_failure(code_of(talk_.sqlstate()), 0, talk_.sqlstate() + ": " + talk_.text());
        return finish();
    }

    /// What has failed may have been granted before.
    bool may_be_granted() const {
        if (what_ == verb::wait) return true;
        return what_ == verb::try_acquire && talk_.sqlstate() != out_of_memory && !talk_.values().empty() &&
               talk_.values().front() == "free";
    }

    progress look() {
        // Where it cannot be sent, that is the answer.
        if (talk_.is_lost()) return answered();
        return {false, cancelled_ ? cancel_again_at_ : never};
    }

    progress refuse(std::string why) {
        set_failure(errc::invalid_state, 0, std::move(why));
        return finish();
    }

    progress finish() {
        session_->end(this);
        return {true, never};
    }

    void send_cancel() {
        cancelled_ = was_cancelled_ = true;
        cancel_again_at_ = boottime::now() + cancel_again;
        if (asking_) talk_.cancel();
    }

    const std::shared_ptr<external_session> session_;
    exchange talk_;
    verb what_ = verb::try_acquire;
    core::claim who_;
    key key_;
    std::chrono::milliseconds limit_{0};
    /// Holds the lock, or perhaps.
    bool held_ = false;
    /// The session that does.
    int session_id_ = 0;
    /// The session held it when we asked, by whatever means.
    bool held_here_ = false;
    bool asking_ = false;
    /// What is under way are these releases, which somebody else has left to do.
    std::string settling_;
    bool cancelled_ = false;
    bool was_cancelled_ = false;
    boottime::time_point cancel_again_at_ = never;
    boottime::time_point wait_until_ = never;
};

/// A look at the server over the user's connection is a call like others.
class look {
public:
    explicit look(external_session& session) : session_(session) {
        if (!session_.begin(this)) refuse("the connection is busy with another call; it serves one at a time");
        if (const std::string_view obstacle = exchange(session_.connection).obstacle(); !obstacle.empty()) {
            session_.end(this);
            refuse(std::string(obstacle));
        }
    }
    look(const look&) = delete;
    look& operator=(const look&) = delete;
    ~look() {
        if (::PQtransactionStatus(session_.connection) == PQTRANS_ACTIVE) {
            session_.spoil();
        } else {
            session_.end(this);
        }
    }

private:
    [[noreturn]] static void refuse(const std::string& why) { throw error(errc::invalid_state, "postgres: " + why); }

    external_session& session_;
};

}  // namespace

external_backend::external_backend(PGconn* connection, const connection_options& opts)
    : opts_(opts), session_(std::make_shared<external_session>(connection, opts.pooler == pooler::session)) {
    capabilities_.lock = capabilities_.reader_writer_lock = capabilities_.cross_process = true;
    traits_.family = core::family::session;
    traits_.waits_on_server = true;
}

std::string external_backend::map_name(core::primitive_kind, std::string_view name) const {
    return mapped_key(name, opts_.strict_names);
}

std::unique_ptr<core::link> external_backend::make_link(const core::claim&, const core::backend_context&) {
    return std::make_unique<external_link>(session_);
}

std::vector<lock_entry> external_backend::list(const list_query& query) {
    const look inside(*session_);
    return list_over(session_->connection, query);
}

std::vector<finding> external_backend::examine(const examination& how) {
    const look inside(*session_);
    return examine_over(session_->connection, opts_.pooler, how);
}

provider make_provider(::pg_conn* connection, const connection_options& opts, const provider_settings& settings) {
    if (connection == nullptr) throw error(errc::invalid_argument, "postgres: there is no connection");
    if (opts.pooler != pooler::none && opts.pooler != pooler::session) {
        throw error(errc::invalid_options,
                    "postgres: a pooler in transaction mode keeps no locks of sessions; it has to be in session mode");
    }
    return provider(core::provider_state::make(std::make_shared<external_backend>(connection, opts), settings));
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
