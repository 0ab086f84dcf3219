// Signals while holdfast waits for a lock.
#ifndef HOLDFAST_CLI_WAIT_SIGNALS_HPP
#define HOLDFAST_CLI_WAIT_SIGNALS_HPP

#include <atomic>
#include <stop_token>
#include <thread>

namespace holdfast::cli {

/** Listens for signals in a thread of its own, from its making to @ref end.

    The first signal that ends a process cancels the wait; a second one ends holdfast at once, should the cancellation
    hang. Ctrl-Z stops holdfast. Made only once a wait begins: a thread costs more than an uncontended lock.
*/
class wait_signals {
public:
    /// @param caught a signal that has come before: the next one is the second @throws std::system_error
    explicit wait_signals(int signal_descriptor, int caught = 0);
    wait_signals(const wait_signals&) = delete;
    wait_signals& operator=(const wait_signals&) = delete;
    ~wait_signals();

    /// Stopped by the first signal.
    std::stop_token token() const noexcept { return cancel_.get_token(); }
    /// Listens no more: what comes from here on is for others.
    void end() noexcept;
    /// The signal that came, or 0. Another one may be on its way to here until the @ref end.
    int caught() const noexcept { return caught_.load(); }

private:
    void listen() noexcept;

    int signals_;
    int quit_;
    std::stop_source cancel_;
    std::atomic<int> caught_{0};
    std::thread thread_;
};

}  // namespace holdfast::cli

#endif
