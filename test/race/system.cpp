// A cancel, or the end of its time, that meets the grant by another's release: nothing may be left behind.
#include <backends/system/published.hpp>
#include <support/attempt.hpp>
#include <support/second_process.hpp>

#include <holdfast/backends/system.hpp>

#include <gtest/gtest.h>

#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

using fakes::attempt;
using fakes::style;
using clock = std::chrono::steady_clock;

int rounds() {
    const char* const text = std::getenv("HOLDFAST_RACE_ROUNDS");
    return text == nullptr ? 1000 : std::atoi(text);
}

/// Nobody sleeps as exactly.
void await(clock::time_point when) {
    while (clock::now() < when) ::sched_yield();
}

/// Appoints when the one acts and when the other does, so that each is the first in half of the rounds: then they meet.
class appointment {
public:
    /// How much later the end of the wait comes than the release; a little different each time.
    clock::duration lead() { return lead_ + std::chrono::nanoseconds(random_() % 4000) - 2us; }
    void was_granted(bool granted) {
        // Quickly to where they meet, and then not away from there.
        step_ = granted == granted_ ? std::min(step_ * 3 / 2, longest_step) : std::max(step_ / 2, shortest_step);
        granted_ = granted;
        lead_ = std::clamp(lead_ + (granted ? -step_ : step_), -furthest, furthest);
    }
    unsigned roll(unsigned sides) { return static_cast<unsigned>(random_() % sides); }

private:
    static constexpr clock::duration shortest_step = 200ns;
    static constexpr clock::duration longest_step = 50us;
    static constexpr clock::duration furthest = 5ms;
    clock::duration lead_{0};
    clock::duration step_ = longest_step;
    bool granted_ = false;
    std::minstd_rand random_{7};
};

/// A semaphore of POSIX's, for processes too.
class turn {
public:
    turn() { ::sem_init(&in_, 1, 0); }
    void give() { ::sem_post(&in_); }
    void await() {
        timespec until{};
        ::clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 60;
        int error = 0;
        do {
            error = ::sem_timedwait(&in_, &until) == 0 ? 0 : errno;
        } while (error == EINTR);
        test::require(error == 0, "the other side is gone");
    }

private:
    sem_t in_;
};

enum class releaser { thread, process };

/// A thread or another process that takes all there is, at once, and gives it back at a given time.
class holder {
public:
    using take_one = std::function<lock_handle(const provider& at)>;

    holder(releaser how, const test::published_sets& place, const take_one& take, int count)
        : page_(*new (map()) page) {
        const auto body = [this, &place, take, count] { serve(place, take, count); };
        if (how == releaser::thread) {
            thread_ = std::jthread(body);
        } else {
            child_.emplace(body, 600s);
        }
    }
    holder(const holder&) = delete;
    holder& operator=(const holder&) = delete;
    ~holder() {
        page_.over = true;
        page_.wanted.give();
        if (child_) {
            EXPECT_EQ(child_->result(), "");
        }
        if (thread_.joinable()) thread_.join();
        ::munmap(&page_, sizeof(page));
    }

    /// What the round before has left behind would be in the way.
    bool take() {
        page_.wanted.give();
        page_.done.await();
        return page_.took;
    }
    void give_back_at(clock::time_point when) {
        page_.when = when.time_since_epoch().count();
        page_.wanted.give();
    }
    /// Waits until it has done so.
    void await_given() { page_.done.await(); }

private:
    struct page {
        turn wanted;
        turn done;
        std::atomic<bool> over{false};
        std::atomic<bool> took{false};
        std::atomic<clock::rep> when{0};
    };

