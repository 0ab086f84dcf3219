// Holdfast: where locks come from.
#ifndef HOLDFAST_PROVIDER_HPP
#define HOLDFAST_PROVIDER_HPP

#include <holdfast/capabilities.hpp>
#include <holdfast/inspection.hpp>
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
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {
class provider_state;
}  // namespace core

/// @brief What every provider can be told, whatever its backend.
struct provider_settings {
    /// Where asynchronous work runs; its context must outlive what was begun on it. Unset: the library's own I/O
    /// thread, started when first needed. It has work while anything waits or a lease is renewed, and for up to 20 ms
    /// afterwards: so long may `io_context::run()` go on.
    std::optional<boost::asio::any_io_executor> executor = {};
    /// Is told of every step. Unset: nobody.
    std::shared_ptr<holdfast::observer> observer = {};
    /// How long a release, also that of a destructor, may take. More than zero, at most a day; default 5 s.
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

    /** @brief The locks of this backend, their holders and, where it can tell, their waiters.

        A picture of a moment, for people and monitoring: never a reason to take a lock to be free. Blocks.
        @par Errors
        Throws @ref error: `errc::unsupported` where the backend cannot tell, `errc::unavailable` and the like.
    */
    std::vector<lock_entry> list(const list_query& query = {}) const;

    /** @brief Looks at whether the backend is fit to keep locks: version, settings, privileges, limits. Blocks.

        A backend that cannot be reached is a finding, not an error.
        @par Errors
        Throws @ref error with `errc::unsupported` where there is nothing to examine.
    */
    std::vector<finding> examine(const examination& how = {}) const;

    const holdfast::capabilities& capabilities() const noexcept;
    /// "file", "memory", ...
    std::string_view backend_name() const noexcept;

private:
    std::shared_ptr<core::provider_state> state_;
};

}  // namespace v0
}  // namespace holdfast

#endif
