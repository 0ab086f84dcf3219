// holdfast.exe: its arguments as UTF-8, which main's own are not.
#include "../dispatch.hpp"
#include "../exit_codes.hpp"

#include <core/windows/wide.hpp>

#include <cstdio>
#include <string>
#include <vector>

#include <fcntl.h>
#include <io.h>

#include <windows.h>

#include <shellapi.h>

namespace {

/// Nothing where one is no text at all.
std::vector<std::string> utf8_arguments() {
    int count = 0;
    wchar_t** const wide = ::CommandLineToArgvW(::GetCommandLineW(), &count);
    std::vector<std::string> made;
    for (int at = 0; at < count; ++at) {
        auto text = holdfast::core::to_utf8(wide[at]);
        if (!text) return {};
        made.push_back(std::move(*text));
    }
    ::LocalFree(wide);
    return made;
}

}  // namespace

int main() {
    std::vector<std::string> own = utf8_arguments();
    if (own.empty()) {
        std::fputs("holdfast: an argument is not valid UTF-16\n", stderr);
        return holdfast::cli::exit_code::usage;
    }
    std::vector<char*> values;
    for (std::string& each : own) values.push_back(each.data());
    values.push_back(nullptr);
    // What we write is for other programs, whatever the system.
    ::_setmode(::_fileno(stdin), _O_BINARY);
    ::_setmode(::_fileno(stdout), _O_BINARY);
    return holdfast::cli::dispatch({static_cast<int>(own.size()), values.data()});
}
