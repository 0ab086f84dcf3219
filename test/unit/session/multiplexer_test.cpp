// What the multiplexer does when a connection fails to do what it should; on connections that do as a test says.
#include <core/key_table.hpp>
#include <session/multiplexer.hpp>
#include <support/scarce_memory.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <poll.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace holdfast::core {
namespace {

using namespace std::chrono_literals;

/// What a test looks at.
struct record {
    std::vector<std::pair<session_verb, boottime::time_point>> asked;
    /// How many questions after the first one fail.
    int failures = 0;
    bool ended = false;
    /// Answers otherwise than by granting what comes.
    std::function<verdict(const session_request&)> answers;
    /// There is no memory for what is to be sent.
    bool no_memory = false;
    /// The server has no room for a connection now.
    bool full = false;
    int interrupted = 0;
    /// What an interrupted wait ends with.
    verdict broken_off = verdict::doubt;
    /// The answer to an interruption is still out.
    bool interrupting = false;

    std::vector<session_verb> verbs() const {
        std::vector<session_verb> made;
        for (const auto& each : asked) made.push_back(each.first);
        return made;
    }
};

/// Grants the first thing, and answers when it is read.
class scripted_wire final : public session_wire {
public:
    explicit scripted_wire(record& to)
        : record_(to),
          news_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)),
          state_(to.full ? state::connecting : state::ready) {}
    ~scripted_wire() override { ::close(news_); }

    state status() const noexcept override { return state_; }
    void submit(const batch& requests) override {
        if (record_.no_memory) throw std::bad_alloc();
        for (const auto& each : requests) record_.asked.emplace_back(each->what, boottime::now());
        batch_ = requests;
        state_ = state::busy;
    }
    void advance() override {
        if (state_ == state::ended) return;
        if (state_ == state::connecting) {
            ending_ = reply{};
            ending_.text = "no room";
            server_was_full_ = true;
            state_ = state::ended;
            return;
        }
        const bool waits = !batch_.empty() && batch_.front()->what == session_verb::wait;
        if (waits && !record_.answers && !interrupted_) return;
        for (const auto& each : batch_) {
            each->answer = reply{};
            const bool fails = record_.asked.size() > 1 && record_.failures-- > 0;
            each->answer.result = record_.answers                           ? record_.answers(*each)
                                  : fails                                   ? verdict::failed
                                  : waits                                   ? record_.broken_off
                                  : each->what == session_verb::try_acquire ? verdict::granted
                                  : each->what == session_verb::probe       ? verdict::not_held
                                                                            : verdict::released;
        }
        interrupted_ = false;
        batch_.clear();
        state_ = state::ready;
    }
    void end(reply why) noexcept override {
        ending_ = std::move(why);
        ending_.result = verdict::link_lost;
        state_ = state::ended;
        record_.ended = true;
    }
    void abandon() noexcept override {}
    void interrupt() noexcept override {
        ++record_.interrupted;
        interrupted_ = true;
    }
    bool interrupting() const noexcept override { return record_.interrupting; }
    int descriptor() const noexcept override { return news_; }
    short events() const noexcept override { return POLLIN; }
    std::int64_t session() const noexcept override { return news_; }
    const reply& ending() const noexcept override { return ending_; }
    bool server_was_full() const noexcept override { return server_was_full_; }

private:
    record& record_;
    const int news_;
    state state_;
    batch batch_;
    reply ending_;
    bool server_was_full_ = false;
    bool interrupted_ = false;
};

struct told final : notifier {
    void notify(unsigned) noexcept override { ++times; }
    int times = 0;
};

class multiplexer_test : public testing::Test {
protected:
    /// Somebody who wants a name, and calls for himself.
    struct asker {
        progress start(verb what, bool on_caller = true) {
            command wanted;
            wanted.what = what;
            wanted.who = &who;
            wanted.on_caller = on_caller;
            wanted.limit = -1ms;
            news.times = 0;
            return way->start(wanted, news);
        }
        verdict ask(verb what) { return start(what).done ? way->last_reply().result : answer(); }
        /// Reads until there is an answer.
        verdict answer() {
            constexpr int most_reads = 1000;
            for (int count = 0; count < most_reads; ++count) {
                if (way->advance().done) return way->last_reply().result;
            }
            ADD_FAILURE() << "no answer";
            return verdict::failed;
        }

