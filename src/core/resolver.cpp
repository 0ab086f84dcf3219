#include <core/resolver.hpp>
#include <core/thread.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstring>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

/// Short, so that a server that moves is found again; long enough for a burst of connections.
constexpr std::chrono::seconds remembered{10};

socket_address address_of(const boost::asio::ip::tcp::endpoint& from) {
    socket_address made;
    made.size = static_cast<socklen_t>(from.size());
    std::memcpy(&made.bytes, from.data(), from.size());
    return made;
}

}  // namespace

bool resolver::lookup::take(std::vector<socket_address>& found, std::string& failed) {
    const std::lock_guard guard(mutex_);
    if (!done_) return false;
    found = std::move(found_);
    failed = std::move(failed_);
    return true;
}

void resolver::lookup::abandon() {
    // In a forked child the mutex may be held by a thread that is not there.
    if (fork_generation() != generation_) return;
    const std::lock_guard guard(mutex_);
    asker_ = nullptr;
}

void resolver::lookup::settle(std::vector<socket_address> found, std::string failed) {
    const std::lock_guard guard(mutex_);
    found_ = std::move(found);
    failed_ = std::move(failed);
    done_ = true;
    // Under the mutex, so that an asker that leaves is not told any more once it has left.
    if (asker_ != nullptr) asker_->notify(signal_progress);
}

/// As long as the system takes.
std::vector<socket_address> resolver::look_up(const place& what, std::string& failed) {
    using boost::asio::ip::tcp;
    std::vector<socket_address> found;
    boost::asio::io_context here;
    error_code code;
    for (const auto& each : tcp::resolver(here).resolve(what.first, std::to_string(what.second),
                                                        boost::asio::ip::resolver_base::numeric_service, code)) {
        found.push_back(address_of(each.endpoint()));
    }
    if (found.empty()) failed = code ? code.message() : "the name has no address";
    return found;
}

void resolver::answer(memory& to, const place& what) {
    std::vector<socket_address> found;
    std::string failed;
    try {
        found = look_up(what, failed);
    } catch (const std::exception& broken) {
        failed = broken.what();
    }
    std::vector<std::shared_ptr<lookup>> askers;
    {
        const std::lock_guard guard(to.mutex);
        askers = std::move(to.asked.extract(what).mapped());
        if (!found.empty()) to.names[what] = {found, boottime::now() + remembered};
    }
    for (const auto& each : askers) each->settle(found, failed);
}

std::shared_ptr<resolver::lookup> resolver::ask(const std::string& host, std::uint16_t port, notifier* asker) {
    auto made = std::make_shared<lookup>();
    boost::system::error_code not_numeric;
    const auto address = boost::asio::ip::make_address(host, not_numeric);
    if (!not_numeric) {
        made->settle({address_of(boost::asio::ip::tcp::endpoint(address, port))}, {});
        return made;
    }
    const place what(host, port);
    if (how_ == asks::on_caller) {
        std::string failed;
        auto found = look_up(what, failed);
        made->settle(std::move(found), std::move(failed));
        return made;
    }
    const std::lock_guard guard(memory_->mutex);
    if (const auto found = memory_->names.find(what);
        found != memory_->names.end() && boottime::now() < found->second.until) {
        made->settle(found->second.found, {});
        return made;
    }
    made->asker_ = asker;
    auto& others = memory_->asked[what];
    others.push_back(made);
    if (others.size() > 1) return made;
    try {
        start_thread("holdfast-names", [memory = memory_, what] { answer(*memory, what); }).detach();
    } catch (const std::exception& none) {
        memory_->asked.erase(what);
        made->asker_ = nullptr;
        made->settle({}, none.what());
    }
    return made;
}

void resolver::forget(const std::string& host, std::uint16_t port) {
    const std::lock_guard guard(memory_->mutex);
    memory_->names.erase({host, port});
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
