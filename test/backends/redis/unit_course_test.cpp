// The way of a request through a cluster, without one: every answer, and the time, is the test's.
#include <backends/redis/course.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <string>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

constexpr unsigned slot = 7;

reply_value reply(const std::string& bytes) {
    reply_reader reader;
    reader.feed(bytes.data(), bytes.size());
    return reader.next();
}

/// Nodes that say what they are told to.
class fake_nodes final : public carrier {
public:
    struct sending {
        std::string host;
        request* what;
    };

    void send(const node& to, request& one) override {
        one.sent = true;
        one.sent_at = now;
        one.repeated = one.losses > 0;
        out.push_back({to->address.host, &one});
    }
    bool is_ended(const node&, const request& one) const override { return one.done; }
    bool was_sent(const node&, const request& one) const override { return one.sent; }
    bool leave(const node&, const request& one) noexcept override {
        out.remove_if([&one](const sending& each) { return each.what == &one; });
        return one.sent;
    }

    /// What is out at that host; null: nothing.
    request* at(const std::string& host) {
        for (const sending& each : out) {
            if (each.host == host) return each.what;
        }
        return nullptr;
    }
    void answer(request& one, const std::string& bytes) {
        leave(nullptr, one);
        reply_value said = reply(bytes);
        one.done = true;
        if (!is_error(*said)) {
            one.answer = std::move(said);
            return;
        }
        one.sent = one.losses > 0;
        one.why = failure_of(text_of(*said));
        one.refusal = std::move(said);
    }
    /// Its connection is lost.
    void lose(request& one) {
        leave(nullptr, one);
        ++one.losses;
        one.done = true;
        one.why = {errc::unavailable, 0, "lost", true};
    }
    /// Who is there does not let us in.
    void shut_out(request& one) {
        leave(nullptr, one);
        one.sent = false;
        one.done = true;
        one.why = {errc::permission, 0, "shut out", false};
    }

    boottime::time_point now = boottime::now();
    std::list<sending> out;
};

class redis_course : public testing::Test {
protected:
    redis_course() { lock_.reconnect_until = nodes_.now + 10s; }

    static server seed(const std::string& host) {
        server made;
        made.address = {host, 1};
        return made;
    }
    static std::string bulk(const std::string& text) {
        return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    }
    /// Answers the two questions that are out at that host.
    bool tell(const std::string& host, const std::string& owner, int epoch) {
        request* const slots = nodes_.at(host);
        if (slots == nullptr || slots->first.find("SLOTS") == std::string::npos) return false;
        nodes_.answer(*slots, "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n" + bulk(owner) + ":1\r\n" + bulk("id-" + owner));
        request* const all = nodes_.at(host);
        if (all == nullptr || all->first.find("NODES") == std::string::npos) return false;
        nodes_.answer(*all, bulk("id-" + owner + " " + owner + ":1@2 master - 0 0 " + std::to_string(epoch) + " up\n"));
        return true;
    }
    bool go_on(std::chrono::milliseconds after = 0ms) {
        nodes_.now += after;
        return way_.go_on(nodes_.now);
    }
    /// Underway to a, which is the owner.
    void begin() {
        way_.begin(lock_, slot, nodes_.now);
        ASSERT_TRUE(tell("a", "a", 1)) << "nobody was asked who has what";
        ASSERT_FALSE(go_on());
        ASSERT_EQ(nodes_.at("a"), &lock_);
    }
    void answer(const std::string& bytes) { nodes_.answer(lock_, bytes); }
    /// Until it is done, with the same answer from everybody; how many times it was sent.
    int sent_until_done(const std::string& bytes) {
        int count = 0;
        for (int turn = 0; turn < 100'000 && !go_on(1ms); ++turn) {
            for (const char* host : {"a", "b"}) (void)tell(host, "a", 1);
            if (std::any_of(nodes_.out.begin(), nodes_.out.end(),
                            [&](const auto& each) { return each.what == &lock_; })) {
                answer(bytes);
                ++count;
            }
        }
        return count;
    }

    /// One more; it outlives the courses, as a link's requests do.
    request& another() { return others_.emplace_back(); }

    fake_nodes nodes_;
    cluster map_{{seed("a"), seed("b")}, 30s};
    request lock_;
    std::list<request> others_;
    course way_{map_, nodes_};
};

