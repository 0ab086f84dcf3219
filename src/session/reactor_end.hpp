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

/// A descriptor of our own at the reactor, which a fork closes. Not open where none was to be had.
struct reactor_descriptor {
    template <class Open>
    reactor_descriptor(const boost::asio::any_io_executor& executor, Open open) : descriptor(executor) {
        const int made = own.open_with(open);
        error_code failed;
        if (made >= 0) descriptor.assign(made, failed);
    }
    reactor_descriptor(const reactor_descriptor&) = delete;
    reactor_descriptor& operator=(const reactor_descriptor&) = delete;
    ~reactor_descriptor() {
        if (descriptor.is_open()) descriptor.release();
    }

    forked_descriptor own;
    boost::asio::posix::stream_descriptor descriptor;
};

/// The reactor's own descriptor of a connection's socket: the driver may close its one at any time.
struct reactor_end : reactor_descriptor {
    reactor_end(const boost::asio::any_io_executor& executor, int source)
        : reactor_descriptor(executor, [source] { return ::fcntl(source, F_DUPFD_CLOEXEC, 0); }) {}

    bool reading = false;
    bool writing = false;
};

/// An epoll set of its own for the ends of connections, nested in the reactor: being in it costs a connection nothing.
struct end_watch : reactor_descriptor {
    explicit end_watch(const boost::asio::any_io_executor& executor)
        : reactor_descriptor(executor, [] { return ::epoll_create1(EPOLL_CLOEXEC); }) {}
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
