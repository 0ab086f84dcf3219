// co_await with use_awaitable.
#include <contract/async_style.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace holdfast::contract {

// Not in an unnamed namespace: a coroutine's frame would have members of a type without linkage.
template <class Result, class Initiate>
asio::awaitable<void> body(std::shared_ptr<async_state> state, Initiate initiate) {
    error_code code;
    try {
        if constexpr (std::is_void_v<Result>) {
            co_await initiate(asio::use_awaitable);
            state->ended({});
        } else {
            state->ended({}, co_await initiate(asio::use_awaitable));
        }
        co_return;
    } catch (const boost::system::system_error& thrown) {
        code = thrown.code();
    }
    state->ended(code);
}

struct coroutine_launcher {
    template <class Result, class Initiate>
    static void launch(const std::shared_ptr<async_state>& state, const Initiate& initiate) {
        asio::co_spawn(state->executor(), body<Result>(state, initiate),
                       asio::bind_cancellation_slot(state->slot(), asio::detached));
    }
};

std::unique_ptr<call_style> make_coroutine_style() {
    // A coroutine forwards no other type unless it is asked to.
    return std::make_unique<async_style<coroutine_launcher>>(asio::cancellation_type::terminal);
}

}  // namespace holdfast::contract
