#include "run_command.hpp"

#include "../acquisition.hpp"
#include "../default_directory.hpp"
#include "../exit_codes.hpp"
#include "../run_command.hpp"
#include "../run_options.hpp"
#include "../run_reporter.hpp"
#include "../say.hpp"
#include "command_line.hpp"

#include <core/windows/wide.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <windows.h>

namespace holdfast::cli {
namespace {

/// What Windows itself ends a program with on Ctrl-C.
constexpr int interrupted_status = static_cast<int>(0xC000013AU);

/// The command could not be started.
class start_failure : public std::runtime_error {
public:
    start_failure(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
    int code() const noexcept { return code_; }

private:
    int code_;
};

class owned_handle {
public:
    explicit owned_handle(HANDLE handle) noexcept : handle_(handle) {}
    owned_handle(const owned_handle&) = delete;
    owned_handle& operator=(const owned_handle&) = delete;
    ~owned_handle() {
        if (handle_ != nullptr) ::CloseHandle(handle_);
    }

    HANDLE get() const noexcept { return handle_; }

private:
    const HANDLE handle_;
};

bool is_batch_file(std::wstring program) {
    // Windows leaves out what a name ends with of these: "x.bat. " is x.bat.
    program.resize(program.find_last_not_of(L" .") + 1);
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

/// How a process is started that is in a job from its beginning: whoever ended us between its start and its way into
/// the job would leave a process that stands still, in no job, with the lock file's handle, for ever.
class start_in_job {
public:
    explicit start_in_job(HANDLE job) : job_(job) {
        SIZE_T size = 0;
        ::InitializeProcThreadAttributeList(nullptr, 1, 0, &size);
        room_.resize(size);
        const auto made = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(room_.data());
        if (!::InitializeProcThreadAttributeList(made, 1, 0, &size)) fail(::GetLastError());
        how_.lpAttributeList = made;
        // A reference to the handle, which has to stay where it is.
        if (!::UpdateProcThreadAttribute(made, 0, PROC_THREAD_ATTRIBUTE_JOB_LIST, &job_, sizeof job_, nullptr,
                                         nullptr)) {
            const DWORD failed = ::GetLastError();
            ::DeleteProcThreadAttributeList(made);
            fail(failed);
        }
        how_.StartupInfo.cb = sizeof how_;
    }
    start_in_job(const start_in_job&) = delete;
    start_in_job& operator=(const start_in_job&) = delete;
    ~start_in_job() { ::DeleteProcThreadAttributeList(how_.lpAttributeList); }

    STARTUPINFOW* get() noexcept { return &how_.StartupInfo; }

private:
    [[noreturn]] static void fail(DWORD failed) {
        throw start_failure(exit_code::os_error, "cannot put the command into a job: " + core::system_message(failed));
    }

    HANDLE job_;
    std::vector<std::byte> room_;
    STARTUPINFOEXW how_{};
};

/** Gives @p command, which stands still yet, handles of its own of the lock files.

    When holdfast is killed, Windows closes its handles one by one, the lock's before the job's perhaps, and it is only
    the latter that ends the command. With a handle of its own the command keeps the file until it is gone, as do those
    that it starts with inheritance.

    Not by inheritance from us: nobody else whom we start can come by the handles, and where holdfast is killed while it
    starts the command nobody has them yet. (Wine 8 never frees a process that was not yet running then, nor the handles
    that it inherited.)
*/
void give_handles_to(HANDLE command, const std::vector<int>& handles) {
    for (const int each : handles) {
        const auto lock = reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(each));
        // A number in the command's table, and of no use here.
        HANDLE theirs = nullptr;
        if (!::DuplicateHandle(::GetCurrentProcess(), lock, command, &theirs, 0, TRUE, DUPLICATE_SAME_ACCESS)) {
            throw start_failure(exit_code::os_error, "cannot give the command a lock file's handle: " +
                                                         core::system_message(::GetLastError()));
        }
    }
}

/// Ends what the command has left running, which would go on without the lock, and returns when it is gone: an ended
/// process may be at work for a moment.
void end_all_in(HANDLE job) noexcept {
    ::TerminateJobObject(job, 1);
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION about{};
    while (::QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &about, sizeof about, nullptr) &&
           about.ActiveProcesses > 0) {
        ::Sleep(1);
    }
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

/// Runs the command to its end, and ends what it leaves behind. @return our exit status @throws start_failure
int run_held(const run_options& options, const acquisition& locks, run_reporter& report) {
    std::vector<std::wstring> arguments;
    for (char** each = options.command; *each != nullptr; ++each) arguments.push_back(core::to_wide(*each));
    const std::string shown_command = options.command[0];
    if (arguments.front().find(L'"') != std::wstring::npos) {
        throw start_failure(exit_code::not_found, shown_command + ": a program's name cannot hold a double quote");
    }
    if (is_batch_file(arguments.front())) {
        throw start_failure(
            exit_code::not_executable,
            shown_command + ": cmd.exe would read the arguments anew; write it as: cmd /c " + shown_command);
    }
    const owned_handle job(make_job());
    if (job.get() == nullptr) {
        throw start_failure(exit_code::os_error, "cannot make a job object: " + core::system_message(::GetLastError()));
    }
    std::wstring line = command_line(arguments);
    std::wstring environment = environment_for(options.locks);
    start_in_job how(job.get());
    PROCESS_INFORMATION made{};
    // Standing still until it has all that it is to have and its start has been told.
    constexpr DWORD flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT;
    if (!::CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, flags, environment.data(), nullptr, how.get(),
                          &made)) {
        const DWORD failed = ::GetLastError();
        const bool missing = failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND;
        throw start_failure(missing ? exit_code::not_found : exit_code::not_executable,
                            shown_command + ": " + core::system_message(failed));
    }
    const owned_handle process(made.hProcess);
    const owned_handle thread(made.hThread);
    // Where that fails, the job ends the command with our way out.
    if (!options.close_descriptors) give_handles_to(process.get(), locks.descriptors());
    report.started(made.dwProcessId);
    leave_console_events_to_command();
    ::ResumeThread(thread.get());
    ::WaitForSingleObject(process.get(), INFINITE);
    DWORD status = 0;
    ::GetExitCodeProcess(process.get(), &status);
    report.exited(status);
    end_all_in(job.get());
    return static_cast<int>(status);
}

int acquire_and_run(const run_options& options, std::optional<std::string> url, run_reporter& report) {
    acquisition locks(options, std::move(url), report);
    take_console_events();
    switch (locks.acquire(-1)) {
        case acquisition::outcome::held: break;
        case acquisition::outcome::conflict: report.conflict(locks.refused()); return options.conflict_exit_code;
        case acquisition::outcome::interrupted: report.interrupted(locks.signal()); return interrupted_status;
        case acquisition::outcome::lost: report.found_lost(locks.refused()); return exit_code::lost;
    }
    try {
        const int status = run_held(options, locks, report);
        const bool kept = locks.release();
        locks.report_release();
        return kept ? status : exit_code::lost;
    } catch (const start_failure& failure) {
        locks.release();
        locks.report_release();
        return report.failed(failure.code(), failure.what());
    }
}

}  // namespace

int run_command(const program_arguments& all, int first) {
    run_options options;
    std::optional<std::string> url;
    std::optional<run_reporter> report;
    try {
        options = parse_run_options(all.count - first, all.values + first);
        if (options.help) return std::fputs(run_help(), stdout) < 0 ? exit_code::os_error : exit_code::success;
        if (options.keep_until_children_exit) {
            throw usage_error("--keep-until-children-exit is not to be had on Windows");
        }
        url = chosen_url(options);
        report.emplace(options);
    } catch (const usage_error& wrong) {
        say(std::string("run: ") + wrong.what() + "; see holdfast run --help");
        return exit_code::usage;
    } catch (const std::system_error& failure) {
        say(failure.what());
        return exit_code::os_error;
    }
    try {
        return acquire_and_run(options, std::move(url), *report);
    } catch (const usage_error& wrong) {
        return report->failed(exit_code::usage, wrong.what());
    } catch (const directory_error& wrong) {
        return report->failed(exit_code::cannot_create, wrong.what());
    } catch (const error& failure) {
        return report->failed(exit_code::of(failure), failure.what());
    } catch (const std::exception& failure) {
        return report->failed(exit_code::internal, failure.what());
    }
}

}  // namespace holdfast::cli
