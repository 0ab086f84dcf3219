// What the multiplexer does when a connection fails to do what it should; on connections that do as a test says.
#include <core/key_state.hpp>
#include <session/multiplexer.hpp>

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <poll.h>
#include <chrono>
#include <memory>
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
};

/// Grants the first thing, and answers when it is read.
class scripted_wire final : public session_wire {
public:
    explicit scripted_wire(record& to) : record_(to), news_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~scripted_wire() override { ::close(news_); }

    state status() const noexcept override { return state_; }
    void submit(const batch& requests) override {
        for (const auto& each : requests) record_.asked.emplace_back(each->what, boottime::now());
        batch_ = requests;
        state_ = state::busy;
    }
    void advance() override {
        if (state_ == state::ended) return;
        for (const auto& each : batch_) {
            each->answer = reply{};
            const bool fails = record_.asked.size() > 1 && record_.failures-- > 0;
            each->answer.result = fails                                     ? verdict::failed
                                  : each->what == session_verb::try_acquire ? verdict::granted
                                  : each->what == session_verb::probe       ? verdict::not_held
                                                                            : verdict::released;
        }
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
    int descriptor() const noexcept override { return news_; }
    short events() const noexcept override { return POLLIN; }
    std::int64_t session() const noexcept override { return 1; }
    const reply& ending() const noexcept override { return ending_; }

private:
    record& record_;
    const int news_;
    state state_ = state::ready;
    batch batch_;
    reply ending_;
};

struct silent_notifier final : notifier {
    void notify(unsigned) noexcept override {}
};

class multiplexer_giving_back : public testing::Test {
protected:
    /// Takes a lock and lets it go without a word, with @p failures of what follows.
    void lose_interest(int failures) {
        record_.failures = failures;
        boost::asio::io_context io;
        const auto shared = std::make_shared<multiplexer>([this] { return std::make_unique<scripted_wire>(record_); },
                                                          multiplexer_options{});
        resource named;
        named.name = "name";
        named.key = std::make_shared<key_state>("name");
        claim who;
        who.target = std::make_shared<const resource>(named);
        command wanted;
        wanted.who = &who;
        wanted.on_caller = true;
        silent_notifier nobody;
        backend_context context;
        context.executor = [&io] { return boost::asio::any_io_executor(io.get_executor()); };
        auto link = shared->make_link(context);
        while (!link->start(wanted, nobody).done) {
            if (link->advance().done) break;
        }
        ASSERT_EQ(link->last_reply().result, verdict::granted);
        link.reset();
        io.run_for(2s);
    }

    record record_;
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

}  // namespace
}  // namespace holdfast::core
