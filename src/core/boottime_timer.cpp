// timerfd_create(2) on CLOCK_BOOTTIME.
#include <core/boottime_timer.hpp>
#include <core/fork.hpp>

#include <holdfast/error.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

class descriptor_timer final : public boottime_timer, public std::enable_shared_from_this<descriptor_timer> {
public:
    descriptor_timer(const boost::asio::any_io_executor& executor, std::function<void()> work)
        : work_(std::move(work)), descriptor_(executor) {
        const int made = own_.open_with([] { return ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC); });
        if (made < 0) throw error(errc::unavailable, "no timer left: " + std::generic_category().message(errno));
        descriptor_.assign(made);
    }
    ~descriptor_timer() override {
        // Ours to close.
        descriptor_.release();
    }

    void set(boottime::time_point when) override {
        // Zero would be never.
        const auto since_boot = std::max(when.time_since_epoch(), boottime::duration(1));
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
        itimerspec wanted{};
        wanted.it_value.tv_sec = static_cast<time_t>(seconds.count());
        wanted.it_value.tv_nsec = static_cast<long>((since_boot - seconds).count());
        ::timerfd_settime(own_.get(), TFD_TIMER_ABSTIME, &wanted, nullptr);
        if (waits_) return;
        descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                               [self = shared_from_this()](const error_code& code) {
                                   if (code != boost::asio::error::operation_aborted) self->work_();
                               });
        waits_ = true;
    }

    void fired() noexcept override {
        waits_ = false;
        // Where it was set anew meanwhile there is nothing to be read, and the work has come too early.
        std::uint64_t times = 0;
        (void)!::read(own_.get(), &times, sizeof times);
    }

private:
    const std::function<void()> work_;
    forked_descriptor own_;
    boost::asio::posix::stream_descriptor descriptor_;
    bool waits_ = false;
};

}  // namespace

std::shared_ptr<boottime_timer> boottime_timer::make(const boost::asio::any_io_executor& executor,
                                                     std::function<void()> work) {
    return std::make_shared<descriptor_timer>(executor, std::move(work));
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
