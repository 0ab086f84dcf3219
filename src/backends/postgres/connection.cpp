#include <backends/postgres/connection.hpp>
#include <backends/postgres/errors.hpp>
#include <backends/postgres/fencing.hpp>
#include <backends/postgres/parameters.hpp>
#include <backends/postgres/statements.hpp>
#include <core/thread.hpp>

#include <poll.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

using core::session_verb;
using core::verdict;

/// What it is called once it is prepared.
std::string name_of(std::size_t statement) {
    return "holdfast_" + std::to_string(statement);
}

void add_key(parameters& to, const key& which) {
    if (which.pair) {
        to.add(which.high());
        to.add(which.low());
    } else {
        to.add(static_cast<std::int64_t>(which.bits));
    }
}

}  // namespace

connection::~connection() {
    if (connection_ == nullptr) return;
    const core::no_fork_here no_fork;
    socket_.release();
    ::PQfinish(connection_);
}

void connection::abandon() noexcept {
    // The fork has closed its socket. PQfinish would send a word of farewell to whatever has its number now.
    connection_ = nullptr;
}

/** The server takes requests to cancel also when it has no room for a connection. libpq blocks until one is answered,
   so a thread of its own waits for that; it has nothing of ours.
*/
void connection::interrupt() noexcept {
    if (connection_ == nullptr || interrupting()) return;
    try {
        const std::shared_ptr<PGcancel> request(::PQgetCancel(connection_), [](PGcancel* made) {
            if (made != nullptr) ::PQfreeCancel(made);
        });
        if (request == nullptr) return;
        interrupting_ = std::make_shared<std::atomic<bool>>(true);
        try {
            core::start_thread("holdfast-cancel", [request, under_way = interrupting_] {
                std::array<char, 256> why{};
                ::PQcancel(request.get(), why.data(), static_cast<int>(why.size()));
                *under_way = false;
            }).detach();
        } catch (...) {
            interrupting_.reset();
        }
    } catch (...) {
        // Without memory or threads it has no effect.
    }
}

void connection::end(core::reply why) noexcept {
    if (state_ == state::ended) return;
    ending_ = std::move(why);
    ending_.result = opened_ ? verdict::link_lost : verdict::failed;
    state_ = state::ended;
    events_ = 0;
    batch_.clear();
    const core::no_fork_here no_fork;
    socket_.release();
    ::PQfinish(connection_);
    connection_ = nullptr;
}

void connection::fail(errc code, std::string text) {
    core::reply why;
    why.code = code;
    why.text = std::move(text);
    end(std::move(why));
}

/// The connection is over, or never came to be; libpq or the server says why.
void connection::lose() {
    std::string sqlstate = error_state_.empty() ? said_state_ : error_state_;
    std::string text = error_text_.empty() ? said_ : error_text_;
    if (text.empty()) text = without_details(::PQerrorMessage(connection_), sqlstate);
    // They may have moved.
    if (!opened_ && lookup_ != nullptr) lookup_->forget();
    server_was_full_ = !opened_ && sqlstate.starts_with("53");
    const bool no_password = !opened_ && ::PQconnectionNeedsPassword(connection_) == 1;
    const errc code = no_password ? errc::permission : opened_ ? errc::unavailable : code_of_refusal(sqlstate, text);
    if (!sqlstate.empty()) text = sqlstate + ": " + text;
    fail(code == errc::timed_out ? errc::unavailable : code, std::move(text));
}

void connection::advance() {
    if (state_ == state::connecting && connection_ == nullptr) {
        find_hosts();
    } else if (state_ == state::connecting && !opened_ && sent_.empty()) {
        connect();
    } else if (state_ != state::ended) {
        read();
    }
}

