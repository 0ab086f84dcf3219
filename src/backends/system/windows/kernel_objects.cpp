#include <backends/system/windows/kernel_objects.hpp>

#include <holdfast/error.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include <winternl.h>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

/// A function of ntdll.dll; null where there is none of that name.
template <class Function>
Function* native(const char* name) noexcept {
    const HMODULE library = ::GetModuleHandleW(L"ntdll.dll");
    const FARPROC found = library != nullptr ? ::GetProcAddress(library, name) : nullptr;
    return reinterpret_cast<Function*>(reinterpret_cast<void*>(found));
}

/// NtQuerySemaphore and NtQueryEvent are called alike, and both tell two numbers.
using query = LONG WINAPI(HANDLE, int, void*, ULONG, ULONG*);
struct two_numbers {
    LONG first;
    LONG second;
};

std::optional<two_numbers> ask(query* call, HANDLE object) noexcept {
    constexpr int basic_information = 0;
    two_numbers answer{};
    if (call == nullptr || call(object, basic_information, &answer, sizeof answer, nullptr) < 0) return std::nullopt;
    return answer;
}

struct directory_entry {
    UNICODE_STRING name;
    UNICODE_STRING type;
};
using open_directory = LONG WINAPI(HANDLE*, ACCESS_MASK, OBJECT_ATTRIBUTES*);
using query_directory = LONG WINAPI(HANDLE, void*, ULONG, BOOLEAN, BOOLEAN, ULONG*, ULONG*);

std::wstring_view view(const UNICODE_STRING& text) noexcept {
    return {text.Buffer, text.Length / sizeof(wchar_t)};
}

/// Names of objects, once each.
class name_collector {
public:
    void add(const directory_entry& each) {
        const std::wstring_view kind = view(each.type);
        if (kind != L"Event" && kind != L"Semaphore") return;
        auto& names = kind == L"Event" ? events_ : semaphores_;
        names.insert(std::wstring(L"Global\\").append(view(each.name)));
    }
    global_names all() const { return {{events_.begin(), events_.end()}, {semaphores_.begin(), semaphores_.end()}}; }

private:
    std::set<std::wstring> events_;
    std::set<std::wstring> semaphores_;
};

/// By one call, which sees the directory as it is at one moment. False where that is not to be had: Wine 8 gives out
/// one entry at a time.
bool read_at_once(query_directory* read, HANDLE directory, name_collector& names) {
    constexpr LONG more_entries = 0x105;
    constexpr std::size_t most = std::size_t{1} << 26;
    for (std::size_t size = std::size_t{1} << 17; size <= most; size *= 2) {
        const auto buffer = std::make_unique<directory_entry[]>(size / sizeof(directory_entry));
        ULONG next = 0;
        const LONG status = read(directory, buffer.get(), static_cast<ULONG>(size), FALSE, TRUE, &next, nullptr);
        if (status == more_entries) continue;
        if (status != 0) return false;
        for (const directory_entry* each = buffer.get(); each->name.Buffer != nullptr; ++each) names.add(*each);
        return true;
    }
    return false;
}

/// One entry after the other. @return all names, in the order they came
std::vector<std::wstring> read_one_by_one(query_directory* read, HANDLE directory, name_collector& names) {
    // UNICODE_STRING's length is a USHORT: the name and that of its kind fit.
    alignas(directory_entry) std::array<char, sizeof(directory_entry) + 2 * 65536> buffer{};
    const auto size = static_cast<ULONG>(buffer.size());
    std::vector<std::wstring> found;
    ULONG next = 0;
    for (BOOLEAN restart = TRUE; read(directory, buffer.data(), size, TRUE, restart, &next, nullptr) == 0;
         restart = FALSE) {
        const auto& each = *reinterpret_cast<const directory_entry*>(buffer.data());
        names.add(each);
        found.emplace_back(view(each.name));
    }
    return found;
}

/// They are counted: when one goes, those behind it move up, and the next one is passed over. What one round misses is
/// found by another, of which there are the more the more comes and goes.
void read_in_rounds(query_directory* read, HANDLE directory, name_collector& names) {
    constexpr int most = 30;
    constexpr int enough_alike = 4;
    std::vector<std::wstring> before;
    for (int round = 0, alike = 1; round < most && alike < enough_alike; ++round) {
        std::vector<std::wstring> found = read_one_by_one(read, directory, names);
        alike = found == before ? alike + 1 : 1;
        before = std::move(found);
    }
}

}  // namespace

std::optional<semaphore_counts> look_at_semaphore(HANDLE semaphore) noexcept {
    static query* const call = native<query>("NtQuerySemaphore");
    const auto found = ask(call, semaphore);
    if (!found) return std::nullopt;
    return semaphore_counts{found->first, found->second};
}

std::optional<event_state> look_at_event(HANDLE event) noexcept {
    static query* const call = native<query>("NtQueryEvent");
    const auto found = ask(call, event);
    if (!found) return std::nullopt;
    constexpr LONG synchronization_event = 1;
    return event_state{found->second != 0, found->first == synchronization_event};
}

global_names list_global_names() {
    static auto* const open = native<open_directory>("NtOpenDirectoryObject");
    static auto* const read = native<query_directory>("NtQueryDirectoryObject");
    wchar_t path[] = L"\\BaseNamedObjects";
    constexpr auto bytes = static_cast<USHORT>(sizeof path - sizeof(wchar_t));
    UNICODE_STRING name{bytes, sizeof path, path};
    OBJECT_ATTRIBUTES which{};
    InitializeObjectAttributes(&which, &name, 0, nullptr, nullptr);
    constexpr ACCESS_MASK directory_query = 1;
    HANDLE directory = nullptr;
    if (open == nullptr || read == nullptr || open(&directory, directory_query, &which) < 0) {
        throw error(errc::unsupported, "this Windows does not tell which kernel objects there are");
    }
    name_collector names;
    if (!read_at_once(read, directory, names)) read_in_rounds(read, directory, names);
    ::CloseHandle(directory);
    return names.all();
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
