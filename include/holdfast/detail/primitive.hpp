// Holdfast: what the public lock types forward to.
#ifndef HOLDFAST_DETAIL_PRIMITIVE_HPP
#define HOLDFAST_DETAIL_PRIMITIVE_HPP

#include <holdfast/detail/completion.hpp>
#include <holdfast/diagnostics.hpp>
#include <holdfast/lock_handle.hpp>
#include <holdfast/timeout.hpp>

#include <boost/asio/async_result.hpp>

#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {
class provider_state;
class resource;
}  // namespace core

namespace detail {

/// How a name is held.
enum class access : unsigned char { exclusive, shared, upgradeable, ticket };

/// Turns `timed_out` into "no error, nothing".
template <class Handle>
std::optional<Handle> as_optional(error_code& code, lock_handle held) {
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

    void operator()(error_code code, lock_handle held) { std::move(handler)(code, Result(std::move(held))); }
};

template <class Handle, class Handler>
struct result_adapter<std::optional<Handle>, Handler> {
    Handler handler;

    void operator()(error_code code, lock_handle held) {
        auto result = as_optional<Handle>(code, std::move(held));
        std::move(handler)(code, std::move(result));
    }
};

/// One name in one provider: what every public lock type holds, and all it holds.
class HOLDFAST_API primitive_ref {
public:
    primitive_ref(std::shared_ptr<core::provider_state> provider,
                  std::shared_ptr<const core::resource> target) noexcept;

    std::string_view name() const noexcept;
    std::string_view mapped_name() const noexcept;
    int max_count() const noexcept;
    boost::asio::any_io_executor executor() const;
    /// True where both stand for one lock of one backend: then whoever holds the one waits for ever for the other.
    bool same_lock(const primitive_ref& other) const noexcept;
    int current_count(error_code& code, diagnostics* diag) const;

    /// `errc::timed_out` where the lock is held elsewhere until the end of the timeout.
    lock_handle acquire(access mode, timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) const;
    /// The same, but throws.
    lock_handle acquire(access mode, timeout limit, std::stop_token stop) const;
    /// The same, but is empty where the lock is held elsewhere, and throws otherwise.
    std::optional<lock_handle> try_acquire(access mode, timeout limit, std::stop_token stop) const;
    void async_acquire(access mode, timeout limit, diagnostics* diag,
                       std::unique_ptr<completion<lock_handle>> done) const;

    // The same in the shapes that the public types offer. "Held elsewhere" is an empty optional in the try forms.
    template <class Handle>
    Handle acquire_or_throw(access mode, timeout limit, std::stop_token stop) const {
        return Handle(acquire(mode, limit, std::move(stop)));
    }
    template <class Handle>
    std::optional<Handle> try_acquire_or_throw(access mode, timeout limit, std::stop_token stop) const {
        auto handle = try_acquire(mode, limit, std::move(stop));
        if (!handle) return std::nullopt;
        return Handle(std::move(*handle));
    }
    template <class Handle>
    std::optional<Handle> try_acquire(access mode, timeout limit, std::stop_token stop, error_code& code,
                                      diagnostics* diag) const {
        lock_handle handle = acquire(mode, limit, std::move(stop), code, diag);
        return as_optional<Handle>(code, std::move(handle));
    }
    template <class Handle, class CompletionToken>
    auto async_acquire_as(access mode, timeout limit, diagnostics* diag, CompletionToken&& token) const {
        return boost::asio::async_initiate<CompletionToken, void(error_code, Handle)>(
            [](auto handler, primitive_ref self, access how, timeout until, diagnostics* details) {
                const auto executor = self.executor();
                result_adapter<Handle, decltype(handler)> convert{std::move(handler)};
                self.async_acquire(how, until, details, erase_completion<lock_handle>(std::move(convert), executor));
            },
            token, *this, mode, limit, diag);
    }
    template <class Handle, class CompletionToken>
    auto async_try_acquire_as(access mode, timeout limit, diagnostics* diag, CompletionToken&& token) const {
        return boost::asio::async_initiate<CompletionToken, void(error_code, std::optional<Handle>)>(
            [](auto handler, primitive_ref self, access how, timeout until, diagnostics* details) {
                const auto executor = self.executor();
                result_adapter<std::optional<Handle>, decltype(handler)> convert{std::move(handler)};
                self.async_acquire(how, until, details, erase_completion<lock_handle>(std::move(convert), executor));
            },
            token, *this, mode, limit, diag);
    }

private:
    std::shared_ptr<core::provider_state> provider_;
    std::shared_ptr<const core::resource> target_;
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
