// Telling of a wait for a server's lock.
#ifndef HOLDFAST_CLI_WAIT_NOTICE_HPP
#define HOLDFAST_CLI_WAIT_NOTICE_HPP

#include <holdfast/core.hpp>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace holdfast::cli {

/// Who has the lock of a mapped name, as far as its backend can tell until @p deadline and within 2 s; else empty.
std::string holder_of(const provider& source, std::string_view mapped, std::optional<boottime::time_point> deadline);

/** Finds out whom a wait is for, and tells of it, beside the wait: a server may take its time to say who has the lock,
    and neither the place in line nor the timeout nor a signal waits for that.

    What is granted within @ref patience is not told of at all.
*/
class wait_notice {
public:
    static constexpr std::chrono::milliseconds patience{50};

    /** @param tell is given the holder; called once at most, by a thread of the notice's own or by @ref end
        @param deadline of the wait */
    wait_notice(const provider& source, std::string mapped, std::optional<boottime::time_point> deadline,
                std::function<void(const std::string& holder)> tell);
    wait_notice(const wait_notice&) = delete;
    wait_notice& operator=(const wait_notice&) = delete;
    /// Waits for the server's answer, 2 s at most.
    ~wait_notice();

    /// The lock is granted, or the time is up: tells of the wait, without the holder where nothing has been told of
    /// it yet. Nothing is told from here on, and nobody waits for the server.
    void end(bool granted);
    /// The same for a wait that something else has ended: that is told of instead.
    void drop() noexcept;

private:
    void look() noexcept;

    const provider source_;
    const std::string mapped_;
    const std::optional<boottime::time_point> deadline_;
    const std::function<void(const std::string&)> tell_;
    const boottime::time_point begin_ = boottime::now();
    std::mutex mutex_;
    std::condition_variable ended_;
    bool over_ = false;
    bool told_ = false;
    std::thread thread_;
};

}  // namespace holdfast::cli

#endif