bool connection::send(std::size_t number, const parameters& with, purpose what) {
    const statement& which = statement_at(number);
    const std::string name = name_of(number);
    // A pooler's next session would not know it.
    if (!transactions_ && !prepared_[number]) {
        if (::PQsendPrepare(connection_, name.c_str(), which.text, which.count, which.types.data()) == 0) return false;
        sent_.push_back({purpose::prepare, number});
    }
    std::array<const char*, 4> values{};
    std::array<int, 4> formats{};
    const char* at = with.bytes.data();
    for (int i = 0; i < with.count; ++i) {
        const auto each = static_cast<std::size_t>(i);
        values.at(each) = at;
        formats.at(each) = 1;
        at += with.sizes.at(each);
    }
    const int sent = transactions_ ? ::PQsendQueryParams(connection_, which.text, which.count, which.types.data(),
                                                         values.data(), with.sizes.data(), formats.data(), 1)
                                   : ::PQsendQueryPrepared(connection_, name.c_str(), with.count, values.data(),
                                                           with.sizes.data(), formats.data(), 1);
    if (sent == 0) return false;
    sent_.push_back({what, number});
    return true;
}

void connection::submit(const batch& requests) {
    batch_ = requests;
    failed_ = failed_before_answer_ = false;
    granted_ = false;
    drawing_.clear();
    if (transactions_) {
        submit_transaction();
        return;
    }
    const bool fencing = !sequence_.empty();
    const core::session_request& first = *batch_.front();
    parameters with;
    std::size_t number = ping;
    bool sent = true;
    switch (first.what) {
        case session_verb::try_acquire:
        case session_verb::release:
            if (batch_.size() == 1) {
                const bool drawing = fencing && first.what == session_verb::try_acquire;
                const key which = key_of(first.who);
                number = variant(first.what == session_verb::release ? unlock
                                 : drawing                           ? try_lock_with_token
                                                                     : try_lock,
                                 which, shared(first.who));
                add_key(with, which);
                if (drawing) with.add(std::string_view(sequence_));
            } else {
                number = fencing ? batch_with_tokens : batch_statement;
                std::vector<std::int16_t> ops;
                std::vector<std::int64_t> keys;
                for (const auto& each : batch_) {
                    const std::size_t kind = each->what == session_verb::release ? unlock : try_lock;
                    const key which = key_of(each->who);
                    ops.push_back(static_cast<std::int16_t>(variant(kind, which, shared(each->who))));
                    keys.push_back(static_cast<std::int64_t>(which.bits));
                }
                with.add_array(ops, oid_int2);
                with.add_array(keys, oid_int8);
                if (fencing) with.add(std::string_view(sequence_));
            }
            break;
        case session_verb::wait: {
            if (first.limit.count() >= 0) {
                parameters limited;
                limited.add(std::string_view(std::to_string(first.limit.count())));
                sent = send(limit, limited, purpose::limit);
            }
            const key which = key_of(first.who);
            number = variant(lock, which, shared(first.who));
            add_key(with, which);
            break;
        }
        case session_verb::probe: number = holdings; break;
        case session_verb::look_for_waiters: {
            const key which = key_of(first.who);
            number = fencing ? waiters_with_token : waiters;
            with.add(static_cast<std::int16_t>(which.pair ? 2 : 1));
            with.add(static_cast<std::int64_t>(which.bits));
            if (fencing) with.add(std::string_view(sequence_));
            break;
        }
        case session_verb::cancel:
            number = cancel;
            with.add(static_cast<std::int32_t>(first.target));
            break;
        case session_verb::ping: number = ping; break;
    }
    state_ = state::busy;
    sent = sent && send(number, with);
    // It comes to this only once the lock is granted; one trip for both.
    if (first.what == session_verb::wait && fencing) {
        drawing_ = batch_;
        sent = sent && send_draw();
    }
    if (!sent) {
        lose();
        return;
    }
    flush();
}

