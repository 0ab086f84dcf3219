// What Windows tells of its named objects, by calls that have no documented interface and have not changed since the
// first Windows NT.
#ifndef HOLDFAST_BACKENDS_SYSTEM_WINDOWS_KERNEL_OBJECTS_HPP
#define HOLDFAST_BACKENDS_SYSTEM_WINDOWS_KERNEL_OBJECTS_HPP

#include <holdfast/config.hpp>

#include <optional>
#include <string>
#include <vector>

#include <windows.h>

namespace holdfast {
inline namespace v0 {
namespace system {

/// What looking takes: EVENT_QUERY_STATE and SEMAPHORE_QUERY_STATE, which not all headers have.
inline constexpr DWORD query_state = 1;

struct semaphore_counts {
    long free = 0;
    long most = 0;
};
/// @param semaphore opened with `query_state`. Nothing where Windows does not tell.
std::optional<semaphore_counts> look_at_semaphore(HANDLE semaphore) noexcept;

struct event_state {
    bool is_set = false;
    bool is_auto_reset = false;
};
/// @param event opened with `query_state`. Nothing where Windows does not tell.
std::optional<event_state> look_at_event(HANDLE event) noexcept;

/// Names of the machine's events or semaphores, as `Global\...`. Throws `errc::unsupported` where Windows does not
/// tell.
struct global_names {
    std::vector<std::wstring> events;
    std::vector<std::wstring> semaphores;
};
global_names list_global_names();

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