        told news;
        claim who;
        std::unique_ptr<link> way;
    };

    void open(const multiplexer_options& options = {}) {
        shared_ = std::make_shared<multiplexer>([this] { return std::make_unique<scripted_wire>(record_); }, options);
        context_.executor = [this] { return boost::asio::any_io_executor(io_.get_executor()); };
    }
    std::unique_ptr<asker> somebody(const std::string& name, access mode = access::exclusive) {
        auto made = std::make_unique<asker>();
        made->who.target = std::make_shared<const resource>(keys_->use(name), primitive_kind::lock, name);
        made->who.mode = mode;
        made->way = shared_->make_link(context_);
        return made;
    }
    /// The executor works until @p who is told that there is something to see.
    void run_until_told(const asker& who) {
        io_.restart();
        while (who.news.times == 0 && io_.run_one_for(10s) > 0) {
        }
        EXPECT_GT(who.news.times, 0) << "nothing is told";
    }

    record record_;
    boost::asio::io_context io_;
    backend_context context_;
    const std::shared_ptr<key_table> keys_ = std::make_shared<key_table>();
    std::shared_ptr<multiplexer> shared_;
};

class multiplexer_giving_back : public multiplexer_test {
protected:
    /// Takes a lock and lets it go without a word, with @p failures of what follows.
    void lose_interest(int failures) {
        record_.failures = failures;
        open();
        const auto who = somebody("name");
        ASSERT_EQ(who->ask(verb::try_acquire), verdict::granted);
        who->way.reset();
        io_.restart();
        io_.run_for(2s);
    }
};

TEST_F(multiplexer_giving_back, asks_again_after_a_while_and_not_at_once) {
    lose_interest(2);
    ASSERT_EQ(record_.asked.size(), 4U);
    EXPECT_EQ(record_.asked[1].first, session_verb::release);
    EXPECT_EQ(record_.asked[2].first, session_verb::probe);
    EXPECT_GE(record_.asked[2].second - record_.asked[1].second, 10ms);
    EXPECT_GE(record_.asked[3].second - record_.asked[2].second, 40ms);
    EXPECT_FALSE(record_.ended);
}

TEST_F(multiplexer_giving_back, ends_the_connection_when_nothing_else_is_left) {
    lose_interest(100);
    EXPECT_EQ(record_.asked.size(), 5U);
    EXPECT_TRUE(record_.ended);
}

// The answer comes between the asker's last look and its leaving.
TEST_F(multiplexer_giving_back, does_not_forget_what_was_granted_unseen) {
    open();
    const auto who = somebody("name");
    who->start(verb::try_acquire, false);
    run_until_told(*who);
    who->way.reset();
    io_.restart();
    io_.run_for(50ms);
    EXPECT_EQ(record_.verbs(), (std::vector{session_verb::try_acquire, session_verb::release}));
}

TEST_F(multiplexer_giving_back, does_not_release_twice_what_was_released_unseen) {
    open();
    const auto who = somebody("name");
    ASSERT_EQ(who->ask(verb::try_acquire), verdict::granted);
    who->start(verb::release, false);
    run_until_told(*who);
    // The next one has it by now, in the same session: a second release would take it away.
    const auto next = somebody("name");
    ASSERT_EQ(next->ask(verb::try_acquire), verdict::granted);
    who->way.reset();
    io_.restart();
    io_.run_for(50ms);
    EXPECT_EQ(record_.verbs(),
              (std::vector{session_verb::try_acquire, session_verb::release, session_verb::try_acquire}));
}

// As for want of threads or descriptors. Callers need none, and nothing may end the program.
TEST_F(multiplexer_test, without_an_executor_callers_do_everything) {
    multiplexer_options often;
    often.keepalive = 10ms;
    open(often);
    context_.executor = []() -> boost::asio::any_io_executor {
        throw std::system_error(EAGAIN, std::generic_category());
    };
    const auto holder = somebody("held");
    ASSERT_EQ(holder->ask(verb::try_acquire), verdict::granted);
    const auto lost = holder->way->watch_loss(holder->who, [] {});
    record_.answers = [](const session_request& asked) {
        return asked.what == session_verb::wait ? verdict::granted : verdict::released;
    };
    auto waiting = somebody("taken");
    waiting->start(verb::wait);
    waiting->way->request_cancel();
    // What it was granted is given back by whoever comes next.
    waiting->way.reset();
    record_.answers = nullptr;
    auto trying = somebody("taken");
    trying->start(verb::try_acquire);
    trying->way.reset();
    const auto next = somebody("other");
    EXPECT_EQ(next->ask(verb::try_acquire), verdict::granted);
    EXPECT_EQ(holder->ask(verb::release), verdict::released);
    EXPECT_FALSE(record_.ended);
}

