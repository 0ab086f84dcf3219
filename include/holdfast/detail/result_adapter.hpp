// Holdfast: from what the library gives to what a handler takes.
#ifndef HOLDFAST_DETAIL_RESULT_ADAPTER_HPP
#define HOLDFAST_DETAIL_RESULT_ADAPTER_HPP

#include <holdfast/error.hpp>

#include <boost/asio/associator.hpp>

#include <optional>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace detail {

/// Turns `timed_out` into "no error, nothing".
template <class Handle, class Held>
std::optional<Handle> as_optional(error_code& code, Held held) {
    if (code == errc::timed_out) {
        code.clear();
        return std::nullopt;
    }
    if (code) return std::nullopt;
    return Handle(std::move(held));
}

/// Gives a handler its own result type while keeping its executor, allocator and cancellation slot.
template <class Result, class Handler>
struct result_adapter {
    Handler handler;

    template <class Held>
    void operator()(error_code code, Held held) {
        std::move(handler)(code, Result(std::move(held)));
    }
};

template <class Handle, class Handler>
struct result_adapter<std::optional<Handle>, Handler> {
    Handler handler;

    template <class Held>
    void operator()(error_code code, Held held) {
        auto result = as_optional<Handle>(code, std::move(held));
        std::move(handler)(code, std::move(result));
    }
};

/// For operations that give nothing: whether it was done in time.
template <class Handler>
struct result_adapter<bool, Handler> {
    Handler handler;

    void operator()(error_code code) {
        const bool done = !code;
        if (code == errc::timed_out) code.clear();
        std::move(handler)(code, done);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace holdfast

/// Executor, allocator and cancellation slot of the adapted handler are those of the user's.
template <template <class, class> class Associator, class Result, class Handler, class Default>
struct boost::asio::associator<Associator, holdfast::detail::result_adapter<Result, Handler>, Default>
    : Associator<Handler, Default> {
    static auto get(const holdfast::detail::result_adapter<Result, Handler>& adapted) noexcept {
        return Associator<Handler, Default>::get(adapted.handler);
    }
    static auto get(const holdfast::detail::result_adapter<Result, Handler>& adapted,
                    const Default& fallback) noexcept {
        return Associator<Handler, Default>::get(adapted.handler, fallback);
    }
};

#endif
