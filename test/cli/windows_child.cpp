// A command for the tests of `holdfast run` on Windows: does what its first argument says.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string>
#include <vector>

#include <fcntl.h>
#include <io.h>
#include <process.h>

#include <windows.h>

#include <shellapi.h>

namespace {

/// Anything as ASCII: units beyond it as <XXXX>.
std::string shown(const wchar_t* text) {
    std::string made;
    for (; *text != L'\0'; ++text) {
        char unit[16];
        std::snprintf(unit, sizeof unit, *text >= 0x20 && *text < 0x7f ? "%c" : "<%04X>", static_cast<unsigned>(*text));
        made += unit;
    }
    return made;
}

BOOL WINAPI on_control(DWORD what) {
    std::printf("control %lu\n", what);
    std::fflush(stdout);
    ::ExitProcess(42);
}

BOOL WINAPI stay(DWORD) {
    return TRUE;
}

/** Starts a program, and presses Ctrl-C on the console that it shares with us when somebody says so: by `press NAME`.

    Of the key itself Wine makes a signal to all processes of the terminal, its own conhost.exe among them, whose
   handler then allocates memory, perhaps in the midst of allocating some: now and then it came to a standstill.
*/
int press_for(const std::vector<std::wstring>& arguments) {
    const HANDLE pressed = ::CreateEventW(nullptr, FALSE, FALSE, arguments[2].c_str());
    ::SetConsoleCtrlHandler(&stay, TRUE);
    std::vector<const wchar_t*> values;
    for (std::size_t at = 3; at < arguments.size(); ++at) values.push_back(arguments[at].c_str());
    values.push_back(nullptr);
    const auto process = reinterpret_cast<HANDLE>(::_wspawnv(_P_NOWAIT, values.front(), values.data()));
    if (process == reinterpret_cast<HANDLE>(-1)) return 2;
    const HANDLE either[] = {process, pressed};
    if (::WaitForMultipleObjects(2, either, FALSE, INFINITE) == WAIT_OBJECT_0 + 1 &&
        !::GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0)) {
        return 3;
    }
    ::WaitForSingleObject(process, INFINITE);
    DWORD status = 0;
    ::GetExitCodeProcess(process, &status);
    return static_cast<int>(status);
}

/// Set by the command when the lender is to read.
HANDLE reading_event() {
    return ::CreateEventW(nullptr, TRUE, FALSE, L"holdfast-test-read-now");
}

/// Inheritable, and with a number that no program has by itself.
HANDLE with_high_number(HANDLE handle) {
    const HANDLE here = ::GetCurrentProcess();
    std::vector<HANDLE> low;
    HANDLE made = nullptr;
    while (::DuplicateHandle(here, handle, here, &made, 0, TRUE, DUPLICATE_SAME_ACCESS) &&
           reinterpret_cast<std::uintptr_t>(made) < 0x1000) {
        low.push_back(made);
    }
    for (const HANDLE each : low) ::CloseHandle(each);
    return made;
}

void print_all(HANDLE from) {
    char text[4096];
    DWORD size = 0;
    while (::ReadFile(from, text, sizeof text, &size, nullptr) && size > 0) std::fwrite(text, 1, size, stdout);
}

/** Starts a program with something to write to, or not; shows what it has written, and its status.

    lend WHAT DESCRIPTOR PROGRAM ARGUMENT...: WHAT is `pipe`, or what is wrong with it: `broken` (nobody reads), `full`
    (read when the program has ended), `late` (read when the command says so), `reading` (the other end), `event` (no
    file at all). DESCRIPTOR is the C runtime's, 4 or above; 0: it is only a handle. An argument `HANDLE` becomes its
    number. None may hold a space, which spawn does not quote.
*/
int lend(const std::vector<std::wstring>& arguments) {
    const std::wstring& what = arguments[2];
    const int descriptor = static_cast<int>(std::wcstol(arguments[3].c_str(), nullptr, 10));
    HANDLE from = nullptr;
    HANDLE to = nullptr;
    constexpr DWORD room = 512;
    if (!::CreatePipe(&from, &to, nullptr, room)) return 2;
    HANDLE lent = with_high_number(what == L"reading" ? from : what == L"event" ? reading_event() : to);
    ::CloseHandle(to);
    std::vector<std::wstring> own(arguments.begin() + 4, arguments.end());
    for (std::wstring& each : own) {
        if (each == L"HANDLE") each = std::to_wstring(reinterpret_cast<std::uintptr_t>(lent));
    }
    std::vector<const wchar_t*> values;
    for (const std::wstring& each : own) values.push_back(each.c_str());
    values.push_back(nullptr);
    if (what == L"broken") ::CloseHandle(from);
    const HANDLE read_now = reading_event();
    if (descriptor != 0) {
        // The lowest free number is given out; spawn passes them all on in the C runtimes' way.
        while (::_open("NUL", _O_WRONLY) < descriptor - 1) {
        }
        if (::_open_osfhandle(reinterpret_cast<std::intptr_t>(lent), _O_BINARY) != descriptor) return 3;
    }
    const auto process = reinterpret_cast<HANDLE>(::_wspawnv(_P_NOWAIT, own.front().c_str(), values.data()));
    if (process == reinterpret_cast<HANDLE>(-1)) return 4;
    if (descriptor != 0) {
        ::_close(descriptor);
    } else {
        ::CloseHandle(lent);
    }
    constexpr DWORD patience = 30000;
    const HANDLE first = what == L"late" ? read_now : process;
    if (what == L"full" || what == L"late") ::WaitForSingleObject(first, patience);
    if (what != L"broken") print_all(from);
    if (::WaitForSingleObject(process, patience) != WAIT_OBJECT_0) return 5;
    DWORD status = 0;
    ::GetExitCodeProcess(process, &status);
    std::printf("status %lu\n", status);
    return 0;
}

}  // namespace

