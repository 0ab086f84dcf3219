#include <support/redis_cluster.hpp>
#include <support/server_process.hpp>

#include <chrono>
#include <cstdlib>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

template <class Condition>
void await(const char* what, Condition holds) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error(what);
        std::this_thread::sleep_for(10ms);
    }
}

redis_reply must(redis_reply said) {
    if (said.is_error) throw std::runtime_error("redis: " + said.text);
    return said;
}

/// With a port for the cluster's own talk, which would else be ten thousand higher, where that need not be a port.
std::unique_ptr<redis_server> make_node(std::vector<std::string> options) {
    options.emplace_back("--cluster-port");
    options.emplace_back();
    for (int tries = 0;; ++tries) {
        options.back() = std::to_string(free_port());
        try {
            return std::make_unique<redis_server>(options);
        } catch (const std::runtime_error&) {
            // Perhaps somebody else has it by now.
            if (tries == 2) throw;
        }
    }
}

/// Who has which slots with which epoch, and who follows whom, by what that node says.
std::string view_of(const redis_server& asked) {
    std::set<std::string> lines;
    std::istringstream text(asked({"CLUSTER", "NODES"}).text);
    for (std::string line; std::getline(text, line);) {
        std::istringstream fields(line);
        std::string made;
        std::string field;
        // Neither address, flags, times nor link.
        for (int number = 0; fields >> field; ++number) {
            if ((number == 0 || number == 3 || number == 6 || number > 7) && field.front() != '[') made += field + " ";
        }
        lines.insert(made);
    }
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
}

}  // namespace

redis_cluster::redis_cluster(bool with_replicas, const std::vector<std::string>& options) {
    std::vector<std::string> all{"--cluster-enabled",
                                 "yes",
                                 "--cluster-config-file",
                                 "nodes.conf",
                                 "--cluster-node-timeout",
                                 "1500",
                                 "--repl-diskless-sync-delay",
                                 "0",
                                 "--cluster-allow-replica-migration",
                                 "no"};
    all.insert(all.end(), options.begin(), options.end());
    while (nodes_.size() < (with_replicas ? 2 * masters : masters)) nodes_.push_back(make_node(all));
    for (std::size_t number = 0; number < masters; ++number) {
        const long long first = 16384 * static_cast<long long>(number) / static_cast<long long>(masters);
        const long long last = 16384 * static_cast<long long>(number + 1) / static_cast<long long>(masters) - 1;
        must(node(number)({"CLUSTER", "ADDSLOTSRANGE", std::to_string(first), std::to_string(last)}));
        // Else two claims to one slot would be as good as each other.
        must(node(number)({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(number + 1)}));
    }
    for (std::size_t number = 1; number < size(); ++number) {
        must(node(0)({"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(number).port()),
                      node(number)({"CONFIG", "GET", "cluster-port"}).elements.at(1).text}));
    }
    const auto all_say = [this](const std::string& what) {
        for (const auto& each : nodes_) {
            if ((*each)({"CLUSTER", "INFO"}).text.find(what) == std::string::npos) return false;
        }
        return true;
    };
    await("the nodes do not meet", [&] { return all_say("cluster_known_nodes:" + std::to_string(size()) + "\r"); });
    for (std::size_t number = masters; number < size(); ++number) {
        await("no replica", [&] { return !node(number)({"CLUSTER", "REPLICATE", id_of(number - masters)}).is_error; });
    }
    await("the cluster is not whole", [&] { return all_say("cluster_state:ok"); });
    for (std::size_t number = masters; number < size(); ++number) {
        await("the replicas do not follow", [&] {
            return node(number)({"INFO", "replication"}).text.find("master_link_status:up") != std::string::npos;
        });
    }
    // A master sends data to a replica that it does not know for its own yet, and forgets without a word what that asks
    // it for: "Manual failover timed out".
    await_agreement();
}

std::string redis_cluster::id_of(std::size_t number) const {
    return (*nodes_[number])({"CLUSTER", "MYID"}).text;
}

long long redis_cluster::slot_of(const std::string& key) const {
    for (const auto& each : nodes_) {
        if (each->runs()) return (*each)({"CLUSTER", "KEYSLOT", key}).integer;
    }
    throw std::runtime_error("no node runs");
}

std::size_t redis_cluster::owner_of(const std::string& key) const {
    for (std::size_t number = 0; number < size(); ++number) {
        if (!nodes_[number]->runs()) continue;
        const redis_reply said = (*nodes_[number])({"TTL", key});
        if (!said.is_error) return number;
        const auto colon = said.text.rfind(':');
        const auto port = colon == std::string::npos ? 0 : std::atoi(said.text.c_str() + colon + 1);
        for (std::size_t other = 0; other < size(); ++other) {
            if (nodes_[other]->port() == port) return other;
        }
    }
    throw std::runtime_error("nobody has the slot");
}

std::string redis_cluster::name_at(std::size_t number, const std::string& what) const {
    for (int count = 0;; ++count) {
        std::string made = what + std::to_string(count);
        if (owner_of(made) == number) return made;
    }
}

redis_reply redis_cluster::ask(const std::string& key, const std::vector<std::string>& words) const {
    return (*nodes_[owner_of(key)])(words);
}

void redis_cluster::begin_move(long long slot, std::size_t from, std::size_t to) const {
    must((*nodes_[to])({"CLUSTER", "SETSLOT", std::to_string(slot), "IMPORTING", id_of(from)}));
    must((*nodes_[from])({"CLUSTER", "SETSLOT", std::to_string(slot), "MIGRATING", id_of(to)}));
}

void redis_cluster::move_key(const std::string& key, std::size_t from, std::size_t to) const {
    must((*nodes_[from])({"MIGRATE", "127.0.0.1", std::to_string(nodes_[to]->port()), key, "0", "5000"}));
}

void redis_cluster::end_move(long long slot, std::size_t to) const {
    must((*nodes_[to])({"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", id_of(to)}));
    for (std::size_t number = 0; number < masters; ++number) {
        if (number == to || !nodes_[number]->runs()) continue;
        must((*nodes_[number])({"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", id_of(to)}));
    }
    // Who moves it on before all know of the new epoch divides the cluster for good.
    await_agreement();
}

void redis_cluster::await_agreement() const {
    await("the nodes do not agree", [this] {
        std::set<std::string> views;
        for (const auto& each : nodes_) {
            if (each->runs()) views.insert(view_of(*each));
        }
        return views.size() == 1;
    });
}

void redis_cluster::move(const std::string& key, std::size_t to) const {
    const std::size_t from = owner_of(key);
    const long long slot = slot_of(key);
    begin_move(slot, from, to);
    for (const redis_reply& each :
         (*nodes_[from])({"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), "1000"}).elements) {
        move_key(each.text, from, to);
    }
    end_move(slot, to);
}

}  // namespace holdfast::test
