#include <core/descriptor_wait.hpp>
#include <core/runner.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <atomic>

#include <poll.h>

namespace holdfast {
inline namespace v0 {
namespace core {
namespace {

class reactor_wait final : public descriptor_wait, public std::enable_shared_from_this<reactor_wait> {
public:
    explicit reactor_wait(const boost::asio::any_io_executor& executor) : descriptor_(executor) {}
    ~reactor_wait() override { reactor_wait::stop(); }

    void look_at(int descriptor, short events, const std::shared_ptr<notifier>& told) override {
        if (descriptor_.is_open() && descriptor_.native_handle() != descriptor) stop();
        if (!descriptor_.is_open()) {
            descriptor_.assign(descriptor);
            reading_.store(false, std::memory_order_release);
            writing_.store(false, std::memory_order_release);
        }
        // Each direction for itself: a wait for one that is still out must not stand in the way of the other.
        using boost::asio::posix::stream_descriptor;
        if ((events & POLLOUT) != 0) await(stream_descriptor::wait_write, writing_, told);
        if ((events & ~POLLOUT) != 0) await(stream_descriptor::wait_read, reading_, told);
    }

    void stop() noexcept override {
        // The link owns it; Asio only looks at it.
        if (descriptor_.is_open()) descriptor_.release();
    }

private:
    void await(boost::asio::posix::stream_descriptor::wait_type direction, std::atomic<bool>& awaited,
               const std::shared_ptr<notifier>& told) {
        if (awaited.exchange(true, std::memory_order_acq_rel)) return;
        descriptor_.async_wait(direction, [self = shared_from_this(), told, &awaited](const error_code& code) {
            if (code == boost::asio::error::operation_aborted) return;
            awaited.store(false, std::memory_order_release);
            gathered_rousings roused(self->descriptor_.get_executor());
            told->notify(signal_progress);
            roused.run();
        });
    }

    boost::asio::posix::stream_descriptor descriptor_;
    std::atomic<bool> reading_{false};
    std::atomic<bool> writing_{false};
};

}  // namespace

std::shared_ptr<descriptor_wait> make_descriptor_wait(const boost::asio::any_io_executor& executor) {
    return std::make_shared<reactor_wait>(executor);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