// So long after the last use, and not after the last look at the clock.
TEST_F(multiplexer_test, a_keepalive_comes_when_nothing_was_said_for_so_long) {
    multiplexer_options options;
    options.keepalive = 400ms;
    open(options);
    const auto holder = somebody("held");
    ASSERT_EQ(holder->ask(verb::try_acquire), verdict::granted);
    io_.run_for(200ms);
    const auto other = somebody("other");
    ASSERT_EQ(other->ask(verb::try_acquire), verdict::granted);
    const auto used = boottime::now();
    io_.restart();
    while (record_.verbs().back() != session_verb::ping && io_.run_one_for(2s) > 0) {
    }
    ASSERT_EQ(record_.verbs().back(), session_verb::ping);
    EXPECT_GE(record_.asked.back().second - used, 390ms);
    EXPECT_LT(record_.asked.back().second - used, 580ms);
}

// The server has no room for more, and what is wanted is free: the one that stands makes way, without losing anything.
TEST_F(multiplexer_test, where_the_server_is_full_a_wait_makes_way_for_those_who_want_something_else) {
    multiplexer_options often;
    often.retry_cadence = 10ms;
    open(often);
    const auto waiting = somebody("taken");
    record_.answers = [](const session_request&) { return verdict::refused; };
    ASSERT_EQ(waiting->ask(verb::try_acquire), verdict::refused);
    record_.answers = nullptr;
    waiting->start(verb::wait, false);
    io_.poll_one();
    record_.full = true;
    record_.interrupting = true;
    const auto other = somebody("free");
    EXPECT_EQ(other->ask(verb::try_acquire), verdict::failed);
    EXPECT_EQ(record_.interrupted, 1);
    run_until_told(*waiting);
    ASSERT_TRUE(waiting->way->advance().done);
    ASSERT_EQ(waiting->way->last_reply().result, verdict::doubt);
    // Its asker stays: its time is not over.
    EXPECT_EQ(make_error_code(waiting->way->last_reply().code), make_error_code(errc::timed_out));
    // What comes next must not be hit by what ended the wait.
    waiting->start(verb::probe, false);
    io_.restart();
    io_.run_for(30ms);
    EXPECT_EQ(waiting->news.times, 0);
    record_.interrupting = false;
    run_until_told(*waiting);
    ASSERT_TRUE(waiting->way->advance().done);
    ASSERT_EQ(waiting->way->last_reply().result, verdict::not_held);
    // It does not stand on the last connection again, over which the other one is asked for now.
    waiting->start(verb::wait, false);
    EXPECT_EQ(shared_->count().in_room, 1);
    EXPECT_EQ(other->ask(verb::try_acquire), verdict::granted);
    run_until_told(*waiting);
    ASSERT_TRUE(waiting->way->advance().done);
    EXPECT_EQ(waiting->way->last_reply().result, verdict::granted);
    EXPECT_EQ(shared_->count().connections, 1);
}

// What ends it may come before the server has begun the wait proper: that is the asker's affair as little.
TEST_F(multiplexer_test, a_wait_that_makes_way_before_it_stands_has_not_failed) {
    open();
    const auto waiting = somebody("taken");
    record_.answers = [](const session_request&) { return verdict::refused; };
    ASSERT_EQ(waiting->ask(verb::try_acquire), verdict::refused);
    record_.answers = nullptr;
    record_.broken_off = verdict::failed;
    waiting->start(verb::wait, false);
    io_.poll_one();
    record_.full = true;
    EXPECT_EQ(somebody("free")->ask(verb::try_acquire), verdict::failed);
    ASSERT_EQ(record_.interrupted, 1);
    run_until_told(*waiting);
    ASSERT_TRUE(waiting->way->advance().done);
    EXPECT_EQ(waiting->way->last_reply().result, verdict::timed_out);
}

