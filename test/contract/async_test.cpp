// Where handlers run, and when: what only asynchronous calls promise.
#include <contract/fixture.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <thread>

#include <pthread.h>

namespace holdfast::contract {
namespace {

namespace asio = boost::asio;

std::string thread_name() {
    char name[16] = {};
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    return name;
}

class handlers : public contract_test {
protected:
    void SetUp() override {
        contract_test::SetUp();
        name_ = place().unique_name();
    }
    lock make() const { return locks().make_lock(name_); }
    const std::string& name() const { return name_; }

    /// Begins @p call on the thread that also runs its handler, and expects the handler to come after the call.
    template <class Call>
    static void expect_handler_afterwards(const char* what, Call call) {
        SCOPED_TRACE(what);
        asio::io_context user;
        const auto here = std::this_thread::get_id();
        bool inside = false;
        int calls = 0;
        const auto handler = asio::bind_executor(user, [&](const auto&...) {
            EXPECT_FALSE(inside) << "called from within the initiating call";
            EXPECT_EQ(std::this_thread::get_id(), here) << "called elsewhere than on its executor";
            ++calls;
        });
        asio::post(user, [&] {
            inside = true;
            call(handler);
            inside = false;
        });
        user.run();
        EXPECT_EQ(calls, 1);
    }

private:
    std::string name_;
};

HOLDFAST_CONTRACT_SUITE(handlers, {.styles = {style::callback}, .needs = &capabilities::lock, .what = "lock"});

HOLDFAST_CONTRACT(handlers, never_run_within_the_initiating_call, covers(16)) {
    const lock one = make();
    expect_handler_afterwards("acquire, free", [&](auto handler) { one.async_acquire(seconds(1), handler); });
    expect_handler_afterwards("try, free", [&](auto handler) { one.async_try_acquire(seconds(0), handler); });
    lock_handle held = one.acquire(seconds(1));
    expect_handler_afterwards("acquire, held", [&](auto handler) { one.async_acquire(seconds(0), handler); });
    expect_handler_afterwards("try, held", [&](auto handler) { one.async_try_acquire(milliseconds(5), handler); });
    expect_handler_afterwards("release", [&](auto handler) { held.async_release(handler); });
    expect_handler_afterwards("release, empty", [&](auto handler) { held.async_release(handler); });
    expect_handler_afterwards("loss, empty", [&](auto handler) { held.async_wait_lost(handler); });
    upgradeable_lock_handle empty;
    expect_handler_afterwards("upgrade, empty", [&](auto handler) { empty.async_upgrade(seconds(1), handler); });
}

HOLDFAST_CONTRACT(handlers, run_on_the_providers_executor_if_they_have_none, covers()) {
    asio::io_context user;
    const provider mine = place().make_provider({.executor = user.get_executor()});
    const lock one = mine.make_lock(name());
    const auto here = std::this_thread::get_id();
    lock_handle held;
    int done = 0;
    const auto on_released = [&](error_code code) {
        EXPECT_FALSE(code) << code.message();
        ++done;
    };
    const auto on_refused = [&](error_code code, const std::optional<lock_handle>& nothing) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        EXPECT_FALSE(code) << code.message();
        EXPECT_FALSE(nothing);
        ++done;
        held.async_release(on_released);
    };
    one.async_acquire(seconds(5), [&](error_code code, lock_handle granted) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        EXPECT_FALSE(code) << code.message();
        held = std::move(granted);
        ++done;
        // Waits for its time on that executor, too.
        one.async_try_acquire(milliseconds(20), on_refused);
    });
    EXPECT_EQ(done, 0);
    user.run_for(limits().patience);
    EXPECT_EQ(done, 3);
}

HOLDFAST_CONTRACT(handlers, run_on_the_librarys_thread_by_default, covers()) {
    std::promise<std::string> name;
    make().async_acquire(seconds(5), [&](error_code, const lock_handle&) { name.set_value(thread_name()); });
    auto coming = name.get_future();
    ASSERT_EQ(coming.wait_for(limits().patience), std::future_status::ready);
    EXPECT_EQ(coming.get(), "holdfast-io");
}

HOLDFAST_CONTRACT(handlers, keep_their_executor_at_work, covers()) {
    const lock_handle first = make().acquire(seconds(5));
    asio::io_context user;
    bool done = false;
    make().async_try_acquire(milliseconds(30),
                             asio::bind_executor(user, [&](error_code, std::optional<lock_handle>) { done = true; }));
    // Returns when there is nothing left to do, and there is until the handler has run.
    user.run();
    EXPECT_TRUE(done);
}

HOLDFAST_CONTRACT(handlers, may_be_move_only, covers()) {
    asio::io_context user;
    auto value = std::make_unique<int>(42);
    int seen = 0;
    make().async_acquire(seconds(5), asio::bind_executor(user, [&seen, value = std::move(value)](
                                                                   error_code, const lock_handle&) { seen = *value; }));
    user.run();
    EXPECT_EQ(seen, 42);
}

/// Counts what was acquired.
class acquired_count final : public observer {
public:
    void acquired(std::string_view, std::chrono::nanoseconds) noexcept override { ++count_; }
    int get() const noexcept { return count_; }

private:
    std::atomic<int> count_{0};
};

/// An acquire has ended once the library's executor, run here, has reported it: then its handler is in its own queue.
void run_until_acquired(asio::io_context& library, const acquired_count& acquired, milliseconds patience) {
    ASSERT_TRUE(eventually(
        [&] {
            library.restart();
            library.poll();
            return acquired.get() == 1;
        },
        patience));
}

