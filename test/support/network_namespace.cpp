#include <support/network_namespace.hpp>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdexcept>

namespace holdfast::test {
namespace {

bool works(const std::string& command) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): changes nothing that other threads look at
    return ::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

}  // namespace

std::string network_namespace::missing() {
    if (::geteuid() != 0) return "network namespaces can be made by root only";
    if (!works("ip -V")) return "there is no ip; on Debian: apt-get install iproute2";
    if (!works("nft -v")) return "there is no nft; on Debian: apt-get install nftables";
    const std::string probe = "holdfast-probe-" + std::to_string(::getpid());
    const bool permitted = works("ip netns add " + probe) && works("ip netns exec " + probe + " nft list ruleset");
    works("ip netns del " + probe);
    return permitted ? "" : "this machine lets nobody make network namespaces, or filter in them";
}

network_namespace::network_namespace() {
    const auto id = static_cast<unsigned>(::getpid());
    name_ = "holdfast-" + std::to_string(id);
    // Of the addresses that are set apart for tests.
    prefix_ = "198." + std::to_string(18 + (id >> 14 & 1)) + "." + std::to_string(id >> 6 & 0xFF) + ".";
    const std::string wire = "hf" + std::to_string(id);
    run("ip netns add " + name_);
    run("ip link add " + wire + " type veth peer name peer netns " + name_);
    run("ip address add " + address_here() + "/24 dev " + wire);
    run("ip link set " + wire + " up");
    run("ip -n " + name_ + " address add " + address_there() + "/24 dev peer");
    run("ip -n " + name_ + " link set peer up");
    run("ip -n " + name_ + " link set lo up");
}

network_namespace::~network_namespace() {
    // The wire goes with it.
    works("ip netns del " + name_);
}

void network_namespace::enter() const {
    const int into = ::open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
    if (into < 0 || ::setns(into, CLONE_NEWNET) != 0) throw std::runtime_error("cannot enter the namespace " + name_);
    ::close(into);
}

void network_namespace::cut() const {
    run("ip netns exec " + name_ +
        " nft 'table inet cut { chain in { type filter hook input priority 0; policy drop; };"
        " chain out { type filter hook output priority 0; policy drop; }; }'");
}

void network_namespace::cut_from(const std::vector<std::uint16_t>& ports) const {
    std::string all;
    for (const std::uint16_t port : ports) all += (all.empty() ? "" : ", ") + std::to_string(port);
    run("ip netns exec " + name_ + " nft 'table inet cut { chain in { type filter hook input priority 0; tcp sport { " +
        all + " } drop; }; chain out { type filter hook output priority 0; tcp dport { " + all + " } drop; }; }'");
}

void network_namespace::mend() const {
    run("ip netns exec " + name_ + " nft delete table inet cut");
}

void network_namespace::run(const std::string& command) const {
    if (!works(command)) throw std::runtime_error("failed: " + command);
}

}  // namespace holdfast::test
