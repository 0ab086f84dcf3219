// The one connection that a provider's asynchronous operations share.
#ifndef HOLDFAST_BACKENDS_REDIS_SHARED_CHANNEL_HPP
#define HOLDFAST_BACKENDS_REDIS_SHARED_CHANNEL_HPP

#include <backends/redis/channel.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <mutex>

namespace holdfast {
inline namespace v0 {
namespace redis {

class reactor_seat;

/** A channel driven by an executor. What is submitted within one turn of its loop is written together.

    Thread safety: safe.
*/
class shared_channel final : public lasting_channel {
public:
    static std::shared_ptr<shared_channel> make(std::shared_ptr<const server> to, std::shared_ptr<resolver> names,
                                                const boost::asio::any_io_executor& executor);
    shared_channel();
    shared_channel(const shared_channel&) = delete;
    shared_channel& operator=(const shared_channel&) = delete;
    ~shared_channel();

    void submit(request& one, boottime::time_point now);
    /// One right after the other.
    void submit_pair(request& first, request& second);
    /// See @ref channel.
    std::shared_ptr<request> submit_detached(std::string text, const script& which, core::notifier* asker);
    std::shared_ptr<request> submit_lasting(std::string text, const script& which, boottime::time_point until) override;
    /// Who is notified when it is done; null: nobody.
    void set_asker(request& one, core::notifier* asker) noexcept;
    /// @return whether it was sent
    bool forget(const request& one) noexcept;
    /// Ends it now, as cancelled, if it was never sent.
    void give_up_unsent(request& one);
    bool is_done(const request& one) const override;
    bool is_sent(const request& one) const;
    /// Its answer is on its way over the connection that it was first sent over.
    bool is_out(const request& one) const;
    bool is_settled(const request& one) const override;
    /// An answer is late: see @ref channel, as for the others.
    void doubt();
    std::chrono::milliseconds longest_silence() const noexcept { return server_->longest_silence; }
    void keep(std::shared_ptr<request> one, boottime::time_point until);

private:
    class seated_channel;

    void run();
    /// The mutex is held.
    void drive(boottime::time_point now, bool read);

    // Kept, because a turn of the executor may outlive the provider.
    std::shared_ptr<const server> server_;
    std::shared_ptr<resolver> names_;
    mutable std::mutex mutex_;
    std::shared_ptr<reactor_seat> seat_;
    std::unique_ptr<seated_channel> channel_;
    const unsigned generation_ = core::fork_generation();
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
