#include <backends/redis/resolver.hpp>
#include <core/thread.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstring>

namespace holdfast {
inline namespace v0 {
namespace redis {
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
    if (core::fork_generation() != generation_) return;
    const std::lock_guard guard(mutex_);
    asker_ = nullptr;
}

std::shared_ptr<resolver::lookup> resolver::ask(const std::string& host, std::uint16_t port, core::notifier* asker) {
    using boost::asio::ip::tcp;
    auto made = std::make_shared<lookup>();
    boost::system::error_code numeric;
    const auto address = boost::asio::ip::make_address(host, numeric);
    if (!numeric) {
        made->done_ = true;
        made->found_.push_back(address_of(tcp::endpoint(address, port)));
        return made;
    }
    {
        const std::lock_guard guard(memory_->mutex);
        const auto found = memory_->names.find({host, port});
        if (found != memory_->names.end() && boottime::now() < found->second.until) {
            made->done_ = true;
            made->found_ = found->second.found;
            return made;
        }
    }
    if (!executor_) {
        boost::asio::io_context here;
        error_code code;
        for (const auto& each : tcp::resolver(here).resolve(host, std::to_string(port),
                                                            boost::asio::ip::resolver_base::numeric_service, code)) {
            made->found_.push_back(address_of(each.endpoint()));
        }
        if (code) made->failed_ = code.message();
        made->done_ = true;
        return made;
    }
    made->asker_ = asker;
    auto asking = std::make_shared<tcp::resolver>(executor_());
    // The first one starts a thread of Asio's, from this one.
    const core::no_signals_here none;
    asking->async_resolve(
        host, std::to_string(port), boost::asio::ip::resolver_base::numeric_service,
        [made, asking, memory = memory_, host, port](const error_code& code, const tcp::resolver::results_type& all) {
            std::vector<socket_address> found;
            for (const auto& each : all) found.push_back(address_of(each.endpoint()));
            if (!code && !found.empty()) {
                const std::lock_guard guard(memory->mutex);
                memory->names[{host, port}] = {found, boottime::now() + remembered};
            }
            const std::lock_guard guard(made->mutex_);
            made->found_ = std::move(found);
            if (made->found_.empty()) made->failed_ = code ? code.message() : "the name has no address";
            made->done_ = true;
            // Under the mutex, so that an asker that leaves is not told any more once it has left.
            if (made->asker_ != nullptr) made->asker_->notify(core::signal_progress);
        });
    return made;
}

void resolver::forget(const std::string& host, std::uint16_t port) {
    const std::lock_guard guard(memory_->mutex);
    memory_->names.erase({host, port});
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
