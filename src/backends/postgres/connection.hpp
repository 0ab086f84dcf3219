// One connection to PostgreSQL, over libpq in pipeline mode.
#ifndef HOLDFAST_BACKENDS_POSTGRES_CONNECTION_HPP
#define HOLDFAST_BACKENDS_POSTGRES_CONNECTION_HPP

#include <backends/postgres/hosts.hpp>
#include <core/fork.hpp>
#include <session/wire.hpp>

#include <holdfast/backends/postgres.hpp>

#include <libpq-fe.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

struct parameters;

class connection final : public core::session_wire {
public:
    /// Begins to connect.
    connection(const options& opts, std::shared_ptr<core::resolver> names);
    ~connection() override;

    state status() const noexcept override { return state_; }
    void submit(const batch& requests) override;
    void advance() override;
    void end(core::reply why) noexcept override;
    void abandon() noexcept override;
    void interrupt() noexcept override;
    bool interrupting() const noexcept override { return interrupting_ != nullptr && *interrupting_; }

    boottime::time_point due() const noexcept override { return give_up_host_at_; }
    int descriptor() const noexcept override;
    short events() const noexcept override { return events_; }
    std::int64_t session() const noexcept override { return session_; }
    const core::reply& ending() const noexcept override { return ending_; }
    bool server_was_full() const noexcept override { return server_was_full_; }

private:
    /// What a query in the pipeline is for.
    enum class purpose { setup, sequence, prepare, limit, answer, draw, give_back, settle, rollback };
    struct query {
        purpose what = purpose::answer;
        std::size_t statement = 0;
    };

    // connection_setup.cpp: how it comes about.
    connection(const options& opts, const connect_target& target, std::shared_ptr<core::resolver> names);
    void find_hosts();
    void begin(const located_hosts& at);
    void start(const char* const* keywords, const char* const* values, bool expand);
    bool start_at_next_host();
    void connect();
    void count_time_of_host();
    void set_up();
    void take_setup(const PGresult& result);
    void take_sequence(const PGresult& result);

    bool send(std::size_t number, const parameters& with, purpose what = purpose::answer);
    void flush();
    void read();
    void take(const PGresult& result);
    void submit_transaction();
    void complete_transaction();
    bool send_draw();
    bool draw_for_the_found();
    void take_tokens(const PGresult& result);
    void take_answers(const PGresult& result);
    void take_error(const PGresult& result);
    void complete();
    bool is_settled() const;
    void give_all_back();
    void answer_failed();
    void fail(errc code, std::string text);
    void lose();

    /// Runs @p call, in which libpq may close its socket or open another: no fork sees it in between.
    template <class Call>
    auto with_socket(Call call) {
        const core::no_fork_here no_fork;
        const auto result = call();
        if (const int now = ::PQsocket(connection_); now != socket_.get()) {
            // The one before is closed already.
            socket_.release();
            if (now >= 0) socket_.reset(now);
        }
        return result;
    }

    const std::string given_;
    const std::shared_ptr<core::resolver> names_;
    /// Until the connection stands; null where libpq needs no names.
    std::unique_ptr<host_lookup> lookup_;
    const postgres::pooler pooler_;
    const std::chrono::milliseconds lost_after_;
    const std::chrono::milliseconds time_to_connect_;
    /// A host that is silent for so long is passed over; none when there is no other.
    std::chrono::milliseconds time_per_host_{0};
    boottime::time_point give_up_host_at_ = core::never;
    std::string host_;
    const std::string sequence_;
    /// Each lock is a transaction.
    const bool transactions_;
    /// Null while names are looked up, and once it is over.
    PGconn* connection_ = nullptr;
    /// The socket is libpq's, which may close it in any call; a forked child has to close it as well.
    core::forked_descriptor socket_;
    state state_ = state::connecting;
    short events_ = 0;
    bool opened_ = false;
    std::int64_t session_ = 0;
    core::reply ending_;
    bool server_was_full_ = false;
    /// What the server said last without being asked.
    std::string said_;
    std::string said_state_;

    std::vector<bool> prepared_;
    batch batch_;
    std::deque<query> sent_;
    /// The first error of the batch.
    bool failed_ = false;
    bool failed_before_answer_ = false;
    std::string error_state_;
    std::string error_text_;
    /// The server has granted what is waited for, or found it granted; its token is still to come.
    bool granted_ = false;
    /// Whose tokens are on their way.
    batch drawing_;
    /// What a failed batch may have been granted is being given back.
    bool giving_back_ = false;
    /// A transaction is open, and keeps a lock.
    bool keeps_ = false;
    /// One that keeps none is being ended.
    bool rolling_back_ = false;
    /// True while a thread asks for the end of the statement that runs.
    std::shared_ptr<std::atomic<bool>> interrupting_;
};

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
