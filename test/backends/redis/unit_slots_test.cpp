// Slots of a cluster: which key is where, and what nodes say of each other.
#include <backends/redis/cluster.hpp>
#include <backends/redis/slots.hpp>

#include <gtest/gtest.h>

#include <string>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

reply_value reply(const std::string& bytes) {
    reply_reader reader;
    reader.trust();
    reader.feed(bytes.data(), bytes.size());
    return reader.next();
}

reply_value text_reply(const std::string& text) {
    return reply("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
}

/// CLUSTER SLOTS with one node for all slots from @p first to @p last.
reply_value slots_reply(int first, int last, const std::string& host, int port, const std::string& id) {
    return reply("*1\r\n*3\r\n:" + std::to_string(first) + "\r\n:" + std::to_string(last) + "\r\n*3\r\n$" +
                 std::to_string(host.size()) + "\r\n" + host + "\r\n:" + std::to_string(port) + "\r\n$" +
                 std::to_string(id.size()) + "\r\n" + id + "\r\n");
}

TEST(redis_slots, are_those_of_the_specification) {
    EXPECT_EQ(crc16("123456789"), 0x31C3);
    EXPECT_EQ(crc16(""), 0);
    EXPECT_EQ(slot_of("foo"), 12182);
    EXPECT_EQ(slot_of("bar"), 5061);
    EXPECT_EQ(slot_of("hello"), 866);
    EXPECT_EQ(slot_of("somekey"), 11058);
    EXPECT_EQ(slot_of("foo{hash_tag}"), 2515);
    EXPECT_EQ(slot_of("bar{hash_tag}"), 2515);
}

TEST(redis_slots, are_those_of_the_hash_tag) {
    EXPECT_EQ(hashed_part("{user1000}.following"), "user1000");
    EXPECT_EQ(hashed_part("foo{}{bar}"), "foo{}{bar}") << "an empty tag is none";
    EXPECT_EQ(hashed_part("foo{{bar}}zap"), "{bar");
    EXPECT_EQ(hashed_part("foo{bar}{zap}"), "bar");
    EXPECT_EQ(hashed_part("foo}bar{"), "foo}bar{");
    EXPECT_EQ(hashed_part("}{x}"), "x");
    EXPECT_EQ(hashed_part(""), "");
    EXPECT_FALSE(has_hash_tag("plain"));
    EXPECT_FALSE(has_hash_tag("{}"));
    EXPECT_TRUE(has_hash_tag("{x}"));
}

TEST(redis_slots, each_have_a_tag) {
    for (unsigned slot = 0; slot < slot_count; ++slot) ASSERT_EQ(slot_of("any:{" + tag_of(slot) + "}:name"), slot);
    // Part of the wire version: others must find the same counters and channels.
    EXPECT_EQ(tag_of(slot_of("0")), "0");
    EXPECT_EQ(tag_of(slot_of("12345")), "12345");
    EXPECT_EQ(tag_of(0), "3560");
}

TEST(redis_redirection, is_read) {
    const auto moved = redirection_from("MOVED 3999 127.0.0.1:6381");
    ASSERT_TRUE(moved.has_value());
    EXPECT_FALSE(moved->asking);
    EXPECT_EQ(moved->slot, 3999U);
    EXPECT_EQ(moved->where.host, "127.0.0.1");
    EXPECT_EQ(moved->where.port, 6381);
    const auto ask = redirection_from("ASK 16383 node.example:1");
    ASSERT_TRUE(ask.has_value());
    EXPECT_TRUE(ask->asking);
    EXPECT_EQ(ask->where.host, "node.example");
    EXPECT_EQ(redirection_from("MOVED 1 ::1:6381")->where.host, "::1");
    EXPECT_EQ(redirection_from("MOVED 1 :6381")->where.host, "") << "the node that says so";
}

TEST(redis_redirection, is_none_where_it_makes_no_sense) {
    for (const char* text : {"",
                             "MOVED",
                             "MOVED ",
                             "ASK ",
                             "MOVED 1",
                             "MOVED 1 ",
                             "MOVED 1 host",
                             "MOVED 1 host:",
                             "MOVED 1 host:0",
                             "MOVED 1 host:65536",
                             "MOVED 1 host:-1",
                             "MOVED 1 host:1x",
                             "MOVED -1 host:1",
                             "MOVED 16384 host:1",
                             "MOVED x host:1",
                             "MOVED  host:1",
                             "MOVEDX 1 host:1",
                             "ASKING 1 host:1",
                             "TRYAGAIN 1 host:1",
                             "MOVED 99999999999999999999 host:1"}) {
        EXPECT_FALSE(redirection_from(text).has_value()) << text;
    }
    EXPECT_FALSE(redirection_from("MOVED 1 " + std::string(256, 'a') + ":1").has_value());
    EXPECT_FALSE(redirection_from(std::string("MOVED 1 a\0b:1", 13)).has_value());
}

TEST(redis_slot_map, is_read) {
    const auto ranges = ranges_from(*slots_reply(0, 5460, "10.0.0.1", 7000, "abc"));
    ASSERT_EQ(ranges.size(), 1);
    EXPECT_EQ(ranges[0].first, 0U);
    EXPECT_EQ(ranges[0].last, 5460U);
    EXPECT_EQ(ranges[0].master.host, "10.0.0.1");
    EXPECT_EQ(ranges[0].master.port, 7000);
    EXPECT_EQ(ranges[0].id, "abc");
    // A host that is not known, in either way; replicas do not matter.
    const auto unknown =
        ranges_from(*reply("*2\r\n*4\r\n:0\r\n:1\r\n*2\r\n$-1\r\n:7000\r\n*2\r\n$1\r\nr\r\n:1\r\n"
                           "*3\r\n:2\r\n:3\r\n*2\r\n$1\r\n?\r\n:7001\r\n"));
    ASSERT_EQ(unknown.size(), 2);
    EXPECT_EQ(unknown[0].master.host, "");
    EXPECT_EQ(unknown[1].master.host, "");
    const auto epochs = epochs_from(
        *text_reply("abc 127.0.0.1:7000@17000 myself,master - 0 1426238317239 4 connected 0-5460\n"
                    "def 127.0.0.1:7001@17001,host.example master - 0 1426238316232 12 connected 5461-16383\n"
                    "ghi :0@0 slave,noaddr abc 1 2 4 disconnected\nshort\n\n x y z\nodd a b c d e no connected\n"));
    ASSERT_EQ(epochs.size(), 3);
    EXPECT_EQ(epochs.at("abc"), 4U);
    EXPECT_EQ(epochs.at("def"), 12U);
}

TEST(redis_slot_map, is_not_believed_where_it_makes_no_sense) {
    for (const char* bytes :
         {"+OK\r\n", ":1\r\n", "*0\r\n", "*-1\r\n", "$-1\r\n", "-ERR no\r\n", "*1\r\n:1\r\n", "*1\r\n*0\r\n",
          "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n",
          "*1\r\n*3\r\n:5\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n", "*1\r\n*3\r\n:-5\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
          "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:0\r\n",
          "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:65536\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
          "*1\r\n*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n"}) {
        EXPECT_TRUE(ranges_from(*reply(bytes)).empty()) << bytes;
    }
    // A slot that is named twice, or more ranges than there are slots.
    EXPECT_TRUE(
        ranges_from(*reply("*2\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n*3\r\n:5\r\n:9\r\n*2\r\n$1\r\nb\r\n:1\r\n"))
            .empty());
    std::string many = "*" + std::to_string(slot_count + 1) + "\r\n";
    for (unsigned count = 0; count <= slot_count; ++count) many += ":1\r\n";
    EXPECT_TRUE(ranges_from(*reply(many)).empty());
    EXPECT_TRUE(epochs_from(*reply("-ERR no\r\n")).empty());
    EXPECT_TRUE(epochs_from(*reply("*0\r\n")).empty());
}

class redis_cluster_map : public testing::Test {
protected:
    static server seed() {
        server made;
        made.address = {"a", 1};
        return made;
    }
    bool learn(const std::string& host, const std::string& id, int epoch, boottime::duration after = {}) {
        const auto nodes = text_reply(id + " " + host + ":1@2 master - 0 0 " + std::to_string(epoch) + " connected\n");
        return map_.learn(*slots_reply(0, 16383, host, 1, id), nodes.get(), seed(), now_ + after);
    }
    std::string owner() const {
        const node found = map_.owner_of(7);
        return found == nullptr ? "" : found->address.host;
    }

    const boottime::time_point now_ = boottime::now();
    cluster map_{{seed()}, 10s};
};

TEST_F(redis_cluster_map, knows_nothing_at_first) {
    EXPECT_EQ(owner(), "");
    EXPECT_TRUE(map_.is_doubted());
    EXPECT_EQ(map_.whom_to_ask(nullptr).size(), 1);
    EXPECT_TRUE(learn("a", "ida", 1));
    EXPECT_EQ(owner(), "a");
    EXPECT_FALSE(map_.is_doubted());
    EXPECT_FALSE(map_.learn(*reply("*0\r\n"), nullptr, seed(), now_));
    EXPECT_EQ(owner(), "a");
}

TEST_F(redis_cluster_map, believes_the_later_of_two_claims) {
    learn("a", "ida", 5);
    learn("b", "idb", 7);
    EXPECT_EQ(owner(), "b");
    learn("a", "ida", 5);
    EXPECT_EQ(owner(), "b") << "an old master was believed";
    EXPECT_EQ(map_.moved({.slot = 7, .where = {"a", 1}}, *map_.at({"c", 1}, seed()), now_), nullptr);
    EXPECT_EQ(owner(), "b");
    learn("a", "ida", 8);
    EXPECT_EQ(owner(), "a");
}

TEST_F(redis_cluster_map, believes_the_owner_who_says_that_it_is_none) {
    learn("b", "idb", 7);
    EXPECT_NE(map_.moved({.slot = 7, .where = {"a", 1}}, *map_.owner_of(7), now_), nullptr);
    EXPECT_EQ(owner(), "a");
    EXPECT_TRUE(map_.is_doubted());
    EXPECT_EQ(map_.owner_of(8)->address.host, "b");
    // An empty host is that of who says so.
    EXPECT_EQ(map_.moved({.slot = 8, .where = {"", 9}}, *map_.owner_of(8), now_)->address.host, "b");
}

TEST_F(redis_cluster_map, forgets_the_claim_of_who_is_silent_for_longer_than_leases_last) {
    learn("b", "idb", 7);
    map_.failed(*map_.owner_of(7), now_);
    learn("a", "ida", 5, 9s);
    EXPECT_EQ(owner(), "b");
    learn("a", "ida", 5, 11s);
    EXPECT_EQ(owner(), "a") << "a cluster that was made anew is never found";
    learn("b", "idb", 7);
    map_.failed(*map_.owner_of(7), now_);
    map_.answered(*map_.owner_of(7));
    learn("a", "ida", 5, 11s);
    EXPECT_EQ(owner(), "b");
}

TEST_F(redis_cluster_map, expects_at_an_address_the_node_that_it_knows_there) {
    EXPECT_TRUE(map_.at({"b", 1}, seed())->identity->is("any"));
    learn("b", "idb", 7);
    const node b = map_.owner_of(7);
    EXPECT_TRUE(b->identity->is("idb"));
    EXPECT_FALSE(b->identity->is("another"));
    EXPECT_TRUE(b->identity->is("")) << "who may not ask could not use the cluster";
    const unsigned before = b->identity->version();
    learn("b", "another", 8);
    EXPECT_NE(b->identity->version(), before) << "connections to the old one would be kept";
    EXPECT_TRUE(b->identity->is("another"));
    EXPECT_FALSE(b->identity->is("idb"));
}

TEST_F(redis_cluster_map, asks_seeds_without_slots_whoever_they_are) {
    learn("a", "ida", 1);
    const node a = map_.owner_of(7);
    EXPECT_FALSE(a->identity->is("another"));
    learn("b", "idb", 7);
    EXPECT_TRUE(a->identity->is("another")) << "it could not be asked";
}

TEST_F(redis_cluster_map, believes_another_cluster_where_its_own_is_gone_for_longer_than_leases_last) {
    learn("b", "idb", 7);
    const node b = map_.owner_of(7);
    map_.failed(*b, now_);
    map_.nobody_answered(false, now_ + 11s);
    EXPECT_FALSE(b->identity->is("new")) << "nobody else was seen there";
    map_.nobody_answered(false, now_ + 9s);
    EXPECT_FALSE(b->identity->is("new"));
    map_.nobody_answered(false, now_ + 11s);
    EXPECT_TRUE(b->identity->is("new"));
}

TEST_F(redis_cluster_map, lets_one_ask_at_a_time) {
    auto turn = map_.take_turn(now_);
    ASSERT_NE(turn, nullptr);
    EXPECT_EQ(map_.take_turn(now_), nullptr);
    turn.reset();
    EXPECT_NE(map_.take_turn(now_), nullptr);
}

TEST_F(redis_cluster_map, waits_for_nobody_who_does_not_go_on_asking) {
    auto slow = map_.take_turn(now_);
    EXPECT_EQ(map_.take_turn(now_ + 499ms), nullptr);
    map_.keep_turn(slow, now_ + 499ms);
    EXPECT_EQ(map_.take_turn(now_ + 501ms), nullptr) << "it has asked another node";
    const auto next = map_.take_turn(now_ + 1s);
    ASSERT_NE(next, nullptr);
    map_.keep_turn(slow, now_ + 10s);
    slow.reset();
    EXPECT_EQ(map_.take_turn(now_ + 1s), nullptr) << "the slow one has ended the turn of the next one";
    EXPECT_NE(map_.take_turn(now_ + 2s), nullptr);
}

TEST_F(redis_cluster_map, asks_those_that_answer_first) {
    learn("b", "idb", 7);
    map_.failed(*map_.owner_of(7), now_);
    auto asked = map_.whom_to_ask(nullptr);
    ASSERT_EQ(asked.size(), 2);
    EXPECT_EQ(asked[0]->address.host, "a");
    EXPECT_EQ(asked[1]->address.host, "b");
    EXPECT_EQ(map_.whom_to_ask(asked[1].get()).size(), 1);
    map_.answered(*map_.owner_of(7));
    EXPECT_EQ(map_.whom_to_ask(nullptr)[0]->address.host, "b");
}

}  // namespace
}  // namespace holdfast::redis