int main() {
    int count = 0;
    wchar_t** const arguments = ::CommandLineToArgvW(::GetCommandLineW(), &count);
    const std::wstring verb = count > 1 ? arguments[1] : L"";
    if (verb == L"echo") {
        for (int at = 2; at < count; ++at) std::printf("[%s]\n", shown(arguments[at]).c_str());
        return 0;
    }
    if (verb == L"exit") return std::atoi(shown(arguments[2]).c_str());
    if (verb == L"environment") {
        for (const wchar_t* name : {L"HOLDFAST_NAME", L"HOLDFAST_NAME_2", L"HOLDFAST_URL", L"HOLDFAST_TEST"}) {
            wchar_t value[1024];
            const DWORD size = ::GetEnvironmentVariableW(name, value, 1024);
            std::printf("%s=%s\n", shown(name).c_str(), size == 0 ? "" : shown(value).c_str());
        }
        return 0;
    }
    if (verb == L"sleep") {
        ::SetConsoleCtrlHandler(&on_control, TRUE);
        std::printf("ready %lu\n", ::GetCurrentProcessId());
        std::fflush(stdout);
        ::Sleep(60000);
        return 0;
    }
    if (verb == L"console") return press_for({arguments, arguments + count});
    if (verb == L"press") return ::SetEvent(::OpenEventW(EVENT_MODIFY_STATE, FALSE, arguments[2])) ? 0 : 1;
    if (verb == L"lend") return lend({arguments, arguments + count});
    if (verb == L"read-now") return ::SetEvent(reading_event()) ? 0 : 1;
    if (verb == L"complain") return std::fputs("complaint\n", stderr) < 0 ? 1 : 0;
    // Leaves itself behind once more, asleep.
    if (verb == L"leave") {
        std::wstring line = std::wstring(L"\"") + arguments[0] + L"\" sleep";
        STARTUPINFOW how{};
        how.cb = sizeof how;
        PROCESS_INFORMATION made{};
        if (!::CreateProcessW(nullptr, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &how, &made))
            return 2;
        std::printf("left %lu\n", made.dwProcessId);
        return 0;
    }
    if (verb == L"is-gone") {
        const HANDLE process = ::OpenProcess(SYNCHRONIZE, FALSE, std::wcstoul(arguments[2], nullptr, 10));
        std::puts(process == nullptr || ::WaitForSingleObject(process, 0) == WAIT_OBJECT_0 ? "gone" : "still there");
        return 0;
    }
    // Whether there is a handle of that number.
    if (verb == L"has") {
        DWORD flags = 0;
        const auto number = std::wcstoul(arguments[2], nullptr, 10);
        const bool found = ::GetHandleInformation(reinterpret_cast<HANDLE>(std::uintptr_t{number}), &flags);
        std::printf("%s\n", found ? "has it" : "has it not");
        return 0;
    }
    // The lock files that this process has open.
    if (verb == L"locks") {
        for (std::uintptr_t number = 4; number < 0x1000; number += 4) {
            const auto handle = reinterpret_cast<HANDLE>(number);
            wchar_t path[1024] = {};
            if (::GetFileType(handle) != FILE_TYPE_DISK) continue;
            if (::GetFinalPathNameByHandleW(handle, path, 1024, 0) == 0) continue;
            if (std::wcsstr(path, L".lock") != nullptr) std::printf("%s\n", shown(path).c_str());
        }
        return 0;
    }
    // A holdfast that is killed: starts `holdfast run`, waits for the command's first line, ends holdfast alone, and
    // tells whether the command has ended with it.
    if (verb == L"kill") {
        SECURITY_ATTRIBUTES inherited{sizeof inherited, nullptr, TRUE};
        HANDLE from = nullptr;
        HANDLE to = nullptr;
        ::CreatePipe(&from, &to, &inherited, 0);
        ::SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
        STARTUPINFOW how{};
        how.cb = sizeof how;
        how.dwFlags = STARTF_USESTDHANDLES;
        how.hStdOutput = to;
        how.hStdError = ::GetStdHandle(STD_ERROR_HANDLE);
        std::wstring line = std::wstring(L"\"") + arguments[2] + L"\" run --url " + arguments[3] + L" killed -- \"" +
                            arguments[0] + L"\" sleep";
        PROCESS_INFORMATION made{};
        if (!::CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &how, &made)) return 2;
        ::CloseHandle(to);
        char text[64] = {};
        DWORD size = 0;
        if (!::ReadFile(from, text, sizeof text - 1, &size, nullptr)) return 3;
        const DWORD child = std::strtoul(text + 6, nullptr, 10);
        const HANDLE command = ::OpenProcess(SYNCHRONIZE, FALSE, child);
        if (command == nullptr || ::WaitForSingleObject(command, 0) != WAIT_TIMEOUT) return 4;
        ::TerminateProcess(made.hProcess, 1);
        const bool ended = ::WaitForSingleObject(command, 10000) == WAIT_OBJECT_0;
        std::printf("%s\n", ended ? "ended" : "still there");
        return 0;
    }
    return 1;
}