/// The lock of a transaction: taken with it, and freed with its end. Never more than one in a batch.
void connection::submit_transaction() {
    const core::session_request& first = *batch_.front();
    parameters with;
    bool sent = true;
    switch (first.what) {
        case session_verb::try_acquire:
        case session_verb::wait: {
            const bool waits = first.what == session_verb::wait;
            parameters limited;
            limited.add(std::string_view(std::to_string(waits && first.limit.count() >= 0 ? first.limit.count() : 0)));
            limited.add(static_cast<std::int32_t>(lost_after_.count()));
            sent = send(begin_transaction, {}, purpose::limit) && send(settle_transaction, limited, purpose::settle) &&
                   // Who wants to cancel has to know at once whose wait it is.
                   ::PQsendFlushRequest(connection_) == 1;
            const key which = key_of(first.who);
            add_key(with, which);
            sent = sent && send(variant(waits ? lock_transaction : try_transaction, which, shared(first.who)), with);
            break;
        }
        case session_verb::release: sent = send(end_transaction, with, purpose::rollback); break;
        case session_verb::cancel:
            with.add(static_cast<std::int32_t>(first.target));
            sent = send(cancel, with);
            break;
        case session_verb::probe:
        case session_verb::look_for_waiters:
        case session_verb::ping: sent = send(ping, with); break;
    }
    state_ = state::busy;
    if (sent) {
        flush();
    } else {
        lose();
    }
}

/// The sync has come.
void connection::complete_transaction() {
    core::session_request& asked = *batch_.front();
    const bool acquires = asked.what == session_verb::try_acquire || asked.what == session_verb::wait;
    if (failed_ && (rolling_back_ || keeps_)) {
        // Whatever fails in a transaction has ended it, and what it kept.
        lose();
        return;
    }
    if (failed_) {
        const errc code = code_of(error_state_);
        asked.answer = core::reply{};
        asked.answer.result = code == errc::timed_out  ? verdict::timed_out
                              : code == errc::deadlock ? verdict::deadlock
                                                       : verdict::failed;
        asked.answer.code = code;
        if (code != errc::timed_out) asked.answer.text = error_state_ + ": " + error_text_;
        error_state_.clear();
        error_text_.clear();
        failed_ = false;
    } else if (asked.what == session_verb::release) {
        asked.answer = core::reply{};
        asked.answer.result = verdict::released;
        keeps_ = false;
    } else if (asked.what == session_verb::probe || asked.what == session_verb::look_for_waiters) {
        asked.answer.result = asked.what == session_verb::probe && keeps_ ? verdict::granted : verdict::not_held;
    }
    if (acquires && asked.answer.result == verdict::granted) keeps_ = true;
    if (acquires && !keeps_ && !std::exchange(rolling_back_, true)) {
        if (send(end_transaction, {}, purpose::rollback)) {
            flush();
        } else {
            lose();
        }
        return;
    }
    rolling_back_ = false;
    batch_.clear();
    state_ = state::ready;
}

/// A token for each of `drawing_`.
bool connection::send_draw() {
    parameters with;
    with.add(static_cast<std::int32_t>(drawing_.size()));
    with.add(std::string_view(sequence_));
    return send(draw, with, purpose::draw);
}

/// Ends the pipeline's present transaction, and sends.
void connection::flush() {
    const int left = with_socket([this] { return ::PQpipelineSync(connection_) == 0 ? -1 : ::PQflush(connection_); });
    if (left < 0) {
        lose();
        return;
    }
    events_ = static_cast<short>(left == 0 ? POLLIN : POLLIN | POLLOUT);
}

void connection::read() {
    if ((events_ & POLLOUT) != 0) {
        const int left = with_socket([this] { return ::PQflush(connection_); });
        events_ = static_cast<short>(left == 0 ? POLLIN : POLLIN | POLLOUT);
    }
    const bool alive = with_socket([this] { return ::PQconsumeInput(connection_); }) == 1;
    // Also where no answer is due: looking is what makes libpq read the server's last words.
    while (::PQisBusy(connection_) == 0 && !sent_.empty()) {
        PGresult* const result = ::PQgetResult(connection_);
        if (result == nullptr) {
            // The end of one query's results.
            if (::PQstatus(connection_) == CONNECTION_BAD) break;
            continue;
        }
        const bool last = ::PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!last) take(*result);
        ::PQclear(result);
        if (last) {
            sent_.clear();
            complete();
            break;
        }
        if (state_ == state::ended) return;
    }
    if (state_ != state::ended && (!alive || ::PQstatus(connection_) == CONNECTION_BAD)) lose();
}