    static void* map() {
        void* const at = ::mmap(nullptr, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc();
        return at;
    }
    void serve(const test::published_sets& place, const take_one& take, int count) {
        const provider locks = place.open();
        std::vector<lock_handle> held;
        for (;;) {
            page_.wanted.await();
            if (page_.over) return;
            bool took = true;
            for (int at = 0; at < count && took; ++at) {
                held.push_back(take(locks));
                took = static_cast<bool>(held.back());
            }
            page_.took = took;
            page_.done.give();
            page_.wanted.await();
            if (page_.over) return;
            await(clock::time_point(clock::duration(page_.when)));
            held.clear();
            page_.done.give();
        }
    }

    page& page_;
    std::jthread thread_;
    std::optional<test::forked_child> child_;
};

/// A writer as a lock, so that one test serves all.
struct writers {
    reader_writer_lock table;
    lock_handle acquire(timeout limit, std::stop_token stop, error_code& code, diagnostics* diag = nullptr) const {
        return table.acquire_write(limit, std::move(stop), code, diag);
    }
    template <class Token>
    auto async_acquire(timeout limit, diagnostics& diag, Token&& token) const {
        return table.async_acquire_write(limit, diag, std::forward<Token>(token));
    }
};

lock make_lock(const provider& at) {
    return at.make_lock("x");
}
writers make_writers(const provider& at) {
    return {at.make_reader_writer_lock("x")};
}
template <int Count>
semaphore make_tickets(const provider& at) {
    return at.make_semaphore("x", Count);
}

class SystemRace : public testing::TestWithParam<std::tuple<style, releaser>> {
protected:
    /// @param make   the lock, from a provider
    /// @param count  how many may have it
    /// @param by_time the wait ends by its timeout, and is not cancelled
    template <class Make>
    void race(const Make& make, const char* mapped, int count, int wanted, bool by_time = false) {
        holder other(
            std::get<1>(GetParam()), place_,
            [&make](const provider& at) {
                error_code code;
                return make(at).acquire(timeout::zero(), {}, code);
            },
            count);
        fakes::handler_thread handlers;
        const provider locks = place_.open();
        const auto waits = make(locks);
        appointment meeting;
        int granted = 0;
        for (int round = 0; round < wanted; ++round) {
            ASSERT_TRUE(other.take()) << "lost before round " << round;
            const auto began = clock::now();
            fakes::pending_acquire waiting(handlers, std::get<0>(GetParam()), waits,
                                           by_time ? timeout(shortest) : timeout::infinite());
            // Else it is met at any stage of its beginning.
            if (!by_time && meeting.roll(4) != 0) {
                EXPECT_TRUE(stands(mapped));
            }
            const auto end = by_time ? began + shortest : clock::now() + 50us;
            const auto lead = meeting.lead();
            other.give_back_at(end - (by_time ? lead : 0us));
            if (!by_time) {
                await(end + lead);
                waiting.cancel();
            }
            attempt made = waiting.get();
            const error_code wrong = by_time ? errc::timed_out : errc::cancelled;
            ASSERT_TRUE(!made.code || made.code == wrong) << made.code.message();
            ASSERT_EQ(!made.code, static_cast<bool>(made.handle));
            meeting.was_granted(!made.code);
            granted += made.code ? 0 : 1;
            made.handle = {};
            other.await_given();
        }
        std::printf("granted in %d of %d rounds\n", granted, wanted);
        // Where one was the first all the time, they never met.
        EXPECT_GT(granted, wanted / 20);
        EXPECT_LT(granted, wanted - wanted / 20);
        EXPECT_TRUE(other.take());
        other.give_back_at(clock::now());
        other.await_given();
    }

    const test::published_sets place_;

private:
    static constexpr std::chrono::milliseconds shortest{1};

    /// Waits until the kernel has the waiter in its line.
    bool stands(const char* mapped) {
        if (!slot_) slot_ = place_.find(mapped);
        const auto patience = clock::now() + 20s;
        while (test::published_sets::waiters(*slot_) == 0) {
            if (clock::now() > patience) return false;
            ::sched_yield();
        }
        return true;
    }

    std::optional<system::set_directory::used_name> slot_;
};

TEST_P(SystemRace, OfCancelAndGrantLosesNoLock) {
    race(make_lock, "lock:x", 1, rounds() / 4);
}

TEST_P(SystemRace, OfCancelAndGrantLosesNoTicketOfOne) {
    race(make_tickets<1>, "semaphore:x", 1, rounds());
    EXPECT_EQ(make_tickets<1>(place_.open()).current_count(), 1);
}

TEST_P(SystemRace, OfCancelAndGrantLosesNoTicketOfThree) {
    race(make_tickets<3>, "semaphore:x", 3, rounds());
    EXPECT_EQ(make_tickets<3>(place_.open()).current_count(), 3);
}

TEST_P(SystemRace, OfCancelAndGrantLosesNoGate) {
    race(make_writers, "readers:x", 1, rounds() / 4);
}

TEST_P(SystemRace, OfTimeAndGrantLosesNoTicket) {
    race(make_tickets<3>, "semaphore:x", 3, std::min(rounds() / 4, 1000), true);
}

TEST_P(SystemRace, OfTimeAndGrantLosesNoGate) {
    race(make_writers, "readers:x", 1, std::min(rounds() / 4, 1000), true);
}

// In a forked child the thread sanitizer takes a lock that was made anew there for the parent's, and for locked.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDFAST_TEST_WITHOUT_FORKS
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HOLDFAST_TEST_WITHOUT_FORKS
#endif
#if defined(HOLDFAST_TEST_WITHOUT_FORKS)
const auto releasers = testing::Values(releaser::thread);
#else
const auto releasers = testing::Values(releaser::thread, releaser::process);
#endif

INSTANTIATE_TEST_SUITE_P(styles, SystemRace, testing::Combine(testing::Values(style::sync, style::async), releasers),
                         [](const auto& param) {
                             return std::string(fakes::name_of(std::get<0>(param.param))) +
                                    (std::get<1>(param.param) == releaser::thread ? "_thread" : "_process");
                         });

}  // namespace
}  // namespace holdfast
