// use_future: the result, or an exception, comes through a std::future.
#include <contract/async_style.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>

#include <latch>

namespace holdfast::contract {
namespace {

template <class Result>
void collect(std::future<Result> coming, async_state& state) {
    coming.wait();
    // The handler's own reference to an exception has to be gone: the count of those is libstdc++'s, into which the
    // thread sanitizer does not see.
    std::latch settled(1);
    asio::post(state.executor(), [&settled] { settled.count_down(); });
    settled.wait();
    try {
        if constexpr (std::is_void_v<Result>) {
            coming.get();
            state.ended({});
        } else {
            state.ended({}, coming.get());
        }
    } catch (const boost::system::system_error& thrown) {
        state.ended(thrown.code());
    }
}

struct future_launcher {
    template <class Result, class Initiate>
    static void launch(const std::shared_ptr<async_state>& state, const Initiate& initiate) {
        std::future<Result> coming = initiate(
            asio::bind_executor(state->executor(), asio::bind_cancellation_slot(state->slot(), asio::use_future)));
        // A future calls nobody back: somebody has to wait for it. Not before it is detached: see docs/windows.md.
        auto detached = std::make_shared<std::latch>(1);
        std::thread([state, detached, coming = std::move(coming)]() mutable {
            detached->wait();
            collect(std::move(coming), *state);
        }).detach();
        detached->count_down();
    }
};

}  // namespace

std::unique_ptr<call_style> make_future_style() {
    return std::make_unique<async_style<future_launcher>>(asio::cancellation_type::terminal);
}

}  // namespace holdfast::contract