void connection::take(const PGresult& result) {
    // Every query has exactly one result; the sync is not among them.
    const query asked = sent_.front();
    if (sent_.size() > 1) sent_.pop_front();
    switch (::PQresultStatus(&result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
            if (asked.what == purpose::prepare) prepared_[asked.statement] = true;
            if (asked.what == purpose::setup) take_setup(result);
            if (asked.what == purpose::sequence) take_sequence(result);
            if (asked.what == purpose::answer) take_answers(result);
            if (asked.what == purpose::draw) take_tokens(result);
            if (asked.what == purpose::settle) {
                session_ =
                    static_cast<std::int64_t>(big_endian(::PQgetvalue(&result, 0, 0), ::PQgetlength(&result, 0, 0)));
            }
            return;
        case PGRES_PIPELINE_ABORTED: return;
        default:
            take_error(result);
            failed_before_answer_ = asked.what != purpose::answer && !granted_;
            return;
    }
}

void connection::take_error(const PGresult& result) {
    if (std::exchange(failed_, true)) return;
    const char* const sqlstate = ::PQresultErrorField(&result, PG_DIAG_SQLSTATE);
    const char* const text = ::PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
    const char* const hint = ::PQresultErrorField(&result, PG_DIAG_MESSAGE_HINT);
    error_state_ = sqlstate == nullptr ? "" : sqlstate;
    error_text_ = text == nullptr ? std::string(trimmed(::PQresultErrorMessage(&result))) : text;
    if (hint != nullptr) error_text_ += std::string(" (") + hint + ')';
}

void connection::take_answers(const PGresult& result) {
    const auto truth = [&result](int row) {
        return ::PQgetisnull(&result, row, 0) == 0 && ::PQgetlength(&result, row, 0) == 1 &&
               ::PQgetvalue(&result, row, 0)[0] != 0;
    };
    const auto holds = [&result](const core::claim& who) {
        const key which = key_of(who);
        for (int row = 0; row < ::PQntuples(&result); ++row) {
            const bool pair = big_endian(::PQgetvalue(&result, row, 0), ::PQgetlength(&result, row, 0)) == 2;
            const bool reader = ::PQgetvalue(&result, row, 2)[0] != 0;
            const key held{pair, big_endian(::PQgetvalue(&result, row, 1), ::PQgetlength(&result, row, 1))};
            if (held == which && reader == shared(who)) return true;
        }
        return false;
    };
    const bool fencing = !sequence_.empty();
    const auto number = [&result](int at) {
        return big_endian(::PQgetvalue(&result, at, 0), ::PQgetlength(&result, at, 0));
    };
    int row = 0;
    for (const auto& each : batch_) {
        core::reply& answer = each->answer;
        switch (each->what) {
            case session_verb::try_acquire:
            case session_verb::look_for_waiters:
                if (fencing) {
                    const bool granted = ::PQgetisnull(&result, row, 0) == 0;
                    answer.result = granted ? verdict::granted : verdict::refused;
                    if (granted) answer.token = number(row);
                } else {
                    answer.result = truth(row) ? verdict::granted : verdict::refused;
                }
                break;
            case session_verb::wait:
                answer.result = verdict::granted;
                // Without a token to come, nothing but the question tells what an error after this has left.
                granted_ = fencing;
                break;
            case session_verb::release:
                // A number beside others' tokens, else a boolean.
                answer.result = number(row) != 0 ? verdict::released : verdict::not_held;
                if (answer.result == verdict::not_held)
                    answer.text = "the server says that this session does not hold it";
                break;
            case session_verb::probe:
                if (transactions_) break;
                answer.result = holds(each->who) ? verdict::granted : verdict::not_held;
                break;
            case session_verb::cancel:
            case session_verb::ping: answer.result = verdict::granted; break;
        }
        ++row;
    }
}

void connection::take_tokens(const PGresult& result) {
    for (std::size_t row = 0; row < drawing_.size(); ++row) {
        const int at = static_cast<int>(row);
        drawing_[row]->answer.token = big_endian(::PQgetvalue(&result, at, 0), ::PQgetlength(&result, at, 0));
    }
}

/** For what a question has just found to be granted, after a doubtful end.

    False: there is nothing to draw.
*/
bool connection::draw_for_the_found() {
    if (sequence_.empty() || granted_ || batch_.front()->what != session_verb::probe) return false;
    // Whoever only wants to give back needs none.
    std::copy_if(batch_.begin(), batch_.end(), std::back_inserter(drawing_),
                 [](const auto& each) { return each->answer.result == verdict::granted && each->owner != nullptr; });
    if (drawing_.empty()) return false;
    granted_ = true;
    if (send_draw()) {
        flush();
    } else {
        lose();
    }
    return true;
}

/// The sync has come: the batch is answered, or failed as a whole.
void connection::complete() {
    if (state_ == state::ended) return;
    if (!opened_) {
        if (failed_) {
            lose();
            return;
        }
        opened_ = true;
        said_.clear();
        said_state_.clear();
        state_ = state::ready;
        return;
    }
    if (transactions_) {
        complete_transaction();
        return;
    }
    if (giving_back_ && failed_) {
        // Only its end is sure to give back what it may hold.
        lose();
        return;
    }
    if (!giving_back_ && failed_ && !is_settled()) {
        give_all_back();
        return;
    }
    if (!failed_ && !giving_back_ && draw_for_the_found()) return;
    if (failed_ || giving_back_) answer_failed();
    failed_ = giving_back_ = false;
    batch_.clear();
    drawing_.clear();
    state_ = state::ready;
}

/// Whether the failed batch has surely left nothing behind, or can be asked about it.
bool connection::is_settled() const {
    const session_verb what = batch_.front()->what;
    // It is ours, but without the token that belongs to it.
    if (granted_) return false;
    if (failed_before_answer_ || (what != session_verb::try_acquire && what != session_verb::release)) return true;
    // A lock for which the server has no room was not granted.
    return batch_.size() == 1 && what == session_verb::try_acquire && sequence_.empty() &&
           error_state_ == out_of_memory;
}

/** After an error in a batch: nobody knows which of its tries were granted, and which locks were released before it.

    So all of them are released. That works when a question would not: a server without room for locks has none for a
    query about them either.
*/
void connection::give_all_back() {
    giving_back_ = true;
    failed_ = false;
    std::vector<std::int16_t> ops;
    std::vector<std::int64_t> keys;
    for (const auto& each : granted_ ? drawing_ : batch_) {
        const key which = key_of(each->who);
        ops.push_back(static_cast<std::int16_t>(variant(unlock, which, shared(each->who))));
        keys.push_back(static_cast<std::int64_t>(which.bits));
    }
    parameters with;
    with.add_array(ops, oid_int2);
    with.add_array(keys, oid_int8);
    if (!send(batch_statement, with, purpose::give_back)) {
        lose();
        return;
    }
    flush();
}

void connection::answer_failed() {
    for (const auto& each : batch_) {
        core::reply& answer = each->answer;
        if (giving_back_ && each->what == session_verb::probe) {
            // The others have been answered well.
            if (std::find(drawing_.begin(), drawing_.end(), each) == drawing_.end()) continue;
            answer = core::reply{};
            answer.result = verdict::not_held;
            continue;
        }
        answer = core::reply{};
        if (giving_back_ && each->what == session_verb::release) {
            answer.result = verdict::released;
            continue;
        }
        answer.code = code_of(error_state_);
        // That somebody else has it is no error of the server's.
        if (answer.code != errc::timed_out) answer.text = error_state_ + ": " + error_text_;
        // An error may have come after the grant: a lock timeout does, and a cancel.
        const bool doubtful = each->what == session_verb::wait && !giving_back_ && !failed_before_answer_ &&
                              error_state_ != out_of_memory;
        answer.result = doubtful ? verdict::doubt : verdict::failed;
    }
    error_state_.clear();
    error_text_.clear();
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
