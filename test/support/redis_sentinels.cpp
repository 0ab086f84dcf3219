#include <support/redis_sentinels.hpp>
#include <support/server_process.hpp>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

template <class Condition>
void await(const char* what, Condition holds) {
    const auto until = std::chrono::steady_clock::now() + 30s;
    for (;;) {
        try {
            if (holds()) return;
        } catch (const std::exception&) {
            // Not there yet.
        }
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error(what);
        std::this_thread::sleep_for(10ms);
    }
}

}  // namespace

redis_sentinels::redis_sentinels(const std::string& password, const std::vector<std::string>& options)
    : password_(password), options_(options) {
    std::string place = "/tmp/holdfast-sentinels-XXXXXX";
    if (::mkdtemp(place.data()) == nullptr) throw std::runtime_error("no temporary folder");
    directory_ = place;
    std::vector<std::string> quick{"--repl-diskless-sync-delay", "0"};
    quick.insert(quick.end(), options.begin(), options.end());
    servers_.push_back(std::make_unique<redis_server>(quick));
    for (int each = 0; each < 2; ++each) {
        auto replica = quick;
        replica.insert(replica.end(), {"--replicaof", "127.0.0.1", std::to_string(server(0).port())});
        servers_.push_back(std::make_unique<redis_server>(replica));
    }
    await("no replicas", [this] {
        redis_client client(server(0).socket_path());
        client({"SET", "probe", "x", "PX", "1"});
        return client({"WAIT", "2", "100"}).integer == 2;
    });
    ids_.resize(3, -1);
    for (std::size_t each = 0; each < 3; ++each) {
        ports_.push_back(static_cast<std::uint16_t>(free_port()));
        start_sentinel(each);
    }
    for (std::size_t each = 0; each < 3; ++each) {
        await("the sentinels do not find each other", [&] {
            const auto said = ask(each, {"SENTINEL", "MASTER", "shop"}).elements;
            int found = 0;
            for (std::size_t at = 0; at + 1 < said.size(); at += 2) {
                if (said[at].text == "num-slaves" || said[at].text == "num-other-sentinels") {
                    found += said[at + 1].text == "2" ? 1 : 0;
                }
            }
            return found == 2;
        });
    }
}

redis_sentinels::~redis_sentinels() {
    for (std::size_t each = 0; each < ids_.size(); ++each) kill_sentinel(each);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void redis_sentinels::start_sentinel(std::size_t number) {
    const std::string file = directory_ + "/" + std::to_string(number) + ".conf";
    std::ofstream written(file);
    written << "port " << ports_[number] << "\nunixsocket " << socket_of(number) << "\nbind 127.0.0.1\ndir "
            << directory_ << "\nlogfile " << directory_ << "/" << number << ".log\nsentinel monitor shop 127.0.0.1 "
            << server(0).port()
            << " 2\nsentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
            << (password_.empty() ? "" : "requirepass " + password_ + "\n");
    for (const std::string& each : options_) {
        if (each == redis_server::own_port) {
            written << " " << ports_[number];
        } else if (each.starts_with("--")) {
            written << "\n" << each.substr(2);
        } else {
            written << " " << each;
        }
    }
    written << "\n";
    written.close();
    ids_[number] = start_server({"redis-server", file, "--sentinel"});
}

std::string redis_sentinels::socket_of(std::size_t number) const {
    return directory_ + "/" + std::to_string(number) + ".sock";
}

void redis_sentinels::kill_sentinel(std::size_t number) {
    if (ids_[number] <= 0) return;
    ::kill(ids_[number], SIGKILL);
    ::waitpid(ids_[number], nullptr, 0);
    ids_[number] = -1;
}

redis_reply redis_sentinels::ask(std::size_t number, const std::vector<std::string>& words) const {
    redis_client client(socket_of(number));
    if (!password_.empty()) client({"AUTH", password_});
    return client(words);
}

std::uint16_t redis_sentinels::master() const {
    for (std::size_t each = 0; each < ids_.size(); ++each) {
        if (ids_[each] <= 0) continue;
        const auto said = ask(each, {"SENTINEL", "get-master-addr-by-name", "shop"}).elements;
        if (said.size() == 2) return static_cast<std::uint16_t>(std::stoi(said[1].text));
    }
    return 0;
}

}  // namespace holdfast::test
