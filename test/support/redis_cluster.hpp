// A Redis cluster for tests: masters, replicas, and moving slots between them.
#ifndef HOLDFAST_TEST_SUPPORT_REDIS_CLUSTER_HPP
#define HOLDFAST_TEST_SUPPORT_REDIS_CLUSTER_HPP

#include <support/redis_server.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

/// Three masters, each with a third of the slots, and perhaps a replica each that takes over within some seconds.
class redis_cluster {
public:
    static constexpr std::size_t masters = 3;

    /// @param options of each node, besides what makes it one
    explicit redis_cluster(bool with_replicas, const std::vector<std::string>& options = {});
    redis_cluster(const redis_cluster&) = delete;
    redis_cluster& operator=(const redis_cluster&) = delete;

    /// As they were at the beginning: first the masters, then the replica of each.
    redis_server& node(std::size_t number) { return *nodes_[number]; }
    const redis_server& node(std::size_t number) const { return *nodes_[number]; }
    std::size_t size() const noexcept { return nodes_.size(); }
    /// Which node has the key's slot now, by what the nodes themselves say.
    std::size_t owner_of(const std::string& key) const;
    /// A key in one of that node's slots: the first of @p what with a number.
    std::string name_at(std::size_t number, const std::string& what = "name") const;
    long long slot_of(const std::string& key) const;
    /// The reply of whoever has the key's slot.
    redis_reply ask(const std::string& key, const std::vector<std::string>& words) const;

    /// A slot begins to move: keys that are not where it was are asked for where it goes.
    void begin_move(long long slot, std::size_t from, std::size_t to) const;
    void move_key(const std::string& key, std::size_t from, std::size_t to) const;
    /// All nodes know where it is now.
    void end_move(long long slot, std::size_t to) const;
    /// All of that.
    void move(const std::string& key, std::size_t to) const;

private:
    std::string id_of(std::size_t number) const;
    /// Until every node says the same of who has which slots, and who follows whom.
    void await_agreement() const;

    std::vector<std::unique_ptr<redis_server>> nodes_;
};

}  // namespace holdfast::test

#endif
