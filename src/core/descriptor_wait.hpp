// How an operation on an executor waits for the descriptor of its link.
#ifndef HOLDFAST_CORE_DESCRIPTOR_WAIT_HPP
#define HOLDFAST_CORE_DESCRIPTOR_WAIT_HPP

#include <core/link.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace core {

/// One descriptor at a time, which stays its owner's. Used by one thread at a time.
class descriptor_wait {
public:
    descriptor_wait() = default;
    descriptor_wait(const descriptor_wait&) = delete;
    descriptor_wait& operator=(const descriptor_wait&) = delete;
    virtual ~descriptor_wait() = default;

    /// Notifies @p told of `signal_progress`, once, when @p descriptor has one of @p events.
    virtual void look_at(int descriptor, short events, const std::shared_ptr<notifier>& told) = 0;
    virtual void stop() noexcept = 0;
};

/// Not asked for where no link has a descriptor, as on Windows.
std::shared_ptr<descriptor_wait> make_descriptor_wait(const boost::asio::any_io_executor& executor);

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
