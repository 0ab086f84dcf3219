// A command for the tests of `holdfast run` on Windows: does what its first argument says.
#include <cstdio>
#include <cstdlib>
#include <string>

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
        std::wstring line =
            std::wstring(L"\"") + arguments[2] + L"\" run --url system: killed -- \"" + arguments[0] + L"\" sleep";
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
