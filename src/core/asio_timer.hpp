// A timer on Asio's own clock.
#ifndef HOLDFAST_CORE_ASIO_TIMER_HPP
#define HOLDFAST_CORE_ASIO_TIMER_HPP

#include <core/boottime_timer.hpp>

#include <holdfast/error.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

/// On Windows its clock, the performance counter, goes on while the machine sleeps. On Linux it does not.
class asio_timer final : public boottime_timer, public std::enable_shared_from_this<asio_timer> {
public:
    asio_timer(const boost::asio::any_io_executor& executor, std::function<void()> work)
        : work_(std::move(work)), timer_(executor) {}

    void set(boottime::time_point when) override {
        timer_.expires_after(std::max<boottime::duration>(when - boottime::now(), boottime::duration::zero()));
        timer_.async_wait([self = shared_from_this()](const error_code& code) {
            if (!code) self->work_();
        });
    }
    void fired() noexcept override {}

private:
    const std::function<void()> work_;
    boost::asio::steady_timer timer_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
