#include <backends/redis/reactor_seat.hpp>
#include <backends/redis/shared_channel.hpp>

namespace holdfast {
inline namespace v0 {
namespace redis {

class shared_channel::seated_channel final : public channel, private core::notifier {
public:
    seated_channel(const server& to, resolver& names, std::shared_ptr<reactor_seat> seat)
        : channel(to, names), seat_(std::move(seat)) {
        on_name_found_ = this;
    }

private:
    void notify(unsigned) noexcept override { seat_->post(); }
    void connection_ends() noexcept override { seat_->let_go(); }

    const std::shared_ptr<reactor_seat> seat_;
};

shared_channel::shared_channel() = default;

std::shared_ptr<shared_channel> shared_channel::make(std::shared_ptr<const server> to, std::shared_ptr<resolver> names,
                                                     const boost::asio::any_io_executor& executor) {
    auto made = std::make_shared<shared_channel>();
    made->seat_ = std::make_shared<reactor_seat>(executor, [self = std::weak_ptr<shared_channel>(made)] {
        if (const auto alive = self.lock()) alive->run();
    });
    made->server_ = std::move(to);
    made->names_ = std::move(names);
    made->channel_ = std::make_unique<seated_channel>(*made->server_, *made->names_, made->seat_);
    return made;
}

shared_channel::~shared_channel() {
    // It was not to be had.
    if (seat_ == nullptr) return;
    // While its socket is open; in a forked child it is closed already.
    if (core::fork_generation() == generation_) {
        seat_->let_go();
    }
    reactor_seat::end(std::move(seat_));
}

void shared_channel::submit(request& one, boottime::time_point now) {
    const std::lock_guard guard(mutex_);
    const bool alone = channel_->idle() && channel_->connected();
    channel_->submit(one, now);
    if (alone) {
        // It goes at once; what comes while its answer is out is gathered.
        drive(now, false);
    } else {
        seat_->post();
    }
}

void shared_channel::submit_pair(request& first, request& second) {
    const std::lock_guard guard(mutex_);
    const auto now = boottime::now();
    channel_->submit(first, now);
    channel_->submit(second, now);
    seat_->post();
}

std::shared_ptr<request> shared_channel::submit_detached(std::string text, const script& which, core::notifier* asker) {
    const std::lock_guard guard(mutex_);
    seat_->post();
    return channel_->submit_detached(std::move(text), which, asker, boottime::now());
}

std::shared_ptr<request> shared_channel::submit_lasting(std::string text, const script& which,
                                                        boottime::time_point until) {
    const std::lock_guard guard(mutex_);
    seat_->post();
    return channel_->submit_lasting(std::move(text), which, until, boottime::now());
}

void shared_channel::set_asker(request& one, core::notifier* asker) noexcept {
    const std::lock_guard guard(mutex_);
    one.asker = asker;
}

bool shared_channel::forget(const request& one) noexcept {
    // In a forked child the mutex may be held by a thread that is not there.
    if (core::fork_generation() != generation_) return false;
    const std::lock_guard guard(mutex_);
    channel_->forget(one);
    return one.sent;
}

void shared_channel::give_up_unsent(request& one) {
    const std::lock_guard guard(mutex_);
    if (!one.sent) channel_->give_up(one, errc::cancelled);
}

bool shared_channel::is_done(const request& one) const {
    const std::lock_guard guard(mutex_);
    return one.done;
}

bool shared_channel::is_sent(const request& one) const {
    const std::lock_guard guard(mutex_);
    return one.sent;
}

bool shared_channel::is_out(const request& one) const {
    const std::lock_guard guard(mutex_);
    return !one.done && one.sent && one.losses == 0;
}

bool shared_channel::is_settled(const request& one) const {
    const std::lock_guard guard(mutex_);
    // What was sent over a connection that was lost may arrive after what was sent later.
    return one.done && one.losses == 0 && (one.answer != nullptr || !one.sent);
}

void shared_channel::keep(std::shared_ptr<request> one, boottime::time_point until) {
    const std::lock_guard guard(mutex_);
    channel_->keep(std::move(one), until);
}

void shared_channel::doubt() {
    seat_->post();
}

void shared_channel::run() {
    const std::lock_guard guard(mutex_);
    const bool read = seat_->begin_work();
    drive(boottime::now(), read);
}

void shared_channel::drive(boottime::time_point now, bool read) {
    channel_->drive(now, read);
    // Nothing is awaited of an idle connection, so that a user's io_context can run out of work.
    seat_->await(channel_->idle() ? -1 : channel_->descriptor(), channel_->poll_events(), channel_->again_at());
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
