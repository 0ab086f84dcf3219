#include <backends/postgres/hosts.hpp>

#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

std::string without_blanks(std::string text) {
    const auto first = text.find_first_not_of(' ');
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

/// As libpq tells them apart: the directory of a socket, or one in the abstract namespace.
bool is_socket(std::string_view host) noexcept {
    return host.empty() || host.front() == '/' || host.front() == '@';
}

std::uint16_t number_of(const std::string& port) noexcept {
    constexpr std::uint16_t usual = 5432;
    const unsigned long number = std::strtoul(port.c_str(), nullptr, 10);
    return number == 0 || number > UINT16_MAX ? usual : static_cast<std::uint16_t>(number);
}

std::string text_of(const core::socket_address& from) {
    std::array<char, NI_MAXHOST> text{};
    const int error = ::getnameinfo(reinterpret_cast<const sockaddr*>(&from.bytes), from.size, text.data(), text.size(),
                                    nullptr, 0, NI_NUMERICHOST);
    return error == 0 ? text.data() : "";
}

}  // namespace

std::vector<std::string> parts_of(std::string_view list) {
    std::vector<std::string> made;
    for (;;) {
        const auto comma = list.find(',');
        made.emplace_back(list.substr(0, comma));
        if (comma == std::string_view::npos) return made;
        list.remove_prefix(comma + 1);
    }
}

std::vector<host> hosts_to_look_up(const connect_target& target) {
    if (target.from_service || !target.addresses.empty() || target.hosts.empty()) return {};
    const auto names = parts_of(target.hosts);
    const auto ports = parts_of(target.ports);
    if (ports.size() != 1 && ports.size() != names.size()) return {};
    std::vector<host> made;
    for (std::size_t at = 0; at < names.size(); ++at) {
        made.push_back({without_blanks(names[at]), without_blanks(ports.size() == 1 ? ports.front() : ports[at])});
    }
    if (std::all_of(made.begin(), made.end(), [](const host& each) { return is_socket(each.name); })) return {};
    return made;
}

host_lookup::host_lookup(core::resolver& names, std::vector<host> all) : names_(names) {
    if (news_.open_with([] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }) < 0) {
        throw std::system_error(errno, std::generic_category(), "no descriptor to look up the server's host");
    }
    all_.reserve(all.size());
    for (host& each : all) all_.push_back({std::move(each), nullptr, {}, {}});
    try {
        for (entry& each : all_) {
            if (!is_socket(each.which.name)) each.asked = names.ask(each.which.name, number_of(each.which.port), this);
        }
    } catch (...) {
        abandon();
        throw;
    }
}

host_lookup::~host_lookup() {
    abandon();
}

void host_lookup::abandon() noexcept {
    for (const entry& each : all_) {
        if (each.asked != nullptr) each.asked->abandon();
    }
}

void host_lookup::notify(unsigned) noexcept {
    const std::uint64_t one = 1;
    (void)!::write(news_.get(), &one, sizeof one);
}

bool host_lookup::take(located_hosts& found) {
    std::uint64_t count = 0;
    (void)!::read(news_.get(), &count, sizeof count);
    bool complete = true;
    for (entry& each : all_) {
        if (each.asked == nullptr) continue;
        if (each.asked->take(each.found, each.failed)) {
            each.asked.reset();
        } else {
            complete = false;
        }
    }
    if (!complete) return false;
    found = {};
    const auto add = [&found](const host& which, const std::string& address) {
        const char* const comma = found.count++ == 0 ? "" : ",";
        found.names.append(comma).append(which.name);
        found.addresses.append(comma).append(address);
        found.ports.append(comma).append(which.port);
    };
    for (const entry& each : all_) {
        if (is_socket(each.which.name)) add(each.which, "");
        for (const core::socket_address& one : each.found) add(each.which, text_of(one));
        if (each.failed.empty()) continue;
        // In libpq's own words.
        found.missing += (found.missing.empty() ? "" : "; ");
        found.missing += "could not translate host name \"" + each.which.name + "\" to address: " + each.failed;
    }
    return true;
}

void host_lookup::forget() const {
    for (const entry& each : all_) names_.forget(each.which.name, number_of(each.which.port));
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
