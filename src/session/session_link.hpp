// One lock's way to its connection.
#ifndef HOLDFAST_SESSION_SESSION_LINK_HPP
#define HOLDFAST_SESSION_SESSION_LINK_HPP

#include <session/multiplexer.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Light: ten thousand that hold a lock each keep no more than where it is held.
class session_link final : public link {
public:
    explicit session_link(std::shared_ptr<multiplexer> owner) : owner_(std::move(owner)) {}
    /// Gives back what is held, or may be.
    ~session_link() override;

    progress start(const command& cmd, notifier& on_progress) override;
    progress advance() override;
    void request_cancel() override;

    int descriptor() const noexcept override { return polled_; }
    short poll_events() const noexcept override { return events_; }
    bool reusable() const noexcept override { return false; }

    bool keeps(const claim& who) const noexcept override;
    std::shared_ptr<void> watch_loss(const claim& who, std::function<void()> suspicion) override;

private:
    enum class keeping : unsigned char { nothing, lock, perhaps };

    // The mutex is held in all of these.
    bool connects() const;
    void cancel();
    progress look();
    void leave();
    void take_answer();

    const std::shared_ptr<multiplexer> owner_;
    std::shared_ptr<session_request> asked_;
    /// What `place_` holds for us. Not a claim, which has an owner's id as well.
    std::shared_ptr<const resource> target_;
    std::shared_ptr<session_connection> place_;
    access mode_ = access::exclusive;
    keeping keeps_ = keeping::nothing;
    /// An answer is to come, or has come and has not been looked at.
    bool asks_ = false;
    short events_ = 0;
    int polled_ = -1;
    boottime::time_point cancel_again_at_ = never;
    boottime::time_point help_at_ = never;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
