// A second program for tests that are not C++: a server of the tests' own, which ends with this program's input.
//
// private_server redis | redis-sentinel | redis-cluster | postgres
// Prints "ready URL". Each line of input is asked of the server (a command with its words; a statement), and answered
// by one line: what is several values or lines has tabs between. "kill" kills the server: "killed".
#include <support/redis_cluster.hpp>
#include <support/redis_sentinels.hpp>
#include <support/redis_server.hpp>
#if defined(HOLDFAST_WITH_POSTGRES)
#include <support/postgres_server.hpp>
#endif

#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

using holdfast::test::redis_client;
using holdfast::test::redis_cluster;
using holdfast::test::redis_reply;
using holdfast::test::redis_sentinels;
using holdfast::test::redis_server;
#if defined(HOLDFAST_WITH_POSTGRES)
using holdfast::test::postgres_server;
#endif

std::string text_of(const redis_reply& reply) {
    if (reply.elements.empty()) return reply.text;
    std::string text;
    for (const redis_reply& each : reply.elements) text += (text.empty() ? "" : "\t") + text_of(each);
    return text;
}

std::string in_one_line(std::string text) {
    std::erase(text, '\r');
    for (char& each : text) {
        if (each == '\n') each = '\t';
    }
    return text;
}

int serve(const std::string& url, const std::function<std::string(const std::string&)>& ask,
          const std::function<void()>& kill) {
    std::cout << "ready " << url << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "kill") {
            kill();
            std::cout << "killed" << std::endl;
            continue;
        }
        std::cout << in_one_line(ask(line)) << std::endl;
    }
    return 0;
}

/// @param server whatever takes a command's words
template <class Server>
std::string ask(Server&& server, const std::string& line) {
    std::istringstream words(line);
    const redis_reply reply = server({std::istream_iterator<std::string>(words), {}});
    return (reply.is_error ? "error " : "") + text_of(reply);
}

std::string listed(const std::vector<std::uint16_t>& ports) {
    std::string all;
    for (const std::uint16_t port : ports) all += (all.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(port);
    return all;
}

int serve_redis() {
    redis_server server;
    return serve(
        server.url(), [&](const std::string& line) { return ask(server, line); }, [&] { server.kill(); });
}

/// The master that the sentinels name is asked, "error" while it is away; the first one is killed.
int serve_redis_sentinel() {
    redis_sentinels group;
    return serve(
        "redis+sentinel://" + listed(group.ports()) + "?master=shop",
        [&](const std::string& line) -> std::string {
            try {
                return ask(redis_client("127.0.0.1", group.master()), line);
            } catch (const std::exception& away) {
                return std::string("error ") + away.what();
            }
        },
        [&] { group.server(0).kill(); });
}

/// The first node is the one that is asked, and killed.
int serve_redis_cluster() {
    redis_cluster cluster(false);
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < cluster.size(); ++i) ports.push_back(cluster.node(i).port());
    return serve(
        "redis+cluster://" + listed(ports), [&](const std::string& line) { return ask(cluster.node(0), line); },
        [&] { cluster.node(0).kill(); });
}

int serve_postgres() {
#if defined(HOLDFAST_WITH_POSTGRES)
    postgres_server server;
    return serve(
        server.url(), [&](const std::string& line) { return server.query(line); }, [&] { server.stop(SIGKILL); });
#else
    std::cerr << "built without PostgreSQL\n";
    return 2;
#endif
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc == 2 && argv[1] == std::string("redis")) return serve_redis();
        if (argc == 2 && argv[1] == std::string("redis-sentinel")) return serve_redis_sentinel();
        if (argc == 2 && argv[1] == std::string("redis-cluster")) return serve_redis_cluster();
        if (argc == 2 && argv[1] == std::string("postgres")) return serve_postgres();
    } catch (const std::exception& failed) {
        std::cout << "error " << failed.what() << std::endl;
    }
    return 2;
}