HOLDFAST_CONTRACT(handlers, that_are_never_run_release_what_they_were_given, covers(31)) {
    const auto acquired = std::make_shared<acquired_count>();
    asio::io_context library;
    const provider mine = place().make_provider({.executor = library.get_executor(), .observer = acquired});
    lock_handle first = make().acquire(seconds(5));
    {
        asio::io_context user;
        mine.make_lock(name()).async_acquire(timeout::infinite(),
                                             asio::bind_executor(user, [](error_code, const lock_handle&) {}));
        first.release();
        run_until_acquired(library, *acquired, limits().patience);
        EXPECT_TRUE(is_taken({make()}));
    }
    EXPECT_TRUE(eventually([&] { return is_free({make()}); }, limits().patience));
}

HOLDFAST_CONTRACT(handlers, that_throw_do_not_disturb_the_library, covers(30)) {
    make().async_acquire(seconds(5), [](error_code, const lock_handle&) { throw 1; });
    // On the same thread, after that.
    std::promise<error_code> ended;
    locks().make_lock(place().unique_name()).async_acquire(seconds(5), [&](error_code code, const lock_handle&) {
        ended.set_value(code);
    });
    auto coming = ended.get_future();
    ASSERT_EQ(coming.wait_for(limits().patience), std::future_status::ready);
    EXPECT_FALSE(coming.get());
    EXPECT_TRUE(eventually([&] { return is_free({make()}); }, limits().patience));
}

HOLDFAST_CONTRACT(handlers, of_a_loss_may_throw, covers(30)) {
    HOLDFAST_NEEDS(can().loss_detection != loss_detection::none, "a backend that notices losses");
    const lock_handle held = make().acquire(seconds(5));
    std::promise<void> told;
    held.async_wait_lost([](error_code) { throw 1; });
    held.async_wait_lost([&](error_code) { told.set_value(); });
    HOLDFAST_NEEDS(place().lose_holds(name(), make().mapped_name()), "an environment that can destroy holds");
    EXPECT_EQ(told.get_future().wait_for(limits().loss_noticed), std::future_status::ready);
    EXPECT_EQ(held.state(), held_state::lost);
}

HOLDFAST_CONTRACT(handlers, on_the_librarys_thread_may_drop_and_release_handles, covers()) {
    const lock one = make();
    std::promise<void> ended;
    one.async_acquire(seconds(5), [&](error_code, lock_handle dropped) {
        dropped = lock_handle();
        one.async_acquire(seconds(5), [&](error_code code, lock_handle released) {
            EXPECT_FALSE(code) << code.message();
            released.async_release([&](error_code) { ended.set_value(); });
        });
    });
    ASSERT_EQ(ended.get_future().wait_for(limits().patience), std::future_status::ready);
    EXPECT_TRUE(is_free({make()}));
}

HOLDFAST_CONTRACT(handlers, cannot_be_cancelled_once_they_have_run, covers(16)) {
    asio::io_context user;
    asio::cancellation_signal signal;
    lock_handle kept;
    make().async_acquire(
        seconds(5),
        asio::bind_executor(user, asio::bind_cancellation_slot(
                                      signal.slot(), [&](error_code, lock_handle held) { kept = std::move(held); })));
    user.run();
    signal.emit(asio::cancellation_type::all);
    EXPECT_EQ(kept.state(), held_state::held);
    EXPECT_FALSE(signal.slot().has_handler());
}

HOLDFAST_CONTRACT(handlers, many_waiters_need_no_threads, covers(6)) {
    asio::io_context user;
    const provider mine = place().make_provider({.executor = user.get_executor()});
    const lock one = mine.make_lock(name());
    int inside = 0;
    int served = 0;
    for (int count = 0; count < limits().concurrent_acquirers; ++count) {
        one.async_acquire(seconds(30), [&](error_code code, lock_handle held) {
            EXPECT_FALSE(code) << code.message();
            EXPECT_EQ(++inside, 1);
            asio::post(user, [&, kept = std::move(held)]() mutable {
                --inside;
                ++served;
                kept.async_release([](error_code last) { EXPECT_FALSE(last) << last.message(); });
            });
        });
    }
    user.run_for(seconds(30));
    EXPECT_EQ(served, limits().concurrent_acquirers);
}

HOLDFAST_CONTRACT(handlers, run_on_an_executor_of_several_threads, covers(6)) {
    asio::io_context user;
    const provider mine = place().make_provider({.executor = user.get_executor()});
    const lock one = mine.make_lock(name());
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> served{0};
    for (int count = 0; count < limits().concurrent_acquirers; ++count) {
        one.async_acquire(seconds(30), [&](error_code code, lock_handle held) {
            EXPECT_FALSE(code) << code.message();
            if (++inside != 1) ++overlaps;
            --inside;
            held.async_release([&](error_code) { ++served; });
        });
    }
    std::thread second([&] { user.run_for(seconds(30)); });
    user.run_for(seconds(30));
    second.join();
    EXPECT_EQ(served, limits().concurrent_acquirers);
    EXPECT_EQ(overlaps, 0);
}

HOLDFAST_CONTRACT(handlers, deferred_and_never_started_leave_nothing_held, covers(31)) {
    {
        [[maybe_unused]] const auto never = make().async_acquire(seconds(5), asio::deferred);
        EXPECT_TRUE(is_free({make()}));
    }
    lock_handle held = make().acquire(seconds(5));
    { [[maybe_unused]] const auto never = held.async_release(asio::deferred); }
    // At once: not when a lease runs out.
    EXPECT_TRUE(is_free({make()}));
}

}  // namespace
}  // namespace holdfast::contract