TEST_F(redis_course, goes_to_the_owner) {
    begin();
    EXPECT_FALSE(lock_.asking);
    answer("+OK\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_NE(lock_.answer, nullptr);
    // The next one need not ask.
    request& next = another();
    way_.begin(next, slot, nodes_.now);
    EXPECT_EQ(nodes_.at("a"), &next);
}

TEST_F(redis_course, follows_moved_and_asks_there_who_has_what) {
    begin();
    answer("-MOVED 7 b:1\r\n");
    EXPECT_FALSE(go_on());
    EXPECT_TRUE(tell("b", "b", 2) || tell("a", "b", 2));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    EXPECT_EQ(lock_.losses, 0) << "it has changed nothing";
    answer("+OK\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_NE(lock_.answer, nullptr);
}

TEST_F(redis_course, follows_ask_for_this_once) {
    begin();
    answer("-ASK 7 c:1\r\n");
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("c"), &lock_);
    EXPECT_TRUE(lock_.asking);
    EXPECT_TRUE(way_.slot_moves());
    answer("+OK\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_NE(lock_.answer, nullptr);
    request& next = another();
    next.reconnect_until = nodes_.now;
    way_.begin(next, slot, nodes_.now);
    EXPECT_EQ(nodes_.at("a"), &next);
    EXPECT_FALSE(next.asking);
}

TEST_F(redis_course, believes_nobody_who_is_not_the_owner_any_more) {
    begin();
    // Somebody else has learned it meanwhile.
    const auto slots = reply("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$1\r\nb\r\n:1\r\n$4\r\nid-b\r\n");
    const auto epochs = reply(bulk("id-b b:1@2 master - 0 0 5 up\n"));
    ASSERT_TRUE(map_.learn(*slots, epochs.get(), seed("b"), nodes_.now));
    answer("+OK\r\n");
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    EXPECT_EQ(lock_.losses, 1) << "it may have been carried out, so it must be sent as something that was";
    EXPECT_EQ(lock_.answer, nullptr);
    answer("*1\r\n:1\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_TRUE(lock_.repeated);
}

TEST_F(redis_course, believes_a_late_answer_only_after_others_were_asked) {
    begin();
    EXPECT_FALSE(go_on(499ms));
    EXPECT_EQ(nodes_.at("b"), nullptr);
    nodes_.now += 2s;
    answer("+OK\r\n");
    EXPECT_FALSE(go_on());
    ASSERT_NE(nodes_.at("b"), nullptr) << "nobody was asked whether it is still the owner";
    ASSERT_TRUE(tell("b", "b", 5));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    EXPECT_EQ(lock_.losses, 1);
}

TEST_F(redis_course, believes_a_late_answer_that_others_confirm_or_nobody_can) {
    begin();
    nodes_.now += 2s;
    answer("+OK\r\n");
    EXPECT_FALSE(go_on());
    ASSERT_TRUE(tell("b", "a", 1));
    EXPECT_TRUE(go_on());
    EXPECT_NE(lock_.answer, nullptr);
    request& next = another();
    next.reconnect_until = nodes_.now + 10s;
    way_.begin(next, slot, nodes_.now);
    nodes_.now += 2s;
    nodes_.answer(next, "+OK\r\n");
    EXPECT_FALSE(go_on());
    while (request* const asked = nodes_.at("b")) nodes_.lose(*asked);
    EXPECT_TRUE(go_on());
    EXPECT_NE(next.answer, nullptr);
}

TEST_F(redis_course, leaves_a_silent_node_whose_slot_another_one_has) {
    begin();
    EXPECT_FALSE(go_on(600ms));
    ASSERT_TRUE(tell("b", "b", 5));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    EXPECT_EQ(nodes_.at("a"), nullptr);
    EXPECT_EQ(lock_.losses, 1);
}

TEST_F(redis_course, stays_with_a_silent_node_that_has_its_slot) {
    begin();
    for (int round = 0; round < 5; ++round) {
        EXPECT_FALSE(go_on(600ms));
        ASSERT_TRUE(tell("b", "a", 1));
        EXPECT_FALSE(go_on());
        EXPECT_EQ(nodes_.at("a"), &lock_);
    }
    answer("+OK\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_EQ(lock_.losses, 0);
}

TEST_F(redis_course, whoever_gives_up_lets_the_next_one_know) {
    {
        course dropped(map_, nodes_);
        request& given_up = another();
        dropped.begin(given_up, slot, nodes_.now);
        ASSERT_TRUE(tell("a", "a", 1));
        dropped.go_on(nodes_.now);
        ASSERT_EQ(nodes_.at("a"), &given_up);
    }
    EXPECT_TRUE(nodes_.out.empty());
    way_.begin(lock_, slot, nodes_.now);
    EXPECT_TRUE(tell("b", "b", 5)) << "who has what was not asked of others";
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
}

TEST_F(redis_course, asks_others_after_a_lost_connection) {
    begin();
    nodes_.lose(lock_);
    EXPECT_FALSE(go_on());
    ASSERT_TRUE(tell("b", "b", 5));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    EXPECT_EQ(lock_.losses, 1);
}

TEST_F(redis_course, asks_others_where_somebody_lets_nobody_in) {
    begin();
    nodes_.shut_out(lock_);
    EXPECT_FALSE(go_on()) << "a stranger's word was the last";
    ASSERT_TRUE(tell("b", "b", 5));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
}

TEST_F(redis_course, waits_for_a_node_whose_address_somebody_else_has_no_longer_than_leases_last) {
    lock_.reconnect_until = nodes_.now + 1h;
    begin();
    nodes_.shut_out(lock_);
    const auto began = nodes_.now;
    while (!go_on(10ms) && nodes_.now < began + 1h) {
        (void)tell("b", "a", 1);
        if (nodes_.at("a") == &lock_) nodes_.shut_out(lock_);
    }
    EXPECT_EQ(lock_.why.code, errc::permission);
    EXPECT_GT(nodes_.now - began, 29s) << "it may have come back";
    EXPECT_LT(nodes_.now - began, 40s) << "the reason is never told";
}

TEST_F(redis_course, asks_on_while_only_strangers_have_answered) {
    way_.begin(lock_, slot, nodes_.now);
    while (request* const asked = nodes_.at("a")) nodes_.shut_out(*asked);
    EXPECT_FALSE(go_on());
    while (request* const asked = nodes_.at("b")) nodes_.lose(*asked);
    EXPECT_FALSE(go_on());
    ASSERT_TRUE(tell("a", "b", 5) || tell("b", "b", 5)) << "b was not waited for";
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
    cluster strange({seed("a"), seed("b")}, 30s);
    course other(strange, nodes_);
    request& next = another();
    next.reconnect_until = nodes_.now + 10s;
    other.begin(next, slot, nodes_.now);
    for (const char* host : {"a", "b"}) {
        EXPECT_FALSE(next.done);
        for (int question = 0; question < 2; ++question) {
            for (auto& each : nodes_.out) {
                if (each.host == host && each.what != &lock_) {
                    nodes_.shut_out(*each.what);
                    break;
                }
            }
        }
        other.go_on(nodes_.now);
    }
    EXPECT_TRUE(next.done);
    EXPECT_EQ(next.why.code, errc::permission);
}

TEST_F(redis_course, asks_itself_where_another_call_does_not_go_on) {
    course stuck(map_, nodes_);
    request& first = another();
    stuck.begin(first, slot, nodes_.now);
    way_.begin(lock_, slot, nodes_.now);
    EXPECT_FALSE(go_on(499ms));
    EXPECT_EQ(nodes_.out.size(), 2) << "both ask";
    EXPECT_FALSE(lock_.why.text.empty()) << "nobody knows what it waits for";
    EXPECT_FALSE(go_on(2ms));
    EXPECT_EQ(nodes_.out.size(), 4);
}

TEST_F(redis_course, gives_far_nodes_more_and_more_time_to_answer) {
    lock_.reconnect_until = nodes_.now + 1h;
    // How long one of them is waited for.
    const auto wait_for = [&](const std::string& host) {
        while (nodes_.at(host) == nullptr && !go_on(1ms)) {
        }
        const auto began = nodes_.now;
        while (nodes_.at(host) != nullptr && !go_on(1ms)) {
        }
        return std::chrono::round<std::chrono::milliseconds>(nodes_.now - began);
    };
    way_.begin(lock_, slot, nodes_.now);
    for (const auto expected : {500ms, 1000ms, 2000ms, 2000ms}) {
        EXPECT_NEAR(static_cast<double>(wait_for("a").count()), static_cast<double>(expected.count()), 5)
            << "connect_timeout is 2 s";
    }
    while (nodes_.at("a") == nullptr) ASSERT_FALSE(go_on(1ms));
    nodes_.now += 1900ms;
    ASSERT_TRUE(tell("a", "a", 1));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("a"), &lock_);
    nodes_.lose(lock_);
    EXPECT_FALSE(go_on());
    EXPECT_NEAR(static_cast<double>(wait_for("b").count()), 500, 5) << "one that is dead takes long to be passed over";
}

TEST_F(redis_course, tries_again_in_pauses_for_as_long_as_it_may) {
    for (const char* said :
         {"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "-CLUSTERDOWN The cluster is down\r\n",
          "-MOVED 7 b:1\r\n", "-MOVED 7 a:1\r\n", "-ASK 7 b:1\r\n", "-ASK 7 a:1\r\n", "-MOVED 8 b:1\r\n",
          "-LOADING Redis is loading the dataset in memory\r\n"}) {
        request& fresh = another();
        std::swap(lock_, fresh);
        lock_.reconnect_until = nodes_.now + 2s;
        const auto began = nodes_.now;
        way_.begin(lock_, slot, nodes_.now);
        const int count = sent_until_done(said);
        EXPECT_TRUE(lock_.done) << said;
        EXPECT_EQ(lock_.answer, nullptr);
        EXPECT_EQ(lock_.why.code, errc::unavailable) << said;
        EXPECT_FALSE(lock_.sent) << "nothing was carried out: " << said;
        EXPECT_GT(nodes_.now - began, 1s) << said;
        EXPECT_LE(nodes_.now - began, 3s) << said;
        EXPECT_GT(count, 3) << said;
        EXPECT_LT(count, 500) << "no pauses: " << said;
    }
}

TEST_F(redis_course, who_has_no_time_is_answered_soon) {
    for (const char* said : {"-TRYAGAIN x\r\n", "-CLUSTERDOWN x\r\n", "-MOVED 7 b:1\r\n", "-ASK 7 b:1\r\n"}) {
        request& fresh = another();
        std::swap(lock_, fresh);
        lock_.reconnect_until = nodes_.now;
        const auto began = nodes_.now;
        way_.begin(lock_, slot, nodes_.now);
        EXPECT_LE(sent_until_done(said), 12) << said;
        EXPECT_EQ(lock_.why.code, errc::unavailable) << said;
        EXPECT_LT(nodes_.now - began, 100ms) << said;
    }
}

TEST_F(redis_course, says_what_will_not_pass_by_itself) {
    begin();
    answer("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    EXPECT_TRUE(go_on());
    EXPECT_EQ(lock_.why.code, errc::invalid_name);
    cluster strange({seed("x")}, 30s);
    course other(strange, nodes_);
    request& next = another();
    next.reconnect_until = nodes_.now + 10s;
    other.begin(next, slot, nodes_.now);
    for (int question = 0; question < 2; ++question) {
        nodes_.answer(*nodes_.at("x"), "-ERR This instance has cluster support disabled\r\n");
    }
    EXPECT_TRUE(other.go_on(nodes_.now));
    EXPECT_EQ(next.why.code, errc::unsupported) << next.why.text;
}

TEST_F(redis_course, asks_the_next_one_where_an_answer_makes_no_sense) {
    way_.begin(lock_, slot, nodes_.now);
    const std::string range = "*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk("c") + ":1\r\n";
    nodes_.answer(*nodes_.at("a"), "*2\r\n" + range + range);
    nodes_.answer(*nodes_.at("a"), bulk(""));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(map_.owner_of(slot), nullptr);
    ASSERT_TRUE(tell("b", "b", 1));
    EXPECT_FALSE(go_on());
    EXPECT_EQ(nodes_.at("b"), &lock_);
}

TEST_F(redis_course, what_was_never_sent_can_be_given_up) {
    way_.begin(lock_, slot, nodes_.now);
    way_.give_up_unsent();
    EXPECT_TRUE(go_on());
    EXPECT_EQ(lock_.why.code, errc::cancelled);
    EXPECT_FALSE(lock_.sent);
    EXPECT_TRUE(nodes_.out.empty());
    request& next = another();
    next.reconnect_until = nodes_.now + 10s;
    way_.begin(next, slot, nodes_.now);
    ASSERT_TRUE(tell("a", "a", 1)) << "nobody else may ask any more";
    EXPECT_FALSE(go_on());
    way_.give_up_unsent();
    EXPECT_FALSE(go_on()) << "its answer is out";
    nodes_.lose(next);
    EXPECT_FALSE(go_on());
    way_.give_up_unsent();
    EXPECT_TRUE(go_on());
    EXPECT_TRUE(next.sent) << "it may have been carried out";
}

}  // namespace
}  // namespace holdfast::redis
