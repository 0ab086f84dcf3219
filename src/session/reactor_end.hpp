// What the executor watches of connections.
#ifndef HOLDFAST_SESSION_REACTOR_END_HPP
#define HOLDFAST_SESSION_REACTOR_END_HPP

#include <core/fork.hpp>

#include <holdfast/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <fcntl.h>
#include <sys/epoll.h>

namespace holdfast {
inline namespace v0 {
namespace core {

/// The reactor's own descriptor of a connection's socket: the driver may close its one at any time.
struct reactor_end {
    reactor_end(const boost::asio::any_io_executor& executor, int source) : descriptor(executor) {
        const int made = own.open_with([source] { return ::fcntl(source, F_DUPFD_CLOEXEC, 0); });
        error_code failed;
        if (made >= 0) descriptor.assign(made, failed);
    }
    reactor_end(const reactor_end&) = delete;
    reactor_end& operator=(const reactor_end&) = delete;
    ~reactor_end() {
        if (descriptor.is_open()) descriptor.release();
    }

    forked_descriptor own;
    boost::asio::posix::stream_descriptor descriptor;
    bool reading = false;
    bool writing = false;
};

/// An epoll set of its own for the ends of connections, nested in the reactor: being in it costs a connection nothing.
struct end_watch {
    explicit end_watch(const boost::asio::any_io_executor& executor) : descriptor(executor) {
        const int made = own.open_with([] { return ::epoll_create1(EPOLL_CLOEXEC); });
        error_code failed;
        if (made >= 0) descriptor.assign(made, failed);
    }
    end_watch(const end_watch&) = delete;
    end_watch& operator=(const end_watch&) = delete;
    ~end_watch() {
        if (descriptor.is_open()) descriptor.release();
    }

    forked_descriptor own;
    boost::asio::posix::stream_descriptor descriptor;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