// What was to go is never sent: nobody may wait for the answer, nor the connection for what it has not asked.
TEST_F(multiplexer_test, a_connection_that_has_no_memory_to_send_is_given_up) {
    open();
    record_.no_memory = true;
    const auto first = somebody("name");
    EXPECT_THROW(first->start(verb::try_acquire), std::bad_alloc);
    EXPECT_TRUE(record_.ended);
    EXPECT_EQ(shared_->count().connections, 0);
    record_.no_memory = false;
    EXPECT_EQ(somebody("name")->ask(verb::try_acquire), verdict::granted);
}

// Whether the session holds the name is being looked up: whoever relied on it could hold nothing.
TEST_F(multiplexer_test, nobody_joins_a_hold_that_is_in_doubt) {
    bool refuses = false;
    record_.answers = [&](const session_request& asked) {
        switch (asked.what) {
            case session_verb::try_acquire: return refuses ? verdict::refused : verdict::granted;
            case session_verb::wait: return verdict::doubt;
            case session_verb::probe: return verdict::not_held;
            case session_verb::look_for_waiters: return verdict::granted;
            default: return verdict::released;
        }
    };
    multiplexer_options two;
    two.max_connections = 2;
    open(two);
    const auto first = somebody("name", access::shared);
    ASSERT_EQ(first->ask(verb::try_acquire), verdict::granted);
    // A writer elsewhere is in line, so that this one waits, on the other connection.
    refuses = true;
    const auto second = somebody("name", access::shared);
    ASSERT_EQ(second->ask(verb::try_acquire), verdict::refused);
    ASSERT_EQ(second->ask(verb::wait), verdict::doubt);
    refuses = false;
    // The first connection has something to do.
    const auto busy = somebody("another");
    busy->start(verb::try_acquire);
    const auto third = somebody("name", access::shared);
    third->start(verb::try_acquire);
    EXPECT_EQ(second->ask(verb::probe), verdict::not_held);
    EXPECT_EQ(third->answer(), verdict::granted);
    const auto all = record_.verbs();
    EXPECT_EQ(std::count(all.begin(), all.end(), session_verb::look_for_waiters), 0);
    // Asked for in earnest, after it was known that there is nothing to join.
    EXPECT_EQ(all.back(), session_verb::try_acquire);
    busy->answer();
}

class multiplexer_without_memory : public multiplexer_test {
protected:
    /// Nobody wants any more what the server may have granted.
    bool all_is_given_back() {
        io_.restart();
        io_.run_for(20ms);
        const auto verbs = record_.verbs();
        return record_.ended || std::count(verbs.begin(), verbs.end(), session_verb::release) > 0;
    }

    static constexpr int enough = 24;
};

TEST_F(multiplexer_without_memory, a_grant_that_cannot_be_noted_ends_with_its_connection) {
    HOLDFAST_NEEDS_SCARCE_MEMORY();
    bool threw = false;
    for (int left = 0; left < enough; ++left) {
        SCOPED_TRACE(left);
        record_ = record{};
        open();
        const auto waiting = somebody("name");
        waiting->start(verb::wait);
        record_.answers = [](const session_request& asked) {
            return asked.what == session_verb::wait ? verdict::granted : verdict::released;
        };
        threw = test::with_memory_for(left, [&] { waiting->way->advance(); }) || threw;
        waiting->way.reset();
        EXPECT_TRUE(all_is_given_back());
    }
    EXPECT_TRUE(threw);
}

TEST_F(multiplexer_without_memory, a_lock_that_is_let_go_is_given_back_all_the_same) {
    HOLDFAST_NEEDS_SCARCE_MEMORY();
    for (int left = 0; left < enough; ++left) {
        SCOPED_TRACE(left);
        record_ = record{};
        open();
        const auto standing = somebody("taken");
        standing->start(verb::wait);
        const auto holder = somebody("held");
        record_.answers = [](const session_request& asked) {
            return asked.what == session_verb::try_acquire ? verdict::granted : verdict::released;
        };
        ASSERT_EQ(holder->ask(verb::try_acquire), verdict::granted);
        test::with_memory_for(left, [&] { holder->way.reset(); });
        EXPECT_TRUE(all_is_given_back());
        record_.answers = nullptr;
    }
}

}  // namespace
}  // namespace holdfast::core
