#include "run_command.hpp"

#include "../acquisition.hpp"
#include "../default_directory.hpp"
#include "../exit_codes.hpp"
#include "../run_command.hpp"
#include "../run_options.hpp"
#include "command_line.hpp"

#include <core/windows/wide.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <windows.h>

namespace holdfast::cli {
namespace {

/// What Windows itself ends a program with on Ctrl-C.
constexpr int interrupted_status = static_cast<int>(0xC000013AU);

int say(int code, const std::string& text) {
    std::fprintf(stderr, "holdfast: %s\n", text.c_str());
    return code;
}

std::string shown(const std::string& name) {
    std::string text = "\"";
    for (const char each : name) text += static_cast<unsigned char>(each) < 0x20 || each == 0x7f ? '?' : each;
    return text + '"';
}

class reporter final : public acquisition_listener {
public:
    explicit reporter(bool verbose) : verbose_(verbose) {}

    void waiting(const std::string& name, const std::string&) override { tell("waiting for " + shown(name)); }
    void acquired(const std::string& name, std::optional<std::uint64_t>, nanoseconds after) override {
        const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(after).count();
        tell("acquired " + shown(name) + " after " + std::to_string(milliseconds) + " ms");
    }
    void released(const std::string& name) override { tell("released " + shown(name)); }
    void release_failed(const std::string& name, const std::string& reason) override {
        say(0, "releasing " + shown(name) + ": " + reason);
    }
    void tell(const std::string& text) const {
        if (verbose_) say(0, text);
    }

private:
    const bool verbose_;
};

class owned_handle {
public:
    explicit owned_handle(HANDLE handle) noexcept : handle_(handle) {}
    owned_handle(const owned_handle&) = delete;
    owned_handle& operator=(const owned_handle&) = delete;
    ~owned_handle() { reset(); }

    HANDLE get() const noexcept { return handle_; }
    void reset() noexcept {
        if (const HANDLE closing = std::exchange(handle_, nullptr)) ::CloseHandle(closing);
    }

private:
    HANDLE handle_;
};

bool is_batch_file(const std::wstring& program) {
    std::wstring end = program.substr(program.size() - std::min<std::size_t>(program.size(), 4));
    for (wchar_t& each : end) each = each >= L'A' && each <= L'Z' ? static_cast<wchar_t>(each + 32) : each;
    return end == L".bat" || end == L".cmd";
}

/// A job that ends all its processes when nobody has it open any more: with us, whatever ends us.
HANDLE make_job() {
    const HANDLE job = ::CreateJobObjectW(nullptr, nullptr);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (job != nullptr && !::SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits)) {
        const DWORD failed = ::GetLastError();
        ::CloseHandle(job);
        ::SetLastError(failed);
        return nullptr;
    }
    return job;
}

std::wstring environment_for(const std::vector<lock_request>& locks) {
    std::vector<std::wstring> added;
    for (std::size_t at = 0; at < locks.size(); ++at) {
        const std::wstring name = core::to_wide(locks[at].name);
        if (at == 0) added.push_back(L"HOLDFAST_NAME=" + name);
        if (locks.size() > 1) added.push_back(L"HOLDFAST_NAME_" + std::to_wstring(at + 1) + L"=" + name);
    }
    return environment_block(
        {L"HOLDFAST_URL", L"HOLDFAST_NAME", L"HOLDFAST_NAME_", L"HOLDFAST_FENCING_TOKEN", L"HOLDFAST_FENCING_TOKEN_"},
        added);
}

/// Runs the command to its end, and ends what it leaves behind. @return our exit status
int run_held(const run_options& options, const reporter& report) {
    std::vector<std::wstring> arguments;
    for (char** each = options.command; *each != nullptr; ++each) arguments.push_back(core::to_wide(*each));
    const std::string shown_command = options.command[0];
    if (arguments.front().find(L'"') != std::wstring::npos) {
        return say(exit_code::not_found, shown_command + ": a program's name cannot hold a double quote");
    }
    if (is_batch_file(arguments.front())) {
        return say(exit_code::not_executable,
                   shown_command + ": cmd.exe would read the arguments anew; write it as: cmd /c " + shown_command);
    }
    owned_handle job(make_job());
    if (job.get() == nullptr) {
        return say(exit_code::os_error, "cannot make a job object: " + core::system_message(::GetLastError()));
    }
    std::wstring line = command_line(arguments);
    std::wstring environment = environment_for(options.locks);
    STARTUPINFOW how{};
    how.cb = sizeof how;
    PROCESS_INFORMATION made{};
    // Standing still until it is in the job: it can start nothing that is not.
    constexpr DWORD flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT;
    if (!::CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, flags, environment.data(), nullptr, &how,
                          &made)) {
        const DWORD failed = ::GetLastError();
        const bool missing = failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND;
        return say(missing ? exit_code::not_found : exit_code::not_executable,
                   shown_command + ": " + core::system_message(failed));
    }
    const owned_handle process(made.hProcess);
    const owned_handle thread(made.hThread);
    if (!::AssignProcessToJobObject(job.get(), process.get())) {
        const DWORD failed = ::GetLastError();
        ::TerminateProcess(process.get(), 1);
        return say(exit_code::os_error, "cannot put the command into a job: " + core::system_message(failed));
    }
    report.tell("started process " + std::to_string(made.dwProcessId));
    leave_console_events_to_command();
    ::ResumeThread(thread.get());
    ::WaitForSingleObject(process.get(), INFINITE);
    DWORD status = 0;
    ::GetExitCodeProcess(process.get(), &status);
    report.tell("the command exited with " + std::to_string(status));
    // What it has left running would go on without the lock.
    job.reset();
    return static_cast<int>(status);
}

void refuse_what_is_missing(const run_options& options) {
    if (options.json_descriptor) throw usage_error("--json-fd is not to be had on Windows");
    if (options.keep_until_children_exit) throw usage_error("--keep-until-children-exit is not to be had on Windows");
}

}  // namespace

int run_command(const program_arguments& all, int first) {
    run_options options;
    try {
        options = parse_run_options(all.count - first, all.values + first);
        if (options.help) return std::fputs(run_help(), stdout) < 0 ? exit_code::os_error : exit_code::success;
        refuse_what_is_missing(options);
        reporter telling(options.verbose);
        acquisition locks(options, chosen_url(options), telling);
        take_console_events();
        switch (locks.acquire(-1)) {
            case acquisition::outcome::held: break;
            case acquisition::outcome::conflict:
                telling.tell(shown(locks.refused()) + " is held elsewhere; gave up");
                return options.conflict_exit_code;
            case acquisition::outcome::interrupted: return interrupted_status;
        }
        const int status = run_held(options, telling);
        locks.release();
        return status;
    } catch (const usage_error& wrong) {
        return say(exit_code::usage, std::string("run: ") + wrong.what() + "; see holdfast run --help");
    } catch (const directory_error& wrong) {
        return say(exit_code::cannot_create, wrong.what());
    } catch (const error& failure) {
        return say(exit_code::of(failure), failure.what());
    } catch (const std::exception& failure) {
        return say(exit_code::internal, failure.what());
    }
}

}  // namespace holdfast::cli
