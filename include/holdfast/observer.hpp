// Holdfast: watching what the library does.
#ifndef HOLDFAST_OBSERVER_HPP
#define HOLDFAST_OBSERVER_HPP

#include <holdfast/config.hpp>
#include <holdfast/error.hpp>

#include <chrono>
#include <string_view>

namespace holdfast {
inline namespace v0 {

/** @brief Is told of every step of every lock of a provider: for logs, metrics and traces.

    Override what is of interest. Calls come from whichever thread took the step, also from the library's I/O thread, so
    they must not block, and not call back into the same lock.

    @par Thread safety
    Calls come from several threads at once.
*/
class HOLDFAST_API observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer();

    /// The lock was not to be had at once; the wait begins.
    virtual void waiting(std::string_view name) noexcept;
    /// The lock was acquired @p after this long.
    virtual void acquired(std::string_view name, std::chrono::nanoseconds after) noexcept;
    /// An acquire ended without the lock @p after this long, for the reason @p why.
    virtual void not_acquired(std::string_view name, error_code why, std::chrono::nanoseconds after) noexcept;
    /// A lease was renewed.
    virtual void renewed(std::string_view name) noexcept;
    /// The lock was lost.
    virtual void lost(std::string_view name) noexcept;
    /// The lock was released; @p result tells how that went. The only report of a destructor's failure to release.
    virtual void released(std::string_view name, error_code result) noexcept;
    /// Something works less well than it could: for instance waiting that had to fall back to probing.
    virtual void notice(std::string_view name, std::string_view text) noexcept;
};

}  // namespace v0
}  // namespace holdfast

#endif
