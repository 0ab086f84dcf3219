// Whether a thread has come to rest.
#ifndef HOLDFAST_TEST_CONTRACT_THREAD_REST_HPP
#define HOLDFAST_TEST_CONTRACT_THREAD_REST_HPP

#include <atomic>

namespace holdfast::contract {

/// Tells of one thread that it is in a wait, and not on the way there.
class thread_rest {
public:
    /// Called first, by the thread itself.
    void begin() noexcept;
    /// Sleeps a little to find out.
    bool waits() const;

private:
    std::atomic<long> id_{0};
    mutable int looks_ = 0;
};

}  // namespace holdfast::contract

#endif
