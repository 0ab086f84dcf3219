// Something's place at an executor's reactor.
#ifndef HOLDFAST_BACKENDS_REDIS_REACTOR_SEAT_HPP
#define HOLDFAST_BACKENDS_REDIS_REACTOR_SEAT_HPP

#include <core/link.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <functional>
#include <memory>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Runs a function on an executor when a descriptor is ready, at a time, or when asked; then the operations it roused.

    Thread safety: `post` from any thread; everything else under one mutex, the owner's.
*/
class reactor_seat final : public std::enable_shared_from_this<reactor_seat> {
public:
    /// @param work runs on the executor, perhaps on several of its threads at once, and never within a call to this
    ///        object; must keep its owner alive, or do nothing, by itself
    reactor_seat(const boost::asio::any_io_executor& executor, std::function<void()> work);
    reactor_seat(const reactor_seat&) = delete;
    reactor_seat& operator=(const reactor_seat&) = delete;
    ~reactor_seat();

    /// @param descriptor -1: none; one that is awaited already goes on being so until it is ready once more
    void await(int descriptor, short events, boottime::time_point until);
    /// Awaits the descriptor no more.
    void stop() noexcept;
    /// The same, before the descriptor is closed.
    void let_go() noexcept;
    /// Runs the work soon, once, however often asked before it runs.
    void post();
    /// To be called by the work: whether the descriptor had something to read since the last call.
    bool begin_work() noexcept;

    /// The owner ends. In a forked child nothing of the reactor is touched.
    static void end(std::shared_ptr<reactor_seat> seat) noexcept;

private:
    struct waits;

    void take_turn();

    const boost::asio::any_io_executor executor_;
    const std::function<void()> work_;
    std::unique_ptr<waits> waits_;
    std::atomic<bool> posted_{false};
    std::atomic<bool> readable_{false};
    const unsigned generation_;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
