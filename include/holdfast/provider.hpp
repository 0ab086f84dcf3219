// Holdfast: where locks come from.
#ifndef HOLDFAST_PROVIDER_HPP
#define HOLDFAST_PROVIDER_HPP

#include <holdfast/capabilities.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/observer.hpp>
#include <holdfast/reader_writer_lock.hpp>
#include <holdfast/semaphore.hpp>
#include <holdfast/upgradeable_reader_writer_lock.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {
class provider_state;
}  // namespace core

/// @brief What every provider can be told, whatever its backend.
struct provider_settings {
    /// Where asynchronous work runs. Unset: the library's own I/O thread, started when first needed.
    std::optional<boost::asio::any_io_executor> executor = {};
    /// Is told of every step. Unset: nobody.
    std::shared_ptr<holdfast::observer> observer = {};
    /// How long a release, also that of a destructor, may take. More than zero; default 5 s.
    std::chrono::milliseconds release_timeout = std::chrono::seconds(5);
};

/** @brief Makes locks on one backend, with one set of options.

    Made by @ref open from a URL, or by a backend's own `make_provider`. Cheap to copy; locks and handles keep what
    they need of it alive.

    @par Errors
    Making a lock throws @ref error: `errc::invalid_name` where the name cannot be used, `errc::unsupported` where the
    backend has no such lock, `errc::invalid_argument` for a semaphore of fewer than one ticket. Nothing is sent.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class HOLDFAST_API provider {
public:
    /// @cond internal
    explicit provider(std::shared_ptr<core::provider_state> state) noexcept;
    const std::shared_ptr<core::provider_state>& state() const noexcept { return state_; }
    /// @endcond

    /// A lock; names are UTF-8 text and shared with every process that uses the same backend.
    lock make_lock(std::string_view name) const;
    reader_writer_lock make_reader_writer_lock(std::string_view name) const;
    upgradeable_reader_writer_lock make_upgradeable_reader_writer_lock(std::string_view name) const;
    /// @param max_count the number of tickets, at least 1
    semaphore make_semaphore(std::string_view name, int max_count) const;

    const holdfast::capabilities& capabilities() const noexcept;
    /// "file", "memory", ...
    std::string_view backend_name() const noexcept;

private:
    std::shared_ptr<core::provider_state> state_;
};

}  // namespace v0
}  // namespace holdfast

#endif
