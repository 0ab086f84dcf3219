// What `list` and `examine` tell of the machine's events and semaphores.
#include <backends/system/windows/kernel_objects.hpp>
#include <backends/system/windows/strategy.hpp>
#include <backends/system/windows/wait_object.hpp>
#include <core/windows/wide.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <aclapi.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

using grade = finding::grade;

struct handle_closer {
    void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};
using owned_handle = std::unique_ptr<void, handle_closer>;

/// Whether everybody may do everything with it, as Holdfast and .NET make theirs: of the many objects of other programs
/// next to none are like that.
bool is_for_everybody(HANDLE object) {
    PACL list = nullptr;
    PSECURITY_DESCRIPTOR descriptor = nullptr;
    if (::GetSecurityInfo(object, SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, &list, nullptr,
                          &descriptor) != ERROR_SUCCESS) {
        return false;
    }
    alignas(SID) char everyone[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof everyone;
    bool found = false;
    if (list != nullptr && ::CreateWellKnownSid(WinWorldSid, nullptr, everyone, &size)) {
        for (DWORD at = 0; at < list->AceCount && !found; ++at) {
            void* entry = nullptr;
            if (!::GetAce(list, at, &entry)) break;
            auto* const allowed = static_cast<ACCESS_ALLOWED_ACE*>(entry);
            found = allowed->Header.AceType == ACCESS_ALLOWED_ACE_TYPE && ::EqualSid(&allowed->SidStart, everyone) &&
                    ((allowed->Mask & GENERIC_ALL) != 0 || (allowed->Mask & EVENT_ALL_ACCESS) == EVENT_ALL_ACCESS);
        }
    }
    ::LocalFree(descriptor);
    return found;
}

/// Nothing where it is no lock, or gone, or not ours to look at. @param any also what others may not use
std::optional<lock_entry> look(const std::wstring& name, wait_object::kind what, bool any) {
    static_assert(EVENT_ALL_ACCESS == SEMAPHORE_ALL_ACCESS);
    const bool is_event = what == wait_object::kind::event;
    constexpr DWORD access = READ_CONTROL | query_state;
    const owned_handle object(is_event ? ::OpenEventW(access, FALSE, name.c_str())
                                       : ::OpenSemaphoreW(access, FALSE, name.c_str()));
    const auto key = core::to_utf8(name);
    if (!object || !key || (!any && !is_for_everybody(object.get()))) return std::nullopt;
    lock_entry made;
    made.key = *key;
    if (is_event) {
        const auto found = look_at_event(object.get());
        if (!found || !found->is_auto_reset) return std::nullopt;
        made.access = "exclusive";
        if (found->is_set) made.state = lock_entry::status::free;
        return made;
    }
    const auto counts = look_at_semaphore(object.get());
    if (!counts) return std::nullopt;
    made.access = "ticket";
    if (counts->free >= counts->most) made.state = lock_entry::status::free;
    made.details = {{"taken", std::to_string(counts->most - counts->free)}, {"tickets", std::to_string(counts->most)}};
    return made;
}

/// Two who want the same must exclude each other.
finding try_exclusion() {
    const std::wstring name = L"Global\\holdfast-doctor-" + std::to_wstring(::GetCurrentProcessId());
    wait_object first(wait_object::kind::event, name, 1);
    wait_object second(wait_object::kind::event, name, 1);
    for (wait_object* const each : {&first, &second}) {
        if (const DWORD failed = each->open(); failed != 0) {
            return {grade::fault, "locking", "cannot make an event: " + core::system_message(failed)};
        }
    }
    if (first.try_take() != WAIT_OBJECT_0 || second.try_take() != WAIT_TIMEOUT) {
        return {grade::fault, "locking", "events do not exclude"};
    }
    return {grade::good, "locking", "events can be made for the whole machine, and exclude"};
}

finding look_at_counts() {
    const owned_handle one(::CreateSemaphoreW(nullptr, 1, 1, nullptr));
    if (one && look_at_semaphore(one.get())) return {grade::good, "counts", "the counts of semaphores can be seen"};
    return {grade::warning, "counts",
            "this Windows does not tell a semaphore's counts: there is no current_count(), and who disagrees about the "
            "number of tickets is not found out"};
}

}  // namespace

std::vector<lock_entry> windows_backend::list(const list_query& query) {
    using kind = wait_object::kind;
    std::vector<lock_entry> found;
    const auto add = [&found](const std::wstring& name, kind what, bool any) {
        if (auto entry = look(name, what, any)) found.push_back(std::move(*entry));
    };
    if (!query.key.empty()) {
        for (const kind what : {kind::event, kind::semaphore}) add(core::to_wide(query.key), what, true);
        return found;
    }
    const global_names names = list_global_names();
    for (const std::wstring& each : names.events) add(each, kind::event, false);
    for (const std::wstring& each : names.semaphores) add(each, kind::semaphore, false);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return found;
}

std::vector<finding> windows_backend::examine(const examination& how) {
    std::vector<finding> made{
        try_exclusion(),
        look_at_counts(),
        {grade::warning, "sharing", "everybody on this machine can use these locks, and jam or break them"},
    };
    if (how.clean) {
        made.push_back({grade::good, "clean", "nothing to remove: an object ends with the last handle of it"});
    }
    return made;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
