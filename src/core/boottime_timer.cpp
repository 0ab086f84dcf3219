// timerfd_create(2) on CLOCK_BOOTTIME.
#include <core/asio_timer.hpp>
#include <core/fork.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

class descriptor_timer final : public boottime_timer, public std::enable_shared_from_this<descriptor_timer> {
public:
    descriptor_timer(const boost::asio::any_io_executor& executor, std::function<void()> work)
        : work_(std::move(work)), descriptor_(executor) {}

    /// False where the system has no descriptor left, or the executor no place for it.
    bool open() {
        const int made = own_.open_with([] { return ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC); });
        error_code failed;
        if (made >= 0) descriptor_.assign(made, failed);
        return made >= 0 && !failed;
    }
    ~descriptor_timer() override {
        // Ours to close.
        if (descriptor_.is_open()) descriptor_.release();
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
    auto made = std::make_shared<descriptor_timer>(executor, work);
    if (made->open()) return made;
    // Late after a suspend, which is better than not at all.
    return std::make_shared<asio_timer>(executor, std::move(work));
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
