// Holdfast: what the public lock types forward to.
#ifndef HOLDFAST_DETAIL_PRIMITIVE_HPP
#define HOLDFAST_DETAIL_PRIMITIVE_HPP

#include <holdfast/detail/completion.hpp>
#include <holdfast/detail/result_adapter.hpp>
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
    void async_current_count(diagnostics* diag, std::unique_ptr<completion<int>> done) const;
    /// The error @p code about this lock, described in @p diag.
    error_code refuse(errc code, const char* text, diagnostics* diag) const;

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
    template <class CompletionToken>
    auto async_current_count_as(diagnostics* diag, CompletionToken&& token) const {
        return boost::asio::async_initiate<CompletionToken, void(error_code, int)>(
            [](auto handler, primitive_ref self, diagnostics* details) {
                const auto executor = self.executor();
                self.async_current_count(details, erase_completion<int>(std::move(handler), executor));
            },
            token, *this, diag);
    }

private:
    /// Why it cannot be asked for a count; no error if it can.
    error_code cannot_count(diagnostics* diag) const;

    std::shared_ptr<core::provider_state> provider_;
    std::shared_ptr<const core::resource> target_;
};

}  // namespace detail
}  // namespace v0
}  // namespace holdfast

#endif
